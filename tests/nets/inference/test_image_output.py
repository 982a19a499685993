"""Answers of image-to-image networks as pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cnntool.errors import ModelError
from cnntool.nets.inference.image_output import Painting, back, paint, palette, with_chroma
from cnntool.nets.inference.infer_spec import InferredSpec
from cnntool.nets.models.labels import LabelSet
from cnntool.nets.models.manifest import InputSpec, OutputSpec


def plan(kind="image", white=255.0, labels=None, quantised=(1.0, 0.0), black=0.0, **entry):
    output = OutputSpec("out", kind, white=white, black=black)
    return InferredSpec("net", InputSpec("in", **entry), output, labels, quantised)


def test_a_picture_is_rounded_and_clipped():
    answer = np.array([-3.0, 0.4, 99.6, 255.4, 300.0], np.float32).reshape(1, 1, 1, 5)
    painting = paint(answer, plan())
    assert painting.pixels.ravel().tolist() == [0, 0, 100, 255, 255]
    assert painting.clipped == pytest.approx(0.4)
    dark = paint(answer / 100, plan(white=1.0, black=-1.0))
    assert dark.pixels.ravel().tolist() == [124, 128, 254, 255, 255]


@pytest.mark.parametrize("kind", ["image", "map"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_no_colour(kind, value):
    answer = np.zeros((1, 3, 2, 2), np.float32)
    answer[0, 1, 1, 1] = value
    with pytest.raises(ModelError, match="NaN or infinity"):
        paint(answer, plan(kind))


@pytest.mark.parametrize(("white", "most", "suits"), [
    (255.0, 1.4, False), (255.0, 3.0, True), (1.0, 3.0, True), (1.0, 200.0, False),
])  # fmt: skip
def test_a_white_that_was_assumed_is_checked_by_the_values(white, most, suits):
    answer = np.linspace(-0.1, most, 12, dtype=np.float32).reshape(1, 3, 2, 2)
    unsure = plan(white=white)._replace(unsure=True)
    if suits:
        assert np.array_equal(paint(answer, unsure).pixels, paint(answer, plan(white=white)).pixels)
    else:
        with pytest.raises(ModelError, match=f"and white was taken to be {white:g}") as error:
            paint(answer, unsure)
        assert "`white=255`" in error.value.hint
        paint(answer, plan(white=white))


def test_layouts_and_white():
    colours = np.random.default_rng(0).random((1, 3, 4, 5)).astype(np.float32)
    planar = paint(colours, plan(white=1.0))
    packed = paint(np.moveaxis(colours, 1, 3), plan(white=1.0, layout="NHWC"))
    assert planar.pixels.shape == (4, 5, 3)
    assert np.array_equal(planar.pixels, packed.pixels)
    swapped = paint(colours, plan(white=1.0, channel_order="BGR"))
    assert np.array_equal(planar.pixels[..., ::-1], swapped.pixels)


def test_quantised_answers():
    answer = np.array([10, 20], np.uint8).reshape(1, 1, 1, 2)
    assert paint(answer, plan(quantised=(2.0, 5.0))).pixels.ravel().tolist() == [10, 30]


def test_a_map_of_classes_and_of_scores():
    classes = np.array([[[0, 1], [2, 1]]])
    scores = np.eye(3)[classes[0]]  # rows, columns, classes
    for answer, entry in (
        (classes, {}),
        (classes[:, None], {}),
        (classes[..., None], {"layout": "NHWC"}),
        (np.moveaxis(scores, 2, 0)[None], {}),
        (scores[None], {"layout": "NHWC"}),
    ):
        painting = paint(answer, plan("map", **entry))
        assert painting.classes.tolist() == classes[0].tolist()
        assert painting.pixels[0, 1].tolist() == [128, 0, 0]
    own = LabelSet(("a", "b", "c"), ("",) * 3, ((1, 1, 1), (2, 2, 2), (3, 3, 3)))
    assert paint(classes, plan("map", labels=own)).pixels[..., 0].tolist() == [[1, 2], [3, 2]]


def test_the_palette_is_pascal_vocs():
    colours = palette()
    assert colours[:4] == [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)]
    assert colours[8] == (64, 0, 0)
    assert colours[20] == (0, 64, 128)
    assert len(set(colours)) == 256


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 2, 4, 5), (1, 5), (1, 1, 3, 4, 5)])
def test_what_is_no_picture_is_refused(shape):
    with pytest.raises(ModelError, match="is no picture"):
        paint(np.zeros(shape, np.float32), plan())


def test_back_to_the_inputs_size():
    classes = np.array([[1, 2], [3, 4]])
    pixels = np.repeat(classes[..., None], 3, 2).astype(np.uint8)
    larger = back(Painting(pixels, classes=classes), (4, 6))
    assert larger.classes.tolist() == [[1, 1, 1, 2, 2, 2]] * 2 + [[3, 3, 3, 4, 4, 4]] * 2
    assert np.array_equal(larger.pixels[..., 0], larger.classes)
    smooth = back(Painting(np.full((4, 4, 3), 9, np.uint8)), (5, 7))
    assert smooth.pixels.shape == (5, 7, 3)
    assert (smooth.pixels == 9).all()


def test_enlarged_luma_gets_its_colours_back():
    picture = np.full((6, 8, 3), (200, 40, 90), np.uint8)
    luma = np.asarray(Image.fromarray(picture).convert("YCbCr"))[..., :1]
    enlarged = Painting(luma.repeat(3, 0).repeat(3, 1))
    coloured = with_chroma(enlarged, picture).pixels
    assert coloured.shape == (18, 24, 3)
    assert np.abs(coloured.astype(int) - (200, 40, 90)).max() <= 2
