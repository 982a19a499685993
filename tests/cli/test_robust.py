"""The contracts about what goes wrong: one line, the right code, nothing lost, nothing left."""

import io
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

from cnntool.cli import console
from cnntool.cli.console import printable
from cnntool.cli.main import COMMANDS
from cnntool.cli.main import run as run_here

WINDOWS = sys.platform == "win32"


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 60), np.uint8)).save(path)
    return path


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n", ""),
        (b"<!DOCTYPE html><html></html>", ""),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS"),
        (b"\x00\x01\x02\x03" * 100, ""),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", ""),
        (b"1,2\n3\n", "row"),
        (b"1,nan\n", "NaN"),
    ],
)
def test_what_is_no_picture(fails, tmp_path, content, reason):
    (tmp_path / "bad.png").write_bytes(content)
    error = fails(3, "filter", "-k", "box", "bad.png", "-o", "out.png")
    assert error.startswith("cnntool: error: bad.png: ")
    assert reason in error
    assert fails(3, "filter", "-k", "box", stdin=content).startswith("cnntool: error: <stdin>: ")
    assert names(tmp_path) == ["bad.png"]


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "gif", "bmp", "ppm", "npy"])
def test_a_truncated_file_of_every_format(fails, cnntool, tmp_path, suffix):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = tmp_path / f"whole.{suffix}"
    if suffix == "npy":
        np.save(whole, pixels)
    else:
        Image.fromarray(pixels).save(whole)
    data = whole.read_bytes()
    whole.unlink()
    (tmp_path / f"cut.{suffix}").write_bytes(data[: len(data) * 2 // 3])
    error = fails(3, "filter", "-k", "box", f"cut.{suffix}", "-o", "out.png")
    assert error.startswith(f"cnntool: error: cut.{suffix}: ")
    assert names(tmp_path) == [f"cut.{suffix}"]


def test_missing_file_and_folder_without_pictures(fails, tmp_path):
    assert "no such file" in fails(3, "filter", "-k", "box", "nothing.png").lower()
    (tmp_path / "empty").mkdir()
    assert "no pictures" in fails(3, "filter", "-k", "box", "empty", "-o", "out")


def test_a_bad_input_among_good_ones(cnntool, picture, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    done = cnntool("filter", "-k", "box", "bad.png", "picture.png", "none.png", check=False)
    assert done.code == 1
    assert done.text == "picture.box.png\n"
    errors = [line for line in done.err.splitlines() if "error:" in line]
    assert [line.split(": ")[2] for line in errors] == ["bad.png", "none.png"]


def test_a_bad_folder_among_good_inputs(here, picture, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def locked(path):
        if os.fspath(path) == "locked":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    done = here("filter", "-k", "box", "empty", "locked", "picture.png", "-o", "out", code=1)
    assert done.text == "out/picture.png\n"
    errors = [line for line in done.err.splitlines() if "error:" in line]
    assert errors == [
        "cnntool: error: empty: no pictures or matrices in this folder",
        "cnntool: error: locked: permission denied",
    ]


def test_pictures_over_the_limit_are_refused_by_their_header(fails, cnntool, picture):
    error = fails(3, "filter", "-k", "box", "--max-pixels", "2999", "picture.png")
    assert "--max-pixels" in error
    cnntool("filter", "-k", "box", "--max-pixels", "3000", "picture.png")


def test_numbers_that_are_none(fails, cnntool):
    error = fails(3, "filter", "-k", "1,1,1", stdin=b"1,2,3\n4,nan,6\n")
    assert "row 1, column 1" in error
    done = cnntool("filter", "-k", "1,1,1", "--allow-nan", stdin=b"1,2,3,4,5\n4,5,nan,7,8\n")
    assert done.text.splitlines()[0] == "3,6,9,12,9"
    assert done.text.splitlines()[1].split(",")[0] == "9"


def test_a_kernel_larger_than_the_picture(fails, cnntool, picture):
    error = fails(2, "filter", "-k", "box:51", "--mode", "valid", "picture.png")
    assert error.startswith("cnntool: error: picture.png: ")
    assert "51x51" in error
    cnntool("filter", "-k", "box:51", "picture.png")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--kernal", "box"],
        ["-k", "box", "--mod", "same", "--nonsense"],
        ["-k", "box", "--mode", "sane"],
        ["-k", "box", "--op", "corelate"],
        ["-k", "box", "--border", "mirror"],
        ["-k", "box", "--stride", "0"],
        ["-k", "box", "--stride", "2,2,2"],
        ["-k", "box", "--dilation", "x"],
        ["-k", "box", "--channels", "red"],
        ["-k", "box", "--range", "full"],
        ["-k", "box", "--method", "magic"],
        ["-k", "box", "--format", "xcf"],
        ["-k", "box", "--depth", "12"],
        ["-k", "box", "--compression", "11"],
        ["-k", "box", "--quality", "0"],
        ["-k", "box", "--max-pixels", "no"],
        ["-k", "box", "--threads", "0"],
        ["-k", "box", "--mix", "1,0"],
        ["-k", "box", "--mix", "a"],
        ["-k", "box", "--mix", ""],
        ["-k", "box", "--mix", "inf"],
        ["-k", "box", "--mix", "1", "--channels", "luma"],
        ["-k", "box", "--json", "--explain"],
        ["-k", "bxo"],
        [],
        ["-k", "box", "--json", "-o", "-"],
        ["-k", "box", "-o", "both.png", "picture.png"],
    ],
)
def test_a_slip_in_every_option(fails, picture, tmp_path, arguments):
    before = names(tmp_path)
    fails(2, "filter", *arguments, "picture.png")
    assert names(tmp_path) == before


def test_an_unknown_command_names_the_nearest(fails):
    assert "did you mean filter" in fails(2, "fliter")


def test_the_bare_command_shows_the_help(cnntool):
    done = cnntool(check=False)
    assert (done.code, done.out) == (2, b"")
    assert done.err.startswith("Usage: cnntool ")
    assert "  filter   " in done.err


def test_outputs_that_cannot_be(fails, picture, tmp_path):
    for target in ("no/such/folder/out.png", "picture.png/out.png"):
        assert target in fails(6, "filter", "-k", "box", "picture.png", "-o", target)
    assert "picture.png: it is no folder" in fails(
        6, "filter", "-k", "box", "picture.png", "-o", "picture.png/"
    )
    assert "'.xyz'" in fails(6, "filter", "-k", "box", "picture.png", "-o", "out.xyz")
    Image.fromarray(np.zeros((4, 4, 4), np.uint8)).save(tmp_path / "clear.png")
    assert "alpha" in fails(6, "filter", "-k", "box", "clear.png", "-o", "out.jpg")
    assert names(tmp_path) == ["clear.png", "picture.png"]


ODD = [
    "with space.png",
    "new\nline.png",
    "-dash.png",
    "ünïcode.png",
    "semi;colon.png",
    "per%cent.png",
]


@pytest.mark.parametrize("name", ODD)
def test_odd_names(cnntool, picture, tmp_path, name):
    picture.rename(tmp_path / name)
    done = cnntool("filter", "-k", "box", "--", name)
    expected = name.removesuffix(".png") + ".box.png"
    assert done.text == expected + "\n"
    assert (tmp_path / expected).exists()


def test_a_file_called_like_stdin(cnntool, picture, tmp_path):
    picture.rename(tmp_path / "-")
    assert cnntool("filter", "-k", "box", "./-").text == "-.box.png\n"
    assert (tmp_path / "-.box.png").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")
def test_names_that_are_no_text(cnntool, picture, tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    picture.rename(tmp_path / name)
    done = cnntool("filter", "-k", "box", name)
    assert done.out == b"caf\xe9.box.png\n"
    done = cnntool("filter", "-k", "box", name, check=False)
    assert done.code == 6
    assert len(done.err.splitlines()) == 2


def test_control_codes_do_not_reach_the_terminal(fails):
    error = fails(3, "filter", "-k", "box", "evil\x1b[31m\nname.png")
    assert "\x1b" not in error
    assert printable("a\x1b\n\udce9") == r"a\x1b\n\udce9"


@pytest.mark.skipif(WINDOWS, reason="needs resource limits")
@pytest.mark.parametrize("suffix", ["png", "tif", "npy", "jpg", "csv"])
@pytest.mark.full
def test_a_full_disk_keeps_the_old_result(fails, picture, tmp_path, suffix):
    target = tmp_path / f"out.{suffix}"
    target.write_bytes(b"precious")
    before = names(tmp_path)

    def little_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    error = fails(
        6, "filter", "-k", "box", "picture.png", "-o", target.name, "--overwrite",
        preexec_fn=little_room, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert target.name in error
    assert target.read_bytes() == b"precious"
    assert names(tmp_path) == before


@pytest.mark.full
@pytest.mark.skipif(WINDOWS, reason="needs signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_leaves_nothing(tmp_path, number, code):
    Image.fromarray(np.zeros((6000, 6000), np.uint8)).save(tmp_path / "big.png")
    (tmp_path / "out.tif").write_bytes(b"precious")
    before = names(tmp_path)
    command = [sys.executable, "-m", "cnntool", "filter", "-k", "kirsch", "-k", "box:31", "-k",
               "gaussian:40", "big.png", "-o", "out.tif", "--overwrite"]  # fmt: skip
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - nohup
    )
    until = time.monotonic() + 30
    while names(tmp_path) == before and time.monotonic() < until and process.poll() is None:
        time.sleep(0.005)
    assert names(tmp_path) != before, "the temporary file never appeared"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == (b"cnntool: error: interrupted\n" if number == signal.SIGINT else b"")
    assert names(tmp_path) == before
    assert (tmp_path / "out.tif").read_bytes() == b"precious"


@pytest.mark.skipif(WINDOWS, reason="needs pipes")
def test_a_reader_that_goes_away(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (999, 999), np.uint8)).save(
        tmp_path / "noise.png"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "cnntool", "filter", "-k", "box", "noise.png", "-o", "-"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.read(10)
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(30) == 141
    assert err == b""
    process.stderr.close()


@pytest.mark.skipif(WINDOWS, reason="needs a shell")
@pytest.mark.parametrize(
    ("closed", "code", "err"),
    [
        ("<&-", 0, b""),
        (">&-", 6, b"cnntool: error: <stdout>: it is closed\n"),
        ("2>&-", 0, b""),
        ("<&- >&- 2>&-", 6, b""),
    ],
)
@pytest.mark.full
def test_closed_streams(picture, tmp_path, closed, code, err):
    line = f'exec "$0" -m cnntool filter -k box picture.png {closed}'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable],
        cwd=tmp_path,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, err)
    assert names(tmp_path) == ["picture.box.png", "picture.png"]


RESULTS = {
    "filter": ["-k", "box", "picture.png", "-o", "-"],
    "kernels": [],
    "pool": ["--max", "2", "matrix.csv"],
    "unpool": ["--switches", "switches.csv", "--size", "2", "pooled.csv"],
    "deconv": ["-k", "1,1;1,1", "matrix.csv"],
    "resize": ["--size", "2", "matrix.csv"],
    "trace": ["matrix.csv", "-k", "1,2;3,4", "--at", "0,0"],
    "im2col": ["matrix.csv", "--kernel-size", "2"],
    "matrix": ["-k", "1,2;3,4", "--input-size", "3x3", "--mode", "valid"],
    "conv": ["8x8x3", "conv:3,f4"],
    "classify": ["picture.png"],
    "evaluate": ["truth.csv"],
    "run": ["-m", "net.onnx", "picture.png", "-o", "-"],
    "activations": ["-l", "conv:1", "picture.png", "-o", "-"],
    "features": ["picture.png"],
    "explain": ["picture.png", "-o", "-"],
    "diff": ["net.onnx", "net.onnx", "picture.png"],
    "weights": ["vgg16-mini", "-l", "conv:1", "-o", "-"],
    "layers": [],
    "summary": [],
    "models": [],
    "devices": ["--device", "cpu"],
}
"""A command line of every verb that writes on stdout."""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["filter", "--help"],
        ["filter", "-k", "box", "picture.png"],  # the name that the tool chose
        ["filter", "-k", "box", "matrix.csv", "--json", "-o", "o.csv"],
        ["models", "path", "vgg16-mini"],
        *([verb, *arguments] for verb, arguments in RESULTS.items()),
    ],
    ids=" ".join,
)
@pytest.mark.full
def test_a_closed_stdout_loses_no_result_in_silence(
    picture, tmp_path, monkeypatch, capsys, arguments
):
    _small_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdout", None)
    code = run_here(arguments)
    with suppress(OSError):  # what is left
        sys.stdout.close()
    lines = [line for line in capsys.readouterr().err.splitlines() if ": note: " not in line]
    assert (code, lines) == (6, ["cnntool: error: <stdout>: it is closed"])


