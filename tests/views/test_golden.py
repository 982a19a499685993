"""Small pictures of every kind, as they looked when somebody looked at them.

After a change that is meant to change pictures, run this file with UPDATE_GOLDEN=1 in the
environment, then look at tests/golden/views before committing it. There is no text in them: its
pixels are those of the FreeType that happens to be installed.
"""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from drawn import drawn
from PIL import Image

from cnntool.views import heat_map, legend, vectors
from cnntool.views.display_list import DisplayList
from cnntool.views.feature_maps import sheet
from cnntool.views.kernels import kernel_sheet
from cnntool.views.styles import STYLES
from cnntool.views.text import dashed_box
from cnntool.views.top_patches import cut, patch_sheet

sheet = drawn(sheet)
kernel_sheet = drawn(kernel_sheet)
patch_sheet = drawn(patch_sheet)

GOLDEN = Path(__file__).parent.parent / "golden" / "views"
ROWS, COLUMNS = np.mgrid[-1:1:12j, -1:1:16j]


def gabor(angle, wave, deviation=0.4):
    along = ROWS * np.sin(angle) + COLUMNS * np.cos(angle)
    return np.cos(wave * along) * np.exp(-(ROWS**2 + COLUMNS**2) / 2 / deviation**2)


MAPS = np.stack([gabor(n * np.pi / 6, 5 + n) for n in range(6)]).astype(np.float32)
MAPS[4] = 0  # a dead map
MAPS[5, 3, 4:8] = np.nan
PHOTO = np.stack([ROWS + 1, COLUMNS + 1, 1 - ROWS * COLUMNS], axis=2) * 127
PHOTO = PHOTO.clip(0, 255).astype(np.uint8)


def kernels(inputs):
    turn = np.arange(inputs)[None, :, None, None]
    filters = np.stack([gabor(n * np.pi / 4, 4, 0.7)[::2, ::3] for n in range(4)])[:, None]
    return (filters * np.cos(turn * 2 + np.arange(4)[:, None, None, None])).astype(np.float32)


FIELDS = [
    [cut(PHOTO, (top, left, top + 6, left + 6), 12) for left in (-2, 4, 12)] for top in (-2, 3)
]
HEAT = np.where(COLUMNS < -0.6, np.nan, 4 * MAPS[0]).repeat(3, 0).repeat(3, 1)


def heat(style, *, signed):
    photo = PHOTO.repeat(3, 0).repeat(3, 1)
    tile = heat_map.Tile(photo, HEAT.astype(np.float32), "", "", 1, signed)
    return heat_map.paint(tile, photo, style).picture


def shapes(scale=1):
    drawing = DisplayList(44, 30)
    drawing.rectangle((2, 2, 15, 12), (214, 239, 228), (29, 115, 84), 2)
    drawing.rectangle((18, 2, 41, 12), (246, 248, 250), (203, 211, 220), radius=4)
    drawing.line((2, 16, 41, 16), (118, 118, 124))
    drawing.line((4, 19, 16, 27), (178, 62, 45), 2)
    drawing.polygon([(20, 27), (26, 19), (32, 27)], (8, 69, 128))
    dashed_box(drawing, (34, 19, 41, 27), (120, 132, 147), 2)
    drawing.picture((3, 3), PHOTO[:4, :6], (12, 8))
    return drawing.pixels(scale)


PICTURES = {
    "shapes": shapes,
    "shapes-twice": partial(shapes, 2),
    "classes-on-photo": lambda: legend.on_photo(
        np.where(MAPS[0] > 0.2, 1, 0)[..., None].astype(np.uint8) * np.uint8([128, 0, 64]), PHOTO
    ),
    "finite-gray": lambda: sheet(MAPS[:4], upscale=2, numbered=False, gap=2),
    "scale-percentile": lambda: sheet(MAPS[:5], scale="percentile", upscale=1, numbered=False),
    "overlay-signed": lambda: sheet(
        MAPS[:1], style="overlay", scale="signed", photo=PHOTO, upscale=4, numbered=False
    ),
    "kernels-colour": lambda: kernel_sheet(kernels(3), upscale=4, numbered=False),
    "kernels-mosaic": lambda: kernel_sheet(kernels(4), upscale=2, gap=5, numbered=False),
    "strip": lambda: drawn(vectors.strip)(np.array([0, 0.2, np.nan]), style="magma"),
    "patches": lambda: patch_sheet(FIELDS, [10**9] * 2, columns=1),  # numbers without room
}
for style in ("heat", "overlay"):
    PICTURES[f"heat-map-{style}"] = partial(heat, style, signed=False)
    PICTURES[f"heat-map-{style}-signed"] = partial(heat, style, signed=True)
for style in STYLES:
    PICTURES[f"style-{style}"] = partial(
        sheet, MAPS, style=style, photo=PHOTO, upscale=1, numbered=False
    )


@pytest.mark.parametrize("name", PICTURES)
def test_picture(name):
    found = PICTURES[name]()
    assert max(found.shape) <= 96
    golden = GOLDEN / f"{name}.png"
    if os.environ.get("UPDATE_GOLDEN"):
        Image.fromarray(found[..., 0] if found.shape[2] == 1 else found).save(golden, optimize=True)
    with Image.open(golden) as picture:
        expected = np.asarray(picture).reshape(found.shape)
    difference = np.abs(found.astype(int) - expected)
    # Another processor rounds sums in another order; a level then flips here and there.
    assert difference.max() <= 4
    assert (difference > 0).mean() < 0.01


def test_no_golden_picture_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.png")} == set(PICTURES)
