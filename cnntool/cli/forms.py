"""A command that does one thing in several ways, each with options of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cnntool.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Forms(click.Command):
    """A command with forms; its help lists the options of each under a heading.

    Parameters
    ----------
    forms : mapping of str to sequence of str
        The names of the parameters that belong to one form only, by the form's heading: the
        option that chooses it, ``--kernel``.
    """

    def __init__(
        self, *arguments: Any, forms: Mapping[str, Sequence[str]], **settings: Any
    ) -> None:
        super().__init__(*arguments, **settings)
        self._form_of = {name: form for form, names in forms.items() for name in names}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, those of all forms last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for form in (*dict.fromkeys(self._form_of.values()), ""):
            for parameter in self.get_params(ctx):
                row = (
                    parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
                )
                if row and self._form_of.get(parameter.name or "", "") == form:
                    sections.setdefault(form and f"Options with {form}", []).append(row)
        for heading, rows in sections.items():
            with formatter.section(heading or "Options"):
                formatter.write_dl(rows)

    def form(self, ctx: click.Context) -> str:
        """Return the form that the command line asks for, by what belongs to it alone.

        Returns
        -------
        str
            The form's heading; empty if nothing on the command line tells.

        Raises
        ------
        UsageError
            Options of two forms. What the environment says does not count.
        """
        first = None
        for parameter in self.params:
            form = self._form_of.get(parameter.name or "")
            source = ctx.get_parameter_source(parameter.name or "")
            if form is None or source is not ParameterSource.COMMANDLINE:
                continue
            flag = max(parameter.opts, key=len)
            if first is None:
                first = form, flag
            elif first[0] != form:
                uses = ((first[1], first[0]), (flag, form))
                told = [f"{option} goes with {its}" for option, its in uses if option != its]
                raise UsageError(f"{first[1]} and {flag} exclude each other", hint=", ".join(told))
        return first[0] if first else ""
