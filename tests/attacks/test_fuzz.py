"""The fuzzer itself: its cases come again, whole files pass, and it sees a tool that misbehaves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import contract
import fuzz
import pytest

ERROR = b"cnntool: error: case.png: damaged\n"
HINT = b"cnntool: hint: mend it\n"
NOTE = b"cnntool: note: something\n"


def test_a_seed_and_a_number_are_a_case():
    cases = [fuzz.case(1, number) for number in range(300)]
    assert cases == [fuzz.case(1, number) for number in range(300)]
    assert len(set(cases)) > 290
    assert {kind for kind, _ in cases} == {name.split()[0] for name in fuzz.seeds()}
    assert cases != [fuzz.case(2, number) for number in range(300)]


@pytest.mark.full
def test_whole_files_pass_and_a_replay_says_what_became_of_them(tmp_path):
    seeds = fuzz.seeds()
    names = ["png rgb", "tiff deflate", "pgm", "csv", "onnx chain"]
    paths = [tmp_path / f"{number}.{name.split()[0]}" for number, name in enumerate(names)]
    for path, name in zip(paths, names, strict=True):
        path.write_bytes(seeds[name])
    paths.append(tmp_path / "cut.png")
    paths[-1].write_bytes(seeds["png rgb"][:-20])
    done = subprocess.run(
        [sys.executable, fuzz.HERE / "fuzz.py", *paths],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    results = [line.rpartition(": ")[2] for line in done.stdout.splitlines()]
    assert results == ["compared"] * 4 + ["read", "refused"], done
    assert (done.returncode, done.stderr) == (0, "")


class Stage:
    """What a command printed and left, without a command."""

    def __init__(self, out: bytes, err: bytes, left: set[str]) -> None:
        self._heard, self._left = [out, err], left

    def heard(self) -> list[bytes]:
        return self._heard

    def left(self, *, beside: str) -> set[str]:
        return self._left


@pytest.mark.parametrize(
    ("accepted", "result", "reason"),
    [
        (True, (0, b"", b"", {"out.npy"}), ""),
        (True, (0, b"", NOTE, {"out.npy"}), ""),
        (False, (3, b"", ERROR, set()), ""),
        (False, (3, b"", ERROR + HINT, set()), ""),
        (True, (2, b"", ERROR, set()), ""),
        (False, (0, b"", b"", {"out.npy"}), "takes what the library refuses"),
        (True, (0, b"", b"", set()), "left"),
        (True, (0, b"", b"", {"out.npy", ".cnntool-1.tmp"}), "left"),
        (True, (0, b"", ERROR, {"out.npy"}), "without a code"),
        (False, (3, b"", ERROR, {"out.npy"}), "left after a failure"),
        (False, (3, b"1,2", ERROR, set()), "stdout after a failure"),
        (False, (3, b"", b"", set()), "not one error"),
        (False, (3, b"", ERROR + ERROR, set()), "not one error"),
        (False, (3, b"", NOTE + ERROR, set()), "not one error"),
        (False, (3, b"", b"TIFFReadDirectory: Warning\n" + ERROR, set()), "other lines"),
        (False, (1, b"", b"cnntool: error: unexpected KeyError: 1\n", set()), "a defect"),
        (False, (1, b"", b"cnntool: error: not enough memory\n", set()), "without bound"),
        (False, (4, b"", ERROR, set()), "another exit code 4"),
    ],
)
def test_what_the_tool_may_not_do(monkeypatch, accepted, result, reason):
    code, *seen = result
    monkeypatch.setattr(contract, "run", lambda _: code)
    monkeypatch.setattr(sys, "stdin", sys.stdin)
    arguments = ["filter", "case.png", "-o", "out.npy"]

    def call() -> None:
        contract._command(Stage(*seen), arguments, "case.png", accepted=accepted)

    if not reason:
        call()
        return
    with pytest.raises(contract.BrokenError, match=reason):
        call()


def test_other_libraries_are_asked():
    from cnntool.image.files import read_image

    kinds = ["png rgba", "ppm", "bmp", "gif", "webp lossless", "tiff rgb", "npy", "npy chw", "csv"]
    for kind in kinds:
        body = fuzz.seeds()[kind]
        pixels, info = read_image(body_file(body), name=kind)
        assert contract.disagrees(body, pixels, info) == ""
        changed = pixels.copy()
        changed[0, 0, 0] += 1
        assert contract.disagrees(body, changed, info)


def body_file(body: bytes):
    import io

    return io.BytesIO(body)


def test_a_process_that_dies_is_told_with_its_case(tmp_path, monkeypatch, capsys):
    """The supervisor is given a program that tells of a case, and then crashes."""
    script = tmp_path / "fuzz.py"
    script.write_text("import os\nprint('[7, null, \"\"]', flush=True)\nos.abort()\n")
    monkeypatch.setattr(fuzz, "HERE", tmp_path)
    supervisor = fuzz.Supervisor(1, 0.2, 1, tmp_path / "saved")
    assert supervisor.run() == 1
    kind, body = fuzz.case(1, 7)
    assert Path(tmp_path, "saved", f"1-7.{kind}").read_bytes() == body
    assert "the process ended with -6" in capsys.readouterr().out
