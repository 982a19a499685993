"""Frames of a sliding window: where things are, told by their colours."""

import gc
import io
import weakref

import numpy as np
import pytest
from PIL import Image, ImageSequence

from cnntool.errors import UsageError
from cnntool.views import sliding_window
from cnntool.views.sliding_window import INPUT, KERNEL, RESULT, Frames, Grid, Mark, Scene, Step


def scene(shape=(3, 3), pads=(0, 0, 0, 0), kernel=(2, 2), stride=(1, 1), spread=(1, 1)):
    """Make a scene of whole numbers; the result's values are their numbers."""
    top, bottom, left, right = pads
    padded = np.zeros((shape[0] + top + bottom, shape[1] + left + right))
    padded[top : top + shape[0], left : left + shape[1]] = np.arange(np.prod(shape)).reshape(shape)
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, spread, strict=True)]
    size = [(n - e) // s + 1 for n, e, s in zip(padded.shape, extent, stride, strict=True)]
    result = np.arange(np.prod(size), dtype=float).reshape(size)
    weights = np.arange(np.prod(kernel), dtype=float).reshape(kernel)
    steps = []
    for at in np.ndindex(*result.shape):
        first = at[0] * stride[0], at[1] * stride[1]
        cells = [
            (first[0] + r * spread[0], first[1] + c * spread[1]) for r, c in np.ndindex(*kernel)
        ]
        small = [f"{weight:g}" for weight in weights.ravel()]
        window = Mark(0, cells, KERNEL, (*first, *extent), small)
        steps.append(
            Step([window, Mark(2, [at], RESULT, (*at, 1, 1))], [(2, at, result[at])], ["a sum"])
        )
    grids = [
        Grid("input", padded, INPUT, pads),
        Grid("kernel", weights, KERNEL, sign="*"),
        Grid("result", result, RESULT, sign="=", filled=False),
    ]
    return Scene(grids, steps, "a note")


def flat(padded, kernel, result):
    """Make a scene of one step, of grids as they are."""
    grids = [Grid("a", padded, INPUT), Grid("b", kernel, KERNEL), Grid("c", result, RESULT)]
    return Scene(grids, [Step([], [], ["x"])], "x")


def where(picture, colour):
    """Return the rows and columns of a colour's pixels."""
    return np.nonzero((np.asarray(picture) == colour).all(axis=2))


def cells(panel, pixels):
    """Return the cells of a panel in which pixels lie."""
    rows, columns = (pixels[0] - panel.top) // panel.cell, (pixels[1] - panel.left) // panel.cell
    return set(zip(rows.tolist(), columns.tolist(), strict=True))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pads": (1, 1, 1, 1)},
        {"shape": (6, 5), "stride": (2, 1)},
        {"shape": (5, 7), "spread": (2, 3), "pads": (0, 1, 2, 0)},
    ],
)
@pytest.mark.full
def test_the_window_lies_where_the_value_comes_from(options):
    shown = scene(**options)
    stage = Frames(shown)
    given, _, result = stage.panels
    pictures = list(sliding_window.frames(shown))
    assert len(pictures) == len(shown.steps) == result.grid.values.size
    places = list(np.ndindex(*result.shape))
    for number, (step, picture) in enumerate(zip(shown.steps, pictures, strict=True)):
        assert cells(given, where(picture, KERNEL.strong)) == set(step.marks[0].cells)
        assert cells(result, where(picture, RESULT.strong)) == {places[number]}
        assert cells(result, where(picture, RESULT.light)) == set(places[:number])


def test_the_border_is_not_filled():
    stage = Frames(scene(pads=(1, 0, 2, 1)))
    inside = {(r + 1, c + 2) for r, c in np.ndindex(3, 3)}
    assert cells(stage.panels[0], where(stage.ground, INPUT.light)) == inside


def test_one_frame_is_that_of_the_animation():
    shown = scene()
    one = sliding_window.frame(shown, 2)
    np.testing.assert_array_equal(one.pixels(), list(sliding_window.frames(shown))[2])


