"""The recipes of docs/features.md, as they stand, on a few photos."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PAGE = (Path(__file__).parent.parent / "docs" / "features.md").read_text()
BASH, PYTHON = (re.findall(rf"```{word}\n(.*?)```", PAGE, re.DOTALL) for word in ("bash", "python"))


@pytest.mark.full
def test_recipes(here, tmp_path):
    for library in ("onnxruntime", "pyarrow", "pandas", "sklearn", "duckdb"):
        pytest.importorskip(library)
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for label, colour in (("red", (200, 20, 20)), ("green", (20, 120, 20))):
            (tmp_path / "photos" / part / label).mkdir(parents=True)
            for number in range(6):
                pixels = rng.normal(colour, 20, (160, 160, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / f"photos/{part}/{label}/{number}.png")
    (commands,) = BASH
    for line in commands.splitlines():
        here(*line.split()[1:])
    told = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        for code in PYTHON
    ]
    assert [done.stderr for done in told] == ["", "", ""]
    assert told[0].stdout == "100.0% right\n"
    with Image.open(tmp_path / "near.png") as sheet:
        assert min(sheet.size) > 2 * 96
    assert "green" in told[2].stdout
    assert "vgg16-mini" in told[2].stdout
