import pytest

from cnntool.views import number_format


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "3"), (-0.0, "0"), (123456.0, "123456"), (1e7, "1e+07"), (1 / 3, "0.3333"),
        (-2.5, "-2.5"), (float("nan"), "nan"), (float("-inf"), "-inf"),
    ],
)  # fmt: skip
def test_short(value, text):
    assert number_format.short(value) == text


def test_decibels():
    shown = [number_format.decibels(value) for value in (None, -0.04, 12.34, float("inf"))]
    assert shown == ["-", "0.0", "12.3", "inf"]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1, -20, 300], ["1", "-20", "300"]),
        ([0.25, 0, 1 / 3], ["0.250", "0", "0.333"]),
        ([12.345, 2], ["12.3", "2.0"]),
        ([123.4, 0.001, -0.001], ["123", "0", "0"]),
        ([1e-5, 2e-4], ["1e-05", "0.0002"]),
        ([2.5e6, 0.51234], ["2500000", "0.512"]),
        ([0.0], ["0"]),
        ([], []),
    ],
)
def test_alike(values, texts):
    assert number_format.alike(values) == texts


def test_a_matrix_is_aligned_and_its_corner_shown():
    assert number_format.matrix([[1, -20], [0.5, 3]]) == ["  1  -20", "0.5    3"]
    lines = number_format.matrix([[0.0] * 16] * 2)
    assert lines == ["  ".join("0" * 15)] * 2 + ["(the first 2 rows and 15 columns)"]


def test_blocks_side_by_side():
    parts = [("a", ["1  2", "3  4", "5  6"]), ("long", ["7"]), ("c", ["8", "9"])]
    assert number_format.beside(parts, ["*"]) == [
        "a        long     c",
        "1  2     7        8",
        "3  4  *           9",
        "5  6",
    ]


def test_points_stand_below_each_other():
    lines = number_format.lined_up([[3.3689999999999998, -12], [0.1 + 0.2, 1e-7]])
    assert lines == [["    3.369", "  -12    "], ["    0.3  ", "1e-07    "]]


def test_columns_without_room_are_set_below():
    rows = [["11", "12", "13"], ["21", "22", "23"]]
    assert number_format.blocks(rows, 10) == ["11  12  13", "21  22  23"]
    assert number_format.blocks(rows, 9) == [
        "columns 0 to 1:", "11  12", "21  22", "column 2:", "13", "23"
    ]  # fmt: skip
    assert number_format.blocks(rows, 1)[:2] == ["column 0:", "11"]
