"""Terminals of every width: no number is cut, and lines end where the terminal does."""

import re

import pytest

from cnntool.cli.main import run

NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")

QUICK = {
    "kernels": [],
    "kernels show": ["gaussian:sigma=2"],
    "models": [],
    "models info": ["vgg16-mini"],
    "layers": ["vgg16-mini", "--all"],
    "summary": ["vgg16-mini"],
    "conv": ["227x227x3", "conv:11,s4,f96", "pool:3,s2", "flatten", "dense:4096"],
    "diff": ["vgg16-mini", "vgg16-mini", "--weights"],
    "filter": ["-k", "0.123,1;2,3", "matrix.csv", "-o", "-"],
    "deconv": ["-k", "0.125,1;1,1", "--stride", "2", "matrix.csv", "-o", "-"],
    "trace": ["matrix.csv", "-k", "0,1,2;2,2,0;0,1,2", "--at", "1,2"],
    "im2col": ["matrix.csv", "--kernel-size", "2", "--mode", "valid"],
    "matrix": ["-k", "0.5,2;3,4", "--input-size", "4x4"],
}
SLOW = {
    "activations": ["--all", "--stats-only", "cat.png"],
    "activations of several": ["--stats-only", "-l", "block*", "cat.png", "camera.png"],
    "classify": ["cat.png", "camera.png"],
    "diff of photos": ["-m", "vgg16-mini", "cat.png", "camera.png"],
    "evaluate": ["truth.csv"],
    "evaluate --each": ["truth.csv", "--without", "block5_conv3[0-3]"],
    "explain": ["cat.png", "-o", "why.png", "--overwrite"],
    "trace": ["cat.png", "-l", "block3_conv1", "--unit", "3,17,20"],
    "weights": ["vgg16-mini", "-o", "w", "--overwrite"],
}


@pytest.fixture
def shown(monkeypatch, capfd, samples):
    monkeypatch.chdir(samples)

    def show(arguments, width):
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(width))
        assert run(arguments) == 0
        return re.sub(r"\x1b\[[0-9;]*m", "", capfd.readouterr().out).splitlines()

    return show


def check(shown, arguments):
    """What a narrow terminal shows is what a wide one does, as far as there is room."""
    wide = shown(arguments, 400)
    known = {number for line in wide for number in NUMBER.findall(line)}
    assert known
    for width in (120, 80, 60, 40):
        lines = shown(arguments, width)
        shown_parts = (line for line in lines if not line.startswith("column"))
        found = {number for line in shown_parts for number in NUMBER.findall(line)}
        assert found <= known, width
        for line in lines:  # a path or a hash has no place to break
            assert len(line) <= width or max(map(len, line.split())) > width // 3, line


@pytest.mark.full
@pytest.mark.parametrize("command", QUICK)
def test_no_number_is_cut(shown, command):
    check(shown, [*command.split(), *QUICK[command]])


@pytest.mark.full
@pytest.mark.parametrize("command", SLOW)
def test_no_number_of_a_network_is_cut(shown, monkeypatch, tmp_path, samples, command):
    for path in samples.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "truth.csv").write_text("path,class\ncat.png,cat\n")
    monkeypatch.chdir(tmp_path)
    verb = command.partition(" of ")[0].split()
    check(shown, [*verb, *SLOW[command], "-q"])
