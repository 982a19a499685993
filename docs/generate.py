"""Write docs/cli.md from the help, docs/api.md from docstrings, the methods of docs/explain.md.

python docs/generate.py [--check]    # with --check, only compare
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import cnntool
from cnntool.cli.main import cli
from cnntool.nets.attribution.methods import METHODS

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parent
COMMANDS = """# The command line

Every `--help`, written by `python docs/generate.py`.
"""
LIBRARY = """# The Python library

Every public name of `cnntool`, written by `python docs/generate.py` from the docstrings. The tests
run the examples, which begin with `import cnntool` and `import numpy as np`.
"""
WIDTH = 100
ENTRIES = ("Parameters", "Attributes", "Returns", "Yields", "Raises")


def commands(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield the help of a command and of the commands under it."""
    yield f"\n## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                under = child.make_context(
                    name, [], parent=context, resilient_parsing=True,
                    terminal_width=100, max_content_width=100,
                )  # fmt: skip
                yield from commands(child, under)


def library() -> Iterator[str]:
    """Yield what each public name says of itself, and of its methods."""
    for name in sorted(dir(cnntool), key=str.lower):
        value = getattr(cnntool, name)
        if name.startswith("_") or not callable(value):
            continue
        yield entry(f"cnntool.{name}", value, level="##")
        for method, made in vars(value).items() if inspect.isclass(value) else ():
            if not method.startswith("_") and inspect.isfunction(made):
                yield entry(f"{name}.{method}", made, level="###")


def entry(title: str, value: Any, *, level: str) -> str:
    """Return the heading, the signature and the docstring of one name as Markdown."""
    signature = ""
    if inspect.isfunction(value):
        parameters = inspect.signature(value).parameters.values()
        plain = [one.replace(annotation=inspect.Parameter.empty) for one in parameters]
        shown = str(inspect.Signature([one for one in plain if one.name != "self"]))
        call = (title.rpartition(".")[2] if level == "###" else title) + shown.replace("'", '"')
        if len(call) > WIDTH:  # as the formatter has it
            name, _, given = call[:-1].partition("(")
            call = f"{name}(\n    " + re.sub(r", (?![^(]*\))", ",\n    ", given) + ",\n)"
        signature = f"\n```python\n{call}\n```\n"
    return f"\n{level} {title}\n{signature}\n{markdown(inspect.getdoc(value) or '')}\n"


def markdown(docstring: str) -> str:
    """Return a docstring in numpydoc as Markdown.

    The lines of a section's entries have no indentation, their explanations have.
    """
    head, *sections = re.split(r"\n\n?(\w[\w ]*)\n-{3,}\n", docstring)
    parts = [head.replace("``", "`")]
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        text = body.strip("\n")
        if title == "Examples":
            text = f"```pycon\n{text}\n```"
        elif title in ENTRIES:
            text = "\n".join(_entries(text.replace("``", "`")))
        parts.append(f"**{title}**\n\n{text}")
    return "\n\n".join(parts)


def _entries(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        if line and not line.startswith(" "):
            names, colon, kind = line.partition(" : ")
            yield f"- `{names}`{colon and f' ({kind})'}:"
        elif line:
            yield f"  {line.strip()}"


def methods() -> Iterator[str]:
    """Yield what each method of `cnntool explain` is, shows, and where it misleads."""
    asks = {
        "layer": "the gradient by a layer",
        "input": "the gradient by each pixel",
        "scores": "probabilities of changed photos, no gradient",
    }
    for name, method in METHODS.items():
        yield f"### {method.title}: `--method {name}`\n\n{method.paper}.\n\n"
        yield f"- **Shows:** {method.shows}\n- **Misleads:** {method.misleads}\n"
        yield f"- **Asks for:** {asks[method.needs]}.\n\n"


def main() -> None:
    """Write the pages, or fail if they are not current."""
    context = cli.make_context(
        "cnntool", [], resilient_parsing=True, terminal_width=100, max_content_width=100
    )
    pages = {
        "cli.md": COMMANDS + "".join(commands(cli, context)),
        "api.md": LIBRARY + "".join(library()),
    }
    page = (DOCS / "explain.md").read_text(encoding="utf-8")
    head, mark, rest = page.partition("<!-- the methods, written by python docs/generate.py -->\n")
    end = rest[rest.index("<!-- end -->") :]
    pages["explain.md"] = f"{head}{mark}\n{''.join(methods())}{end}"
    for name, page in pages.items():
        target = DOCS / name
        if "--check" not in sys.argv:
            target.write_text(page, encoding="utf-8")
        elif not target.exists() or target.read_text(encoding="utf-8") != page:
            sys.exit(f"docs/{name} is not current: run python docs/generate.py")


if __name__ == "__main__":
    main()
