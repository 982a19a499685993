"""What all tests share: the samples, and the tool as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from effort import QUICK, WHOLE
from hypothesis import settings

SAMPLES = Path(__file__).parent.parent / "samples"

# Whoever works on the code tries new cases each time; a gate must not fail by chance.
for name, cases in (("quick", QUICK), ("full", WHOLE)):
    settings.register_profile(
        name, deadline=None, derandomize="CI" in os.environ, max_examples=cases
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="try all cases of the long tests")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("full" if config.getoption("--full") else "quick")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--full"):
        for item in items:
            if item.get_closest_marker("full"):
                item.add_marker(pytest.mark.skip(reason="a long one, for --full"))


@dataclass
class Done:
    """A finished command."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


@pytest.fixture(autouse=True)
def talk(monkeypatch):
    """Let every test be told what an earlier one was told, or did not want to hear."""
    from cnntool.cli import console

    monkeypatch.setattr(console, "_said", set())
    for flag in ("quiet", "verbose", "debug"):
        monkeypatch.setattr(console.TALK, flag, False)


@pytest.fixture
def samples() -> Path:
    return SAMPLES


@pytest.fixture
def process(tmp_path):
    """Run the tool as a process of its own in an empty folder."""

    def run(*arguments, stdin: bytes | None = None, check: bool = True, **kwargs) -> Done:
        command = [sys.executable, "-m", "cnntool", *map(os.fspath, arguments)]
        kwargs.setdefault("cwd", tmp_path)
        done = subprocess.run(
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=120,
            check=False,
            **kwargs,
        )
        result = Done(done.returncode, done.stdout, done.stderr.decode(errors="replace"))
        if check:
            assert result.code == 0, result.err
        return result

    return run


@pytest.fixture
def cnntool(request):
    """Run the tool in an empty folder: in a process of its own, or quickly without ``--full``."""
    if request.config.getoption("--full"):
        return request.getfixturevalue("process")
    inside = request.getfixturevalue("here")

    def run(*arguments, stdin: bytes | None = None, check: bool = True, **kwargs) -> Done:
        if kwargs:
            return request.getfixturevalue("process")(
                *arguments, stdin=stdin, check=check, **kwargs
            )
        return inside(*arguments, stdin=stdin or b"", code=0 if check else None)

    return run


@pytest.fixture
def fails(cnntool):
    """Run the tool, which must fail in the one way in which it may."""

    def run(code: int, *arguments, **kwargs) -> str:
        done = cnntool(*arguments, check=False, **kwargs)
        lines = done.err.splitlines()
        assert done.code == code, done
        assert done.out == b""
        assert "Traceback" not in done.err
        assert len(lines) in {1, 2}, done.err
        assert lines[0].startswith("cnntool: error: ")
        assert all(line.startswith("cnntool: hint: ") for line in lines[1:])
        return done.err

    return run


@pytest.fixture
def filtered(monkeypatch, capfdbinary):
    """Filter text within this process: quick, for the many small matrices."""
    import io

    from cnntool.cli.main import run

    def call(matrix: str, *arguments: str) -> list[list[float]]:
        stdin = io.TextIOWrapper(io.BytesIO(matrix.encode()))
        monkeypatch.setattr(sys, "stdin", stdin)
        code = run(["filter", *arguments])
        out, err = capfdbinary.readouterr()
        assert (code, err) == (0, b"")
        return [[float(v) for v in line.split(",")] for line in out.decode().splitlines()]

    return call


@pytest.fixture
def here(tmp_path, monkeypatch, capfdbinary):
    """Run the tool within this process in an empty folder: quick, where no process is needed."""
    import io

    from cnntool.cli import console
    from cnntool.cli.main import run

    def call(*arguments, stdin: bytes = b"", code: int | None = 0) -> Done:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(console, "_said", set())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        found = run([os.fspath(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        done = Done(found, out, err.decode(errors="replace"))
        assert code in {None, found}, done
        return done

    return call


@pytest.fixture
def inside(monkeypatch):
    """Compare networks within this process."""
    from pairs import Inside

    from cnntool.nets.comparison import runs

    monkeypatch.setattr(runs, "Session", Inside)
