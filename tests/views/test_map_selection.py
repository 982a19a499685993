import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cnntool.errors import UsageError
from cnntool.views.feature_maps import SORTS, choose, rank

MAPS = np.array(
    [
        [[0, 0, 0, 4]],  # mean 1, max 4, three zeros
        [[2, 2, 2, 2]],  # mean 2, max 2, no zero
        [[0, 0, 0, 0]],
        [[0, 3, 3, 0]],  # mean 1.5, max 3, two zeros
        [[-9, 0, 0, 3]],  # mean -1.5, max 3, two zeros
    ],
    np.float32,
)


@pytest.mark.parametrize(
    ("selection", "sort", "expected"),
    [
        ("", None, [0, 1, 2, 3, 4]),
        ("3,1", None, [3, 1]),
        ("1-3", None, [1, 2, 3]),
        ("3-", None, [3, 4]),
        ("3-99", None, [3, 4]),
        (" 4 , 0-1 , 1-2 ", None, [4, 0, 1, 2]),
        ("", "mean", [1, 3, 0, 2, 4]),
        ("", "max", [0, 3, 4, 1, 2]),
        ("", "sparsity", [2, 0, 3, 4, 1]),
        ("0-2", "max", [0, 1, 2]),
        ("top:2", None, [1, 3]),
        ("top:2", "max", [0, 3]),
        ("top: 99", "sparsity", [2, 0, 3, 4, 1]),
    ],
)
def test_by_hand(selection, sort, expected):
    assert choose(MAPS, selection, sort).tolist() == expected


@pytest.mark.parametrize(
    "selection", ["x", "1;2", "-1", "1-2-3", "top:", "top:0", "1,,2", "٣", "top:-1"]
)
def test_what_is_no_choice_is_refused_with_a_hint(selection):
    with pytest.raises(UsageError) as caught:
        choose(MAPS, selection)
    assert "top:16" in caught.value.hint


def test_an_empty_range():
    with pytest.raises(UsageError, match="3-1 is empty"):
        choose(MAPS, "3-1")


@pytest.mark.parametrize("selection", ["5", "0,7", "5-9", "6-"])
def test_maps_that_do_not_exist(selection):
    with pytest.raises(UsageError, match=r"the layer has 5 \(0 to 4\)"):
        choose(MAPS, selection)


@pytest.mark.parametrize("sort", SORTS)
def test_nan_does_not_count_and_what_has_no_number_comes_last(sort):
    maps = np.array(
        [[[np.nan, np.nan]], [[np.nan, 1.0]], [[0.0, np.inf]], [[0.5, 0.5]]], np.float32
    )
    order = choose(maps, sort=sort).tolist()
    assert order == {"mean": [1, 3, 2, 0], "max": [1, 3, 2, 0], "sparsity": [2, 1, 3, 0]}[sort]


def test_float16_sums_do_not_overflow():
    maps = np.full((2, 300, 300), 1000, np.float16)
    maps[1] += 8
    assert choose(maps, sort="mean").tolist() == [1, 0]


@given(
    arrays.arrays(np.float32, st.tuples(st.integers(1, 9), st.just(2), st.just(3))),
    st.sampled_from(list(SORTS)),
)
def test_an_order_holds_every_map_once(maps, sort):
    assert sorted(rank(maps, sort).tolist()) == list(range(len(maps)))


@pytest.mark.full
@given(st.lists(st.integers(0, 40), min_size=1), st.none() | st.sampled_from(list(SORTS)))
def test_numbers_lose_nothing_and_repeat_nothing(numbers, sort):
    maps = np.random.default_rng(1).normal(size=(41, 2, 2))
    found = choose(maps, ",".join(map(str, numbers)), sort).tolist()
    assert sorted(found) == sorted(set(numbers))
    if sort is None:
        assert found == list(dict.fromkeys(numbers))