def _small_files(folder):
    """Write what `RESULTS` reads."""
    (folder / "matrix.csv").write_text("1,2,3\n4,5,6\n7,8,9\n")
    (folder / "pooled.csv").write_text("4\n")
    (folder / "switches.csv").write_text("3\n")
    (folder / "truth.csv").write_text("path,class\npicture.png,cat\n")
    size = [1, 3, 8, 8]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, size)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, size)],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    (folder / "net.onnx").write_bytes(model.SerializeToString())


def test_every_verb_is_held_to_that():
    assert RESULTS.keys() == COMMANDS.keys()


@pytest.mark.skipif(WINDOWS, reason="needs a shell")
def test_a_closed_stdin_brings_nothing(picture, tmp_path):
    line = 'exec "$0" -m cnntool filter -k box <&-'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable],
        cwd=tmp_path,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode in {2, 3}
    assert done.stderr.startswith(b"cnntool: error: ")
    assert b"Traceback" not in done.stderr


def test_a_pipe_that_brings_nothing(fails):
    assert "empty" in fails(3, "filter", "-k", "box", stdin=b"")
    fails(2, "filter", "-k", "box", "-", "-", stdin=b"")


def test_the_unexpected_is_one_line_and_debug_shows_more(monkeypatch, capsys, picture):
    from cnntool.api import batches

    def broken(*_, **__):
        raise ZeroDivisionError("what\nnow")

    monkeypatch.setattr(batches, "open_reader", broken)
    monkeypatch.chdir(picture.parent)
    assert run_here(["filter", "-k", "box", "picture.png"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "cnntool: error: unexpected ZeroDivisionError: what"
    assert run_here(["filter", "-k", "box", "picture.png", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_notes_are_said_unless_quiet(cnntool, tmp_path):
    frames = [Image.new("L", (8, 8), v) for v in (10, 200)]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    done = cnntool("filter", "-k", "identity", "two.gif", "-o", "one.png")
    assert done.err.startswith("cnntool: note: two.gif: ")
    quiet = cnntool("filter", "-q", "-k", "identity", "two.gif", "-o", "one.png", "--overwrite")
    assert quiet.err == ""


@pytest.mark.parametrize(
    "place", ["cnntool.api.kernels.parse", "cnntool.api.filtering.Filtering.write"]
)
def test_too_little_memory_is_one_line(here, picture, monkeypatch, place):
    def greedy(*_, **__):
        raise MemoryError

    monkeypatch.setattr(place, greedy)
    done = here("filter", "-k", "box", "picture.png", code=1)
    assert done.err.startswith("cnntool: error: ")
    assert done.err.endswith("not enough memory\n")
    assert len(done.err.splitlines()) == 1


def test_a_picture_too_large_for_memory_among_others(here, picture, monkeypatch):
    from cnntool.api.filtering import Filtering

    real, calls = Filtering.write, []

    def greedy_once(*arguments, **options):
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError
        return real(*arguments, **options)

    monkeypatch.setattr(Filtering, "write", greedy_once)
    (picture.parent / "other.png").write_bytes(picture.read_bytes())
    done = here("filter", "-k", "box", "picture.png", "other.png", code=1)
    assert done.err == "cnntool: error: picture.png: not enough memory\n"
    assert done.text == "other.box.png\n"


def test_openblas_gets_one_thread_unless_told_otherwise():
    code = "import os; from cnntool.cli.main import run; run(['--version']);"
    code += "print(os.environ['OPENBLAS_NUM_THREADS'])"
    inherited = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    for given, expected in (({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True, text=True, check=True, env={**inherited, **given}, timeout=30,
        )  # fmt: skip
        assert done.stdout.splitlines()[-1] == expected


def test_a_note_is_said_once(capsys, monkeypatch):
    monkeypatch.setattr(console, "_said", set())
    monkeypatch.setattr(console.TALK, "quiet", False)
    for text in ("one", "two", "one"):
        console.note(text)
    assert capsys.readouterr().err == "cnntool: note: one\ncnntool: note: two\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("delay", "quiet", "shown"), [(0, False, True), (9, False, False),
                                                       (0, True, False)])  # fmt: skip
def test_progress_is_shown_on_a_terminal_after_a_while(monkeypatch, delay, quiet, shown):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(console.TALK, "quiet", quiet)
    monkeypatch.setattr(console.Progress, "DELAY", delay)
    with console.Progress("filtering") as progress:
        assert list(progress.track(range(5))) == [0, 1, 2, 3, 4]
    assert ("filtering" in terminal.getvalue()) == shown


def test_progress_waits_for_about_a_second():
    assert 0.2 <= console.Progress.DELAY <= 3
