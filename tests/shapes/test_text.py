"""Shapes and sizes in words."""

import pytest

from cnntool.shapes.text import counted, shape_text, size_text


@pytest.mark.parametrize(
    ("shape", "more", "text"),
    [
        ((64, 28, 28), {}, "64 x 28 x 28"),
        ((1, "N", None), {"times": "x"}, "1x?x?"),
        ((), {}, "1"),
        ((), {"scalar": "scalar"}, "scalar"),
        (None, {}, "-"),
    ],
)
def test_shapes(shape, more, text):
    assert shape_text(shape, **more) == text


def test_sizes_name_their_sides():
    assert size_text(300, 451) == "300 rows x 451 columns"
    assert size_text(1, 1) == "1 row x 1 column"


def test_one_is_not_several():
    counts = [counted(number, "photo", ",") for number in (0, 1, 7712)]
    assert counts == ["0 photos", "1 photo", "7,712 photos"]
    assert [counted(2, what) for what in ("axis", "class")] == ["2 axes", "2 classes"]
