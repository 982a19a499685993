"""Clumsy and hostile command lines: what is refused is refused in one line, with its code."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from cnntool.cli import console
from cnntool.cli.main import run as run_here

WINDOWS = sys.platform == "win32"
posix = pytest.mark.skipif(WINDOWS, reason="needs a shell")


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)).save(path)
    return path


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def complains(done) -> str:
    """Return the one line of an error, which may have a hint line."""
    lines = done.err.splitlines()
    assert lines[0].startswith("cnntool: error: ")
    assert "unexpected" not in lines[0]
    assert [line.partition(": ")[2].startswith("hint: ") for line in lines[1:]] in ([], [True])
    return lines[0]


@pytest.mark.parametrize("name", ["9" * 5000, "a" * 300, "a" * 300 + ".png", "x/" * 3000 + "y"])
def test_names_that_are_too_long(here, picture, tmp_path, name):
    for code, arguments in (
        (3, ["filter", "-k", "box", name]),
        (3, ["classify", name]),
        (3, ["evaluate", name]),
        (6, ["filter", "-k", "box", "picture.png", "-o", name + ".png"]),
        (6, ["evaluate", ".", "--confusion", name + ".csv"]),
        (4, ["classify", "picture.png", "-m", name + ".onnx"]),
        (4, ["models", "info", name + ".onnx"]),
        (4, ["models", "add", name]),
    ):
        complains(here(*arguments, code=code))
    assert names(tmp_path) == ["picture.png"]


def test_a_models_folder_with_a_name_that_is_too_long(here, monkeypatch):
    monkeypatch.setenv("CNNTOOL_MODELS_DIR", "a" * 300)
    assert b"built-in" in here("models", "list").out


def test_a_folder_that_may_not_be_looked_into(here, picture, tmp_path, monkeypatch):
    stat = os.stat

    def guarded(path, *arguments, **settings):
        if "locked" in os.fspath(path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return stat(path, *arguments, **settings)

    monkeypatch.setattr(os, "stat", guarded)
    complains(here("filter", "-k", "box", "locked/a.png", code=3))
    complains(here("filter", "-k", "box", "picture.png", "-o", "locked/a.png", code=6))
    assert "permission denied" in complains(here("classify", "-m", "locked/a.onnx", ".", code=4))
    monkeypatch.setenv("CNNTOOL_MODELS_DIR", str(tmp_path / "locked"))
    assert b"absent" in here("models", "list").out


def test_a_file_that_may_not_be_read_is_for_its_reader(here, picture, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    here("filter", "-k", "box", "picture.png", "-o", "out.png")


def test_the_empty_name_is_no_folder(here, picture, tmp_path):
    for arguments in (
        ["filter", "-k", "box", ""],
        ["filter", "-k", "box", "picture.png", "-o", ""],
        ["classify", ""],
        ["classify", "picture.png", "--labels", ""],
        ["evaluate", ""],
        ["models", "add", ""],
    ):
        assert "an empty file name" in complains(here(*arguments, code=2))
    assert "an empty name" in complains(here("models", "add", "picture.png", "--name", "", code=2))
    assert names(tmp_path) == ["picture.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_pipes_in_a_folder_are_not_waited_for(here, picture, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    picture.rename(folder / "picture.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "link.png").symlink_to("nowhere.png")
    done = here("filter", "-k", "box", "folder", "-o", "out", code=1)
    assert done.err.splitlines() == [
        "cnntool: error: folder/link.png: no such file",
        "cnntool: error: folder/pipe.png: no regular file",
    ]
    assert names(tmp_path / "out") == ["picture.png"]


@pytest.mark.parametrize("digits", [19, 30, 5000])
def test_numbers_without_end(here, picture, digits):
    number = "9" * digits
    for arguments in (
        ["filter", "-k", "box", "--stride", number],
        ["filter", "-k", "box", "--dilation", f"1,{number}"],
        ["classify", "--crop", number],
    ):
        assert " is more than " in complains(here(*arguments, "picture.png", code=2))


def test_pairs_that_are_read(here):
    for text in ("2", "02", "0000000000000000000000002", " 2 , 2 "):
        assert here("filter", "-k", "1", "--stride", text, stdin=b"1,2,3\n4,5,6\n").text == "1,3\n"


def test_an_unknown_format_is_said_once(here, picture):
    line = complains(here("filter", "-k", "box", "picture.png", "picture.png", "-o", "out/",
                          "--format", "foo", code=2))  # fmt: skip
    assert "no format is called 'foo'; known: png, jpeg" in line
    here("filter", "-k", "box", "picture.png", "--format", "JPG")


def test_contradicting_formats(here):
    line = complains(here("classify", "picture.png", "--json", "--format", "csv", code=2))
    assert line.endswith("--json and --format csv contradict each other")


@pytest.mark.full
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["kernels", "--help"], ["kernels"], ["models", "list"]]
)
def test_a_full_stdout(arguments):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "cnntool", *arguments],
            stdout=full, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 6
    assert done.stderr.decode() == f"cnntool: error: <stdout>: {os.strerror(28).lower()}\n"


@pytest.mark.full
@posix
@pytest.mark.parametrize("arguments", ["--help", "--version", "classify --help", "kernels"])
def test_a_reader_of_help_that_goes_away(tmp_path, arguments):
    line = f'{{ "$0" -m cnntool {arguments}; echo $? >code; }} | (exec <&-; sleep 0.5)'
    done = subprocess.run(["sh", "-c", line, sys.executable], cwd=tmp_path, capture_output=True,
                          timeout=60, check=False)  # fmt: skip
    assert done.stderr == b""
    assert (tmp_path / "code").read_text() == "141\n"


@pytest.mark.full
@posix
@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-", "2> >(exec <&-; sleep 1)"])
def test_a_stderr_that_takes_nothing_changes_no_result(picture, tmp_path, stderr):
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    line = f'"$0" -m cnntool filter -k box two.gif none.png -o out/ {stderr}'
    done = subprocess.run(["bash", "-c", line, sys.executable], cwd=tmp_path, capture_output=True,
                          timeout=60, check=False)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (1, b"out/two.png\n", b"")


def test_warnings_of_libraries_are_not_for_users(cnntool, monkeypatch, tmp_path):
    done = cnntool("kernels", "show", "1e38,1e38", "--json")
    assert done.err == ""
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    assert cnntool("kernels", "show", "1e38,1e38", "--json").out == done.out


def test_warnings_reach_whoever_calls_the_command_line_in_process(monkeypatch):
    from cnntool.cli.commands import kernels

    monkeypatch.setattr(kernels.list_, "callback", lambda **_: warnings.warn("look", stacklevel=1))
    with pytest.warns(UserWarning, match="look"):
        run_here(["kernels", "list"])


def test_a_locale_of_few_letters(capfdbinary, monkeypatch):
    monkeypatch.setattr(os, "fsencode", lambda text: text.encode("ascii", "surrogateescape"))
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    console.result("a█")
    assert capfdbinary.readouterr().out == b"a\\u2588\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.EMFILE, "x"), f"{os.strerror(errno.EMFILE).lower()}"),
        (OSError(errno.EAGAIN, "x"), f"{os.strerror(errno.EAGAIN).lower()}"),
        (ImportError("libx.so: failed to map\nmore"), "a library cannot be loaded: libx.so: fail"),
        (ImportError(), "a library cannot be loaded: it does not say why"),
    ],
)
def test_a_machine_at_its_limits(here, picture, monkeypatch, error, line):
    from cnntool.api import batches

    def broken(*_, **__):
        raise error

    monkeypatch.setattr(batches, "open_reader", broken)
    done = here("filter", "-k", "box", "picture.png", code=1)
    assert complains(done).startswith(f"cnntool: error: {line}")
    assert "hint" in done.err


@pytest.mark.full
def test_names_stay_on_their_line_of_the_table(here, picture, tmp_path):
    if not WINDOWS:
        picture = picture.rename(tmp_path / "one\n99.99%\ttwo.png")
    lines = here("classify", "--format", "table", "--top", "1", picture.name).text.splitlines()
    assert len(lines) == 2
    record = json.loads(here("classify", "--json", "--top", "1", picture.name).out)
    assert record["input"] == picture.name
