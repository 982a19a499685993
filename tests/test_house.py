"""What the documentation promises about itself."""

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from cnntool import errors, version
from cnntool.cli.main import COMMANDS, cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("[a-z]*/*.md")]


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
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_commands_and_options_that_pages_name_are_there():
    for page in PAGES:
        for line in re.findall(
            r"(?:[`'($ ]|^)cnntool ([a-z][^`'|&#;)\n]*)", page.read_text(), re.MULTILINE
        ):
            words = line.split()
            if words[0] not in COMMANDS:
                continue  # prose
            command: click.Command = cli
            while isinstance(command, click.Group) and words and words[0].islower():
                command = command.get_command(click.Context(cli), words.pop(0))
                assert command is not None, f"{page.name}: cnntool {line}"
            flags = {flag for one in command.params for flag in one.opts} | {"--help"}
            flags |= {flag for one in command.params for flag in one.secondary_opts}
            named = {flag for flag in words if re.fullmatch("--[a-z][a-z0-9-]*", flag)}
            assert named <= flags, f"{page.name}: cnntool {line}"


def test_no_two_recipes_write_one_file():
    recipes = "".join(re.findall(r"```(?:bash|python)\n(.*?)```", README, re.DOTALL))
    written = re.findall(r"""(?: -o |save\("|write_image\(")([\w./-]*\w)""", recipes)
    assert len(written) == len(set(written))


def test_what_docstrings_refer_to_is_there():
    references = {
        found
        for path in (ROOT / "cnntool").rglob("*.py")
        for found in re.findall(r"`(cnntool\.[A-Za-z_.0-9]+)`", path.read_text())
    }
    for reference in references:
        module, _, name = reference.rpartition(".")
        try:
            importlib.import_module(reference)
        except ImportError:
            owner, _, kind = module.rpartition(".")
            if kind[:1].isupper():
                assert hasattr(getattr(importlib.import_module(owner), kind), name), reference
            else:
                assert hasattr(importlib.import_module(module), name), reference


def test_no_drawer_is_called_utils():
    forbidden = {"utils", "helpers", "common", "misc", "base", "core"}
    assert not [p for p in (ROOT / "cnntool").rglob("*.py") if p.stem in forbidden]


def test_every_verb_has_a_module_of_its_name():
    modules = {path.stem for path in (ROOT / "cnntool/cli/commands").glob("[!_]*.py")}
    assert modules == set(COMMANDS)


@pytest.mark.parametrize("folder", ["api", "cli", "filters", "image", "nets", "shapes", "views"])
def test_the_folders_of_the_tests_are_those_of_the_package(folder):
    def folders(root):
        inside = [path for path in (root / folder).rglob("*") if path.is_dir()]
        return {
            path.relative_to(root)
            for path in inside
            if any(path.rglob("*.py")) and path.name != "__pycache__"
        }

    assert folders(ROOT / "tests") <= folders(ROOT / "cnntool")
    missing = folders(ROOT / "cnntool") - folders(ROOT / "tests")
    assert not missing


def test_click_and_rich_are_of_the_command_line_alone():
    rooms = [path for path in (ROOT / "cnntool").iterdir() if path.name != "cli"]
    for path in (one for room in rooms for one in [room, *room.rglob("*.py")]):
        if path.suffix == ".py":
            assert not re.search(
                r"^\s*(import|from) (click|rich)\b", path.read_text(), re.MULTILINE
            )


def test_the_generated_pages_are_current():
    done = subprocess.run(
        [sys.executable, ROOT / "docs/generate.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_readme_shows_the_house():
    """The directions that the linter holds, and a row for each room."""
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    house = " > ".join(layers["contracts"][0]["layers"])
    assert f"    {house}\n" in README
    for path in (ROOT / "cnntool").iterdir():
        if path.name[0] not in "_v" and path.name not in {"models", "samples", "py.typed"}:
            assert f"`{path.name}{'/' * path.is_dir()}`" in README


def test_the_citation_holds_what_its_schema_asks_for():
    """Citation File Format 1.2.0, and facts that are stated elsewhere too."""
    text = (ROOT / "CITATION.cff").read_text()
    stated = dict(re.findall(r"^([a-z-]+):[ \n]*(.*)$", text, re.MULTILINE))
    assert {"authors", "cff-version", "message", "title"} <= stated.keys()
    assert stated.keys() <= {
        "abstract", "authors", "cff-version", "keywords", "license", "message", "title", "type",
        "version",
    }  # fmt: skip
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (stated["cff-version"], stated["type"]) == ("1.2.0", "software")
    assert (stated["title"], stated["license"]) == (project["name"], project["license"])
    assert stated["version"] == version.__version__
    assert re.findall(r"^  - name: (.+)$", text, re.MULTILINE) == [
        author["name"] for author in project["authors"]
    ]
    assert "\t" not in text
