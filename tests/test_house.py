"""What the documentation promises about itself."""

import re
from pathlib import Path

import click
import pytest

from cnntool import errors
from cnntool.cli.main import COMMANDS, cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_command_is_in_the_readme_and_the_reference(verb):
    assert f"cnntool {verb}" in README
    assert f"## cnntool {verb}\n" in (ROOT / "docs/cli.md").read_text()


def test_the_verbs_help_lines_agree_with_their_pages():
    for verb, line in COMMANDS.items():
        command = cli.get_command(click.Context(cli), verb)
        assert command is not None
        assert (command.help or "").strip().partition("\n")[0] == line


def test_every_exit_code_is_in_the_readme():
    codes = {
        value.exit_code
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.CnntoolError)
    } | {0, 130, 141, 143}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)} == codes


def test_links_lead_somewhere():
    for page in ROOT.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (ROOT / target).exists(), f"{page.name}: {target}"


def test_no_drawer_is_called_utils():
    forbidden = {"utils", "helpers", "common", "misc", "base", "core"}
    assert not [p for p in (ROOT / "cnntool").rglob("*.py") if p.stem in forbidden]
