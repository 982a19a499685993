"""Figures for slides: what went in, captioned results, colour bars."""

import numpy as np
import pytest
from drawn import parsed, texts

import cnntool
from cnntool.api.activations import LayerOutputs, choose_layer
from cnntool.errors import ModelError, UsageError

PHOTO = np.random.default_rng(3).integers(0, 256, (6, 9, 3), np.uint8)


def words(figure):
    return texts(parsed(figure.svg()))


def test_it_says_what_went_in_and_what_each_kernel_made_of_it():
    figure = cnntool.filter_figure(PHOTO, "sobel-x", [[1, 1]], bank=True)
    assert words(figure) == [
        "<array>", "6 rows x 9 columns", "sobel-x", "range center", "brightness", "-1", "1", "0",
        "custom", "range clip", "brightness", "0", "1",
    ]  # fmt: skip


@pytest.mark.parametrize("kernel", ["sobel-x", "gaussian:sigma=1"])
def test_more_bits_make_the_same_picture(kernel):
    wide = cnntool.filter_figure(PHOTO.astype(np.uint16) * 257, kernel)
    few, many = (
        np.asarray(one).astype(int) for one in (cnntool.filter_figure(PHOTO, kernel), wide)
    )
    assert np.abs(few - many).max() <= 1


@pytest.mark.parametrize("shape", [(4, 900), (900, 4), (1, 1)])
def test_results_are_as_large_as_what_they_were_made_of(shape):
    figure = cnntool.filter_figure(np.full(shape, 200, np.uint8), "identity")._drawing
    went_in, made = [item for item in figure.items if hasattr(item, "pixels")][:2]
    assert went_in.size == made.size


def test_numbers_fill_their_range_and_maps_keep_their_numbers():
    said = words(cnntool.filter_figure(np.arange(12).reshape(3, 4) * 50, "0,0,-1;0,1,0;0,0,0"))
    assert {"range signed", "value"} <= set(said)
    stack = np.arange(6 * 20 * 20.0).reshape(6, 20, 20)
    said = words(cnntool.filter_figure(stack, "identity"))
    assert [said.count(str(number)) for number in range(1, 6)] == [2] * 5
    assert {"range minmax", "2399"} <= set(said)


def test_what_a_softmax_makes_is_called_probability():
    with cnntool.load_model() as net:
        units = {
            name: LayerOutputs(net, [one]).unit(one)
            for name in ("predictions", "block5_conv3")
            for one in [choose_layer(net, name)]
        }
    assert units == {"predictions": "probability", "block5_conv3": "activation"}


def test_what_cannot_be_drawn_is_refused():
    with cnntool.load_model() as net:
        with pytest.raises(ModelError, match="gives no picture"):
            net.figure(PHOTO)
        for wrong in ({"style": "pink"}, {"sort": "name"}, {"scale": "x"}, {"columns": 0}):
            for draw in (net.figure, net.page):
                with pytest.raises(UsageError, match="is expected"):
                    draw(PHOTO, "block1_conv1", **wrong)
        with pytest.raises(TypeError):
            net.figure(PHOTO, "block1_conv1", colour="pink")


def test_a_layer_and_its_photo_have_the_form_of_a_slide():
    pytest.importorskip("onnxruntime")
    with cnntool.load_model() as net:
        figure = net.figure(PHOTO, "block1_conv1")
    rows, columns = np.asarray(figure).shape[:2]
    assert 1.5 < columns / rows < 2.5
