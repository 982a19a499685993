"""Wrong types and values of every public function: errors that say what was expected."""

import inspect
import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnntool
from cnntool.errors import ArgumentTypeError, CnntoolError, InputError, OutputError, UsageError

PHOTO = np.arange(64, dtype=np.uint8).reshape(8, 8)
MAPS = np.zeros((2, 4, 4))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A word may be taken for a file to write."""
    monkeypatch.chdir(tmp_path)


def _filter(image=PHOTO, kernels="box", **given):
    return cnntool.filter(image, kernels, **given)


def _im2col(images=PHOTO, kernels="box", **given):
    return cnntool.im2col(images, *([] if "kernel_size" in given else [kernels]), **given)


def _pool(**given):
    return cnntool.pool(**{"image": PHOTO, **({} if "avg" in given else {"max": 2}), **given})


def _resize(**given):
    return cnntool.resize(**{"image": PHOTO, **({} if "scale" in given else {"size": 3}), **given})


def with_defaults(name, **defaults):
    return lambda **given: getattr(cnntool, name)(**{**defaults, **given})


def _map_pictures(**given):
    return list(cnntool.map_pictures(**{"function": np.sum, "images": [PHOTO], **given}))


CALLS = {
    "filter": _filter,
    "filter_figure": lambda image=PHOTO, kernels="box", **given: cnntool.filter_figure(
        image, kernels, **given
    ),
    "filter_plan": lambda image=PHOTO, kernels="box", **given: cnntool.filter_plan(
        image, kernels, **given
    ),
    "convolve": with_defaults("convolve", image=PHOTO, kernel="box"),
    "pool": _pool,
    "unpool": with_defaults("unpool", image=PHOTO[:1, :1], switches=np.zeros((1, 1)), size=2),
    "deconv": with_defaults("deconv", image=PHOTO, kernel="box"),
    "resize": _resize,
    "im2col": _im2col,
    "layer_chain": lambda layers="8x8x3 conv:3,f4": cnntool.layer_chain(layers),
    "frequency_response": with_defaults("frequency_response", kernel="box"),
    "convolution_matrix": with_defaults("convolution_matrix", kernel="box", input_size=4),
    "trace": with_defaults("trace", image=PHOTO, kernel="box", at=(1, 1)),
    "read_image": with_defaults("read_image", source=PHOTO),
    "write_image": with_defaults("write_image", target=io.BytesIO(), image=PHOTO, format="png"),
    "contact_sheet": with_defaults("contact_sheet", maps=MAPS),
    "map_pictures": _map_pictures,
}
PARAMETERS = [
    (name, parameter)
    for name in CALLS
    for parameter in inspect.signature(getattr(cnntool, name)).parameters
    if (name, parameter) != ("filter_plan", "options")
]
NOBODY_WANTS = [
    object(), {1: 2}, {3}, 1 + 2j, range, b"\xff", "no such word", -7, 2.5, float("nan"),
    (1, 2, 3, 4, 5), [], "",
]  # fmt: skip


def test_every_public_function_is_here():
    functions = {name for name in dir(cnntool) if inspect.isfunction(getattr(cnntool, name))}
    others = {"compare", "compare_weights", "features", "kernels", "load_model"}
    assert {name for name in functions if name[0] != "_"} - others == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_the_calls_are_right_but_for_what_is_changed(name):
    CALLS[name]()


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_an_object_is_refused_by_name(name, parameter):
    if (name, parameter) == ("read_image", "notes"):
        return  # anything that can be called
    with pytest.raises(ArgumentTypeError) as caught:
        CALLS[name](**{parameter: object()})
    assert isinstance(caught.value, TypeError)
    assert "object" in str(caught.value)
    assert caught.value.source == f"`{parameter}`"


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_what_nobody_wants_is_taken_or_an_error_of_the_tree(name, parameter):
    for value in NOBODY_WANTS if parameter not in {"notes", "function"} else ():
        with suppress(UsageError, InputError, OutputError):
            CALLS[name](**{parameter: value})


@given(
    st.sampled_from(PARAMETERS),
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.floats(width=16) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner),
        max_leaves=4,
    ),
)
def test_anything_is_taken_or_an_error_of_the_tree(place, value):
    name, parameter = place
    if parameter in {"notes", "function"} or (parameter == "target" and isinstance(value, str)):
        return
    with suppress(CnntoolError):
        CALLS[name](**{parameter: value})


@pytest.mark.parametrize(
    ("call", "kind", "told"),
    [
        (lambda: cnntool.filter(PHOTO), TypeError, "`kernels`: at least one kernel is expected"),
        (
            lambda: cnntool.filter(PHOTO, "box", border="edge"),
            ValueError,
            "replicate, wrap is expected, not 'edge'",
        ),
        (
            lambda: cnntool.filter([[1, 2]], "box"),
            TypeError,
            "a PIL image or an array is expected, not list",
        ),
        (
            lambda: cnntool.filter(np.array(["a"]), "box"),
            TypeError,
            "an array of real numbers is expected, not of <U1",
        ),
        (
            lambda: cnntool.filter(np.zeros((2, 2, 2, 2)), "box"),
            ValueError,
            "is expected, not of shape",
        ),
        (lambda: cnntool.filter(np.zeros((0, 3)), "box"), ValueError, "not of shape"),
        (lambda: cnntool.filter(io.StringIO("x"), "box"), TypeError, "binary mode"),
        (
            lambda: cnntool.filter(PHOTO, "sobel", stride=(1, 2, 3)),
            ValueError,
            "`stride`: one whole number or two",
        ),
        (
            lambda: cnntool.filter(PHOTO, "sobel", stride=0),
            ValueError,
            "`stride`: a whole number from 1",
        ),
        (
            lambda: cnntool.filter(PHOTO, "sobel", relu=1),
            TypeError,
            "`relu`: True or False is expected, not int",
        ),
        (
            lambda: cnntool.filter(PHOTO, [[1, 2], [3]]),
            ValueError,
            "a kernel must be a matrix of numbers",
        ),
        (
            lambda: cnntool.filter(PHOTO, "median", mode="valid"),
            ValueError,
            "`mode` makes no sense for median",
        ),
        (
            lambda: cnntool.filter(PHOTO, "box", channels="luma", mix=[[1.0]]),
            ValueError,
            "`channels=luma` is for colour pictures",
        ),
        (lambda: cnntool.pool(PHOTO), ValueError, "give either `max` or `avg`"),
        (lambda: cnntool.pool(PHOTO, avg=2, switches=True), ValueError, "`switches` is of `max`"),
        (lambda: cnntool.resize(PHOTO, scale=-1), ValueError, "`scale`: one positive number"),
        (lambda: cnntool.trace(PHOTO, "median", (0, 0)), ValueError, "median is no convolution"),
        (lambda: cnntool.trace(PHOTO, "box", (9, 9)), ValueError, "lies outside of the result"),
        (lambda: cnntool.convolve(PHOTO, "median"), ValueError, "median is no convolution"),
        (lambda: cnntool.read_image("none.png"), InputError, "none.png: no such file"),
        (lambda: cnntool.read_image(b"not a picture"), InputError, "<bytes>: "),
        (lambda: cnntool.write_image(io.BytesIO(), PHOTO), OutputError, "nothing tells the format"),
        (
            lambda: cnntool.write_image(io.BytesIO(), MAPS[0], format="png"),
            OutputError,
            "PNG holds no float64 samples",
        ),
        (lambda: cnntool.contact_sheet(MAPS, style="overlay"), ValueError, "needs the photo"),
        (lambda: cnntool.contact_sheet(MAPS, columns=0), ValueError, "`columns`"),
    ],
)
def test_errors_say_what_was_expected(call, kind, told):
    with pytest.raises(kind, match=told) as caught:
        call()
    assert isinstance(caught.value, CnntoolError)
