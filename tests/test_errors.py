"""Errors: in the core they speak of parameters, on the command line of options."""

import ast
import re
import traceback
from pathlib import Path

import click
import pytest

import cnntool
from cnntool.cli.console import as_options
from cnntool.cli.main import COMMANDS, cli
from cnntool.errors import ArgumentTypeError, UsageError

PACKAGE = Path(cnntool.__file__).parent
CORE = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "cli"]


def strings(path: Path) -> list[str]:
    """Return the strings of a module but for its docstrings, those of constants included."""
    tree = ast.parse(path.read_text())
    silent = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in silent
    ]


def options() -> set[str]:
    """Return every option of every command."""
    found: set[str] = set()
    stack = [(cli.get_command(click.Context(cli), verb)) for verb in COMMANDS]
    while stack:
        command = stack.pop()
        stack += getattr(command, "commands", {}).values()
        found |= {flag for parameter in command.params for flag in parameter.opts}
    return found


def test_tracebacks_end_with_the_hint():
    with pytest.raises(UsageError) as caught:
        cnntool.filter(b"1,2", "sobell")
    assert traceback.format_exception(caught.value)[-1].startswith("hint: did you mean sobel")


def test_the_tree_of_errors_is_a_tree_of_pythons_errors_too():
    assert issubclass(UsageError, ValueError)
    assert issubclass(ArgumentTypeError, (UsageError, TypeError))
    assert ArgumentTypeError.exit_code == UsageError.exit_code == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("`border` makes no sense", "--border makes no sense"),
        ("`border=reflect`: no", "--border reflect: no"),
        ("`max_pixels` raises the limit", "--max-pixels raises the limit"),
        ("fewer maps (`maps`), or less (`upscale`)", "fewer maps (--maps), or less (--upscale)"),
        ("`linear=True` is on", "--linear is on"),
        ("`deviation=0.1,0.2,0.3`", "--std 0.1,0.2,0.3"),
        ("'cnntool layers x `type=conv`' lists", "'cnntool layers x --type conv' lists"),
        ("`preprocess=unit`, `mean`; `white`.", "--preprocess unit, --mean; --white."),
        ("'`scale=1/2`' halves a picture", "'--scale 1/2' halves a picture"),
        ("`a`.png: no such file", "`a`.png: no such file"),
        ("x`y`z", "x`y`z"),
    ],
)
def test_parameters_become_options(text, told):
    assert as_options(text) == told


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_speaks_of_no_flags(path):
    assert not [text for text in strings(path) if re.search(r"(?<![\w-])--[a-z]", text)]


def test_every_parameter_that_an_error_names_is_an_option():
    known = options()
    named = {
        found
        for path in CORE
        if path.parent.name != "api"  # whose parameters need not be options
        for text in strings(path)
        for found in re.findall(r"`[a-z][a-z0-9_]*`", text)
    }
    assert len(named) > 10
    assert {as_options(name) for name in named} <= known
