"""Write docs/cli.md from the commands' own help; with --check, only compare.

python docs/generate.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnntool.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

TARGET = Path(__file__).with_name("cli.md")
HEAD = """# The command line

Every `--help`, written by `python docs/generate.py`.
"""


def sections(command: click.Command, context: click.Context) -> Iterator[str]:
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
                yield from sections(child, under)


def main() -> None:
    """Write the page, or fail if it is not current."""
    context = cli.make_context(
        "cnntool", [], resilient_parsing=True, terminal_width=100, max_content_width=100
    )
    page = HEAD + "".join(sections(cli, context))
    if "--check" not in sys.argv:
        TARGET.write_text(page, encoding="utf-8")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != page:
        sys.exit("docs/cli.md is not current: run python docs/generate.py")


if __name__ == "__main__":
    main()
