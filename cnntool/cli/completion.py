"""Completion: what a shell is told when somebody presses TAB."""

from __future__ import annotations

import os
from contextlib import redirect_stderr
from typing import TYPE_CHECKING

from click.shell_completion import BashComplete, FishComplete, add_completion_class, shell_complete

from cnntool.cli.console import TALK

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

_BREAKS = frozenset(":=")


class Bash(BashComplete):
    """Bash, which takes ``--style=gray`` and ``conv:9`` for three words each."""

    _before = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Join what bash took apart."""
        done, last = super().get_completion_args()
        words: list[str] = []
        joins = False
        for word in [*done, last]:
            is_break = bool(word) and _BREAKS.issuperset(word)
            if words and (joins or is_break):
                self._before = words[-1] + word * is_break
                words[-1] += word
            else:
                self._before = ""
                words.append(word)
            joins = is_break
        return words[:-1], words[-1]

    def format_completion(self, item: CompletionItem) -> str:
        """Leave out what stands before the word that bash replaces."""
        item.value = item.value.removeprefix(self._before)
        return super().format_completion(item)


class Fish(FishComplete):
    """Fish, which replaces the whole of ``--style=gray``."""

    _before = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Remember the option."""
        done, last = super().get_completion_args()
        if last.startswith("--"):
            option, equals, _ = last.rpartition("=")
            self._before = option + equals
        return done, last

    def format_completion(self, item: CompletionItem) -> str:
        """Put the option before its value."""
        item.value = self._before + item.value
        return super().format_completion(item)


def complete(cli: click.Command, variable: str, instruction: str) -> int:
    """Answer a shell on stdout; whatever goes wrong, it is told nothing.

    Parameters
    ----------
    cli : click.Command
    variable : str
        The environment variable that says that a shell asks, which one, and what for.
    instruction : str
        What it says: ``zsh_source``, for the script, or ``zsh_complete``.

    Returns
    -------
    int
        0, or 1 if there is no answer.
    """
    add_completion_class(Bash)
    add_completion_class(Fish)
    if instruction.endswith("_source"):
        return shell_complete(cli, {}, "cnntool", variable, instruction)
    TALK.quiet = True
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):  # noqa: PTH123 - no path
        try:
            return shell_complete(cli, {}, "cnntool", variable, instruction)
        except Exception:  # noqa: BLE001 - nobody wants a traceback in the middle of a command
            return 1
