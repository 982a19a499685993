"""README's code and figures; its recipes are in `api/test_recipes.py`."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [
    line
    for block in BLOCKS
    for line in block.splitlines()
    if line and not line.startswith("#") and "pip install" not in line
]


@pytest.mark.full
def test_the_figure_of_heat_maps_is_what_its_recipe_makes(here, tmp_path):
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    (line,) = (line for line in COMMANDS if line.endswith("-o why.png"))
    here(*line.split()[1:])
    with Image.open(tmp_path / "why.png") as made, Image.open(ROOT / "docs/explain.png") as shown:
        assert made.size == shown.size
        difference = np.abs(np.asarray(made).astype(int) - np.asarray(shown))
    assert difference.mean() < 1  # another FreeType draws other letters


@pytest.mark.full
def test_the_first_picture_is_current(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    from overview import draw

    path = ROOT / "docs/overview.jpg"
    assert path.stat().st_size < 250_000
    with Image.open(path) as shown:
        difference = np.abs(draw().pixels().astype(int) - np.asarray(shown))
    assert difference.mean() < 4  # JPEG


def test_the_lines_that_install_are_those_of_the_shells():
    for shell in ("bash", "zsh", "fish"):
        assert f"{shell}_source" in TEXT
    assert 'eval "$(_CNNTOOL_COMPLETE=bash_source cnntool)"' in TEXT


def test_from_python(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("cat ")
    assert {path.name for path in tmp_path.iterdir()} == {
        "samples",
        "soft-edges.png",
        "slide.svg",
        "cat-maps.png",
        "why-cat.png",
    }


def test_the_two_lines_are_there():
    lines = [line for block in BLOCKS for line in block.splitlines() if "pip install" in line]
    assert len(lines) == 2
    assert "cnntool filter" in lines[0]
    assert "pytest" in lines[1]
