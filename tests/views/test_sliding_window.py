"""Frames of a sliding window: where things are, told by their colours."""

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from cnntool.errors import UsageError
from cnntool.views import sliding_window
from cnntool.views.sliding_window import INPUT, KERNEL, RESULT, WindowFrame, WindowScene


def scene(shape=(3, 3), pads=(0, 0, 0, 0), weights=((0, 1), (2, 3)), stride=(1, 1), spread=(1, 1)):
    """Make a scene of whole numbers; the result's values are their numbers."""
    weights = np.array(weights, float)
    top, bottom, left, right = pads
    padded = np.zeros((shape[0] + top + bottom, shape[1] + left + right))
    padded[top : top + shape[0], left : left + shape[1]] = np.arange(np.prod(shape)).reshape(shape)
    extent = [(k - 1) * d + 1 for k, d in zip(weights.shape, spread, strict=True)]
    size = [(n - e) // s + 1 for n, e, s in zip(padded.shape, extent, stride, strict=True)]
    result = np.arange(np.prod(size), dtype=float).reshape(size)
    return WindowScene(padded, pads, weights, result, stride, spread, "a note")


def where(picture, colour):
    """Return the rows and columns of a colour's pixels."""
    return np.nonzero((np.asarray(picture) == colour).all(axis=2))


def cells(panel, pixels):
    """Return the cells of a panel in which pixels lie."""
    rows, columns = (pixels[0] - panel.top) // panel.cell, (pixels[1] - panel.left) // panel.cell
    return set(zip(rows.tolist(), columns.tolist(), strict=True))


@pytest.mark.parametrize(
    ("options", "steps", "spread"),
    [
        ({}, (1, 1), (1, 1)),
        ({"pads": (1, 1, 1, 1)}, (1, 1), (1, 1)),
        ({"shape": (6, 5), "stride": (2, 1)}, (2, 1), (1, 1)),
        ({"shape": (5, 7), "spread": (2, 3), "pads": (0, 1, 2, 0)}, (1, 1), (2, 3)),
    ],
)
@pytest.mark.full
def test_the_window_lies_where_the_value_comes_from(options, steps, spread):
    shown = scene(**options)
    stage = WindowFrame(shown)
    pictures = list(sliding_window.frames(shown))
    assert len(pictures) == shown.result.size
    for at, picture in zip(np.ndindex(shown.result.shape), pictures, strict=True):
        taps = {
            (at[0] * steps[0] + r * spread[0], at[1] * steps[1] + c * spread[1])
            for r, c in np.ndindex(shown.weights.shape)
        }
        assert cells(stage.input, where(picture, KERNEL.strong)) == taps
        assert cells(stage.result, where(picture, RESULT.strong)) == {at}
        before = {p for p in np.ndindex(shown.result.shape) if p < at}
        assert cells(stage.result, where(picture, RESULT.light)) == before


def test_the_border_is_not_filled():
    shown = scene(pads=(1, 0, 2, 1))
    stage = WindowFrame(shown)
    inside = {(r + 1, c + 2) for r, c in np.ndindex(3, 3)}
    assert cells(stage.input, where(stage.image, INPUT.light)) == inside


def test_one_frame_is_that_of_the_animation():
    shown = scene()
    assert (
        sliding_window.frame(shown, (1, 0)).tobytes()
        == list(sliding_window.frames(shown))[2].tobytes()
    )


def test_the_gif_holds_the_frames():
    shown = scene()
    body = sliding_window.gif(shown, 0.5)
    drawn = list(sliding_window.frames(shown))
    with Image.open(io.BytesIO(body)) as found:
        durations = []
        for ours, theirs in zip(drawn, ImageSequence.Iterator(found), strict=True):
            difference = np.abs(np.asarray(ours, int) - np.asarray(theirs.convert("RGB"), int))
            assert difference.mean() < 0.1
            assert difference.max() < 40
            assert (difference == 0).mean() > 0.97
            durations.append(theirs.info["duration"])
    assert durations == [500, 500, 500, 1500]
    assert len(body) < 40_000


def test_what_does_not_fit_into_cells_is_told_by_shades():
    rng = np.random.default_rng(0)
    padded = rng.random((30, 30))
    shown = WindowScene(padded, (0,) * 4, np.ones((3, 3)), rng.random((14, 14)), (2, 2), (1, 1), "")
    stage = WindowFrame(shown)
    assert stage.input.text == stage.result.text == 0
    rows, columns = np.indices(padded.shape)
    shades = np.asarray(stage.image).astype(int).sum(axis=2)
    middles = shades[
        stage.input.top + rows * stage.input.cell + stage.input.cell // 2,
        stage.input.left + columns * stage.input.cell + stage.input.cell // 2,
    ]
    order = np.argsort(padded, axis=None)
    assert (np.diff(middles.ravel()[order]) >= -2).all()
    assert middles.max() - middles.min() > 300
    picture = sliding_window.frame(shown, (0, 0))
    assert picture.size == stage.image.size


@pytest.mark.parametrize("shape", [(1, 1), (2, 32), (32, 2), (32, 32)])
def test_pictures_stay_of_a_size_for_a_slide(shape):
    shown = WindowScene(
        np.ones(shape), (0,) * 4, np.ones((1, 1)), np.ones(shape), (1, 1), (1, 1), "x"
    )
    width, height = sliding_window.frame(shown, (0, 0)).size
    assert 300 < width < 1400
    assert 150 < height < 700


def test_sizes_that_nobody_could_look_at():
    sliding_window.check_size((32, 32), (16, 16), 256)
    sliding_window.check_size((32, 32), (20, 20), 1)
    with pytest.raises(UsageError, match="32 a side"):
        sliding_window.check_size((33, 4), (4, 4), 16)
    with pytest.raises(UsageError, match="at most 256"):
        sliding_window.check_size((32, 32), (16, 17), 272)
