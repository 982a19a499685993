"""Every kind of figure as SVG: well-formed, its words as text, nothing that runs or is fetched."""

import numpy as np
import pytest
from drawn import elements, texts

from cnntool.views import (
    bars,
    captioned,
    confusion_matrix,
    difference,
    feature_maps,
    frequency_response,
    heat_map,
    kernels,
    legend,
    matrix,
    top_patches,
    unit,
    vectors,
)
from cnntool.views.contact_sheet import Caption

NAME = "<b>&\x1b[1m</text><script>alert(1)</script>"
SHOWN = "<b>&\\x1b[1m</text><script>alert(1)</script>"
MAPS = np.arange(2 * 6 * 8.0, dtype=np.float32).reshape(2, 6, 8)
PHOTO = np.arange(30 * 40 * 3, dtype=np.uint32).reshape(30, 40, 3).astype(np.uint8)
TAPS = np.array([[1.0, -2.0], [3.0, 0.5]])
CAPTION = Caption(NAME, "facts")
WIDE = 400
"""Pixels that the name surely has room in."""


def slide():
    channel = unit.Channel("7", TAPS, TAPS, TAPS * TAPS)
    return unit.draw_unit(
        unit.UnitScene(
            NAME, "facts", PHOTO, (5, 5, 12, 14), ["it sees rows"], [channel], 3,
            np.array([[True, True], [True, False]]), 1.5, 0.5, ("ReLU", 2.0), "note",
        )
    )  # fmt: skip


FIGURES = {
    "maps": lambda: feature_maps.sheet(MAPS, upscale=40, caption=CAPTION),
    "overlay": lambda: feature_maps.sheet(
        MAPS, style="overlay", photo=PHOTO, upscale=40, caption=CAPTION
    ),
    "kernels": lambda: kernels.kernel_sheet(np.ones((3, 3, 5, 5)), upscale=40, caption=CAPTION),
    "mosaics": lambda: kernels.kernel_sheet(np.ones((3, 4, 5, 5)), upscale=20, caption=CAPTION),
    "vector": lambda: vectors.vector_sheet(np.arange(40.0), caption=CAPTION),
    "patches": lambda: top_patches.patch_sheet([[PHOTO] * 9] * 2, [7, 9], caption=CAPTION),
    "difference": lambda: difference.difference_sheet(MAPS, MAPS + 1, [0], titles=(NAME, "B", "")),
    "heat maps": lambda: heat_map.sheet(
        [heat_map.Tile(PHOTO.repeat(20, 1), MAPS[0], "Grad-CAM", NAME, 0.5)], title=NAME
    ),
    "bars": lambda: bars.chart([bars.Bar("map 7", (0.5, -0.2))], ("lost", "more"), title=NAME),
    "confusion": lambda: confusion_matrix.draw(np.eye(2, dtype=int), [NAME, "dog"]),
    "matrix": lambda: matrix.picture(TAPS, matrix.Drawn(NAME, "note", (1, 1), TAPS)),
    "responses": lambda: frequency_response.picture(
        [(NAME, np.ones((frequency_response.SIDE,) * 2))] * 2
    ),
    "unit": slide,
    "equation": lambda: matrix.equation(
        [matrix.Factor(TAPS, NAME, (1, 1), ["0,0"], ["a"])] * 3, NAME, "note"
    ),
    "captioned": lambda: captioned.beside(
        captioned.cell(PHOTO, NAME, size=(90, 120)),
        [captioned.cell(legend.draw([((9, 9, 200), "sky", "7%")] * 9, 100), "classes")] * 3,
        2,
    ),
}


@pytest.mark.parametrize("kind", FIGURES)
def test_a_figure(kind):
    drawing = FIGURES[kind]()
    root = elements(drawing)
    joined = "".join(texts(root))  # captions break into lines
    assert SHOWN.replace(" ", "") in joined.replace(" ", "") or "..." in joined
    assert joined.isprintable()
    large = drawing.pixels(2)
    rows, columns, channels = drawing.shape
    assert large.shape == (2 * rows, 2 * columns, channels)
    # The same figure in more detail: shrunk it is what it was, but for its letters.
    halved = large.reshape(rows, 2, columns, 2, channels).mean(axis=(1, 3))
    assert (np.abs(halved - drawing.pixels()) > 60).mean() < 0.05


@pytest.mark.parametrize("kind", ["maps", "patches", "kernels"])
def test_numbers_of_tiles_are_text(kind):
    numbers = {"maps": ["0", "1"], "patches": ["7", "9"], "kernels": ["0", "1", "2"]}[kind]
    assert [text for text in texts(elements(FIGURES[kind]())) if text.isdigit()] == numbers