def test_a_frame_is_svg_with_its_numbers_as_text():
    text = sliding_window.frame(scene(), 2).svg().decode()
    assert text.count(">8</text>") == 1  # the input's last
    for word in ("input", "kernel", "result", "a sum", "a note", "*", "="):
        assert f">{word}</text>" in text


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_an_animation_holds_the_frames(form):
    shown = scene()
    body = sliding_window.animation(shown, 0.5, form)
    drawn = list(sliding_window.frames(shown))
    with Image.open(io.BytesIO(body)) as found:
        assert found.format == form.upper()
        assert found.n_frames == len(drawn)
        durations = []
        for ours, theirs in zip(drawn, ImageSequence.Iterator(found), strict=True):
            difference = np.abs(np.asarray(ours, int) - np.asarray(theirs.convert("RGB"), int))
            if form == "webp":
                assert not difference.any()
            assert difference.mean() < 0.1
            assert difference.max() < 40
            assert (difference == 0).mean() > 0.97
            durations.append(theirs.info["duration"])
    assert durations == [500, 500, 500, 1500]
    assert len(body) < 40_000


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_frames_are_not_kept(form, monkeypatch):
    alive, most = [], []
    frames = sliding_window.frames

    def counted(shown, width):
        for image in frames(shown, width):
            alive.append(weakref.ref(image))
            yield image
            del image
            gc.collect(0)
            most.append(sum(one() is not None for one in alive))

    monkeypatch.setattr(sliding_window, "frames", counted)
    sliding_window.animation(scene((4, 4), kernel=(1, 1)), 0.1, form)
    assert len(most) >= 15
    assert max(most) <= 3


def test_a_wider_animation_has_larger_text():
    shown = scene()
    (height, width, _) = Frames(shown).ground.shape
    for form in sliding_window.FORMATS:
        body = sliding_window.animation(shown, 0.5, form, 2 * width)
        with Image.open(io.BytesIO(body)) as found:
            assert found.size == (2 * width, 2 * height)
            found.seek(3)
            last = np.asarray(found.convert("RGB"), int)
        expected = sliding_window.frame(shown, 3).pixels(2)
        assert np.abs(last - expected).mean() < 0.1


def test_an_animation_of_one_step():
    shown = scene((2, 2))
    for form in sliding_window.FORMATS:
        with Image.open(io.BytesIO(sliding_window.animation(shown, 0.5, form))) as found:
            assert getattr(found, "n_frames", 1) == 1


def test_what_does_not_fit_into_cells_is_told_by_shades():
    rng = np.random.default_rng(0)
    padded = rng.random((30, 30))
    shown = flat(padded, np.ones((3, 3)), rng.random((14, 14)))
    stage = Frames(shown)
    given, _, result = stage.panels
    assert given.text == result.text == 0
    rows, columns = np.indices(padded.shape)
    shades = np.asarray(stage.ground).astype(int).sum(axis=2)
    middles = shades[
        given.top + rows * given.cell + given.cell // 2,
        given.left + columns * given.cell + given.cell // 2,
    ]
    order = np.argsort(padded, axis=None)
    assert (np.diff(middles.ravel()[order]) >= -2).all()
    assert middles.max() - middles.min() > 300
    assert sliding_window.frame(shown, 0).shape == stage.ground.shape


def test_pixels_of_a_photo_are_as_bright_as_they_are():
    values = np.array([[0.0, 0.4], [0.8, 1.0]])
    shown = Scene([Grid("photo", values, INPUT, photo=True)], [Step([], [], ["x"])], "x")
    stage = Frames(shown)
    drawn, (panel,) = stage.ground.pixels(), stage.panels
    for at in np.ndindex(2, 2):
        left, top, _, _ = panel.box(*at)
        assert set(drawn[top + 4, left + 4]) == {round(255 * values[at])}


def test_a_place_without_a_value_is_empty():
    values = np.array([[1.0, np.nan]])
    text = sliding_window.frame(flat(values, values, values), 0).svg().decode()
    assert text.count(">1</text>") == 3
    assert "nan" not in text


def test_what_is_written_twice_shows_its_last_value():
    steps = [Step([], [(0, (0, 0), 1.0)], ["x"]), Step([], [(0, (0, 0), 3.0)], ["x"])]
    shown = Scene([Grid("sum", np.zeros((1, 2)), RESULT)], steps, "x")
    assert ">1</text>" in sliding_window.frame(shown, 0).svg().decode()
    text = sliding_window.frame(shown, 1).svg().decode()
    assert ">3</text>" in text
    assert ">1</text>" not in text


@pytest.mark.parametrize("shape", [(1, 1), (2, 32), (32, 2), (32, 32)])
def test_pictures_stay_of_a_size_for_a_slide(shape):
    shown = flat(np.ones(shape), np.ones((1, 1)), np.ones(shape))
    height, width, _ = sliding_window.frame(shown, 0).shape
    assert 300 < width < 1400
    assert 150 < height < 700


def test_sizes_that_nobody_could_look_at():
    sliding_window.check_size({"an input": (32, 32), "a result": (16, 16)}, (16, 16))
    sliding_window.check_size({"an input": (32, 32), "a result": (20, 20)})
    with pytest.raises(UsageError, match="32 a side"):
        sliding_window.check_size({"an input": (33, 4), "a result": (4, 4)}, (4, 4))
    with pytest.raises(UsageError, match="at most 256"):
        sliding_window.check_size({"an input": (32, 32), "a result": (16, 17)}, (16, 17))
