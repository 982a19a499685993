"""Every named filter on one small picture, as it looked when somebody looked at it.

After a change that is meant to change pictures, run this file with UPDATE_GOLDEN=1 in the
environment, then look at tests/golden before committing it.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntool.api.kernels import ENTRIES
from cnntool.cli.main import run

GOLDEN = Path(__file__).parent.parent / "golden"
NAMES = list(ENTRIES)


@pytest.mark.parametrize("name", NAMES)
def test_picture(name, tmp_path, samples):
    source, target = tmp_path / "eye.png", tmp_path / "out.png"
    with Image.open(samples / "cat.png") as cat:
        cat.crop((130, 80, 226, 152)).save(source)
    assert run(["filter", "-k", name, str(source), "-o", str(target)]) == 0
    golden = GOLDEN / f"{name}.png"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_bytes(target.read_bytes())
    with Image.open(target) as ours, Image.open(golden) as expected:
        assert ours.mode == expected.mode
        difference = np.abs(np.asarray(ours, np.int16) - np.asarray(expected, np.int16))
    # Another processor rounds sums in another order; thresholds then flip a pixel here and there.
    assert (difference > 1).mean() < 0.002


def test_no_golden_picture_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.png")} == set(NAMES)
