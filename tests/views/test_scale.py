import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cnntool.errors import UsageError
from cnntool.views import scale
from cnntool.views.colormaps import MARK, TOP


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("clip", [-2, -1, 0, 0.5, 1, 3]),
        ("raw", [-2, -1, 0, 0.5, 1, 3]),
        ("abs", [2, 1, 0, 0.5, 1, 3]),
        ("center", [-0.5, 0, 0.5, 0.75, 1, 2]),
        ("minmax", [0, 0.2, 0.4, 0.5, 0.6, 1]),
        ("signed", [1 / 6, 1 / 3, 0.5, 7 / 12, 2 / 3, 1]),
    ],
)
def test_policies_by_hand(policy, expected):
    maps = np.array([-2, -1, 0, 0.5, 1, 3], np.float32)
    symmetric = scale.is_symmetric(policy, "signed")
    result = scale.to_unit(maps, policy, scale.range_limits(maps, policy, symmetric=symmetric))
    np.testing.assert_allclose(result, expected, atol=1e-7)
    assert result is maps


def test_a_constant_map_has_no_range_to_stretch():
    maps = np.full((2, 2), 7.0)
    assert scale.to_unit(maps, "minmax", scale.extremes(maps)).tolist() == [[0, 0], [0, 0]]


def test_percentiles_by_hand():
    maps = np.append(np.arange(101.0), [np.nan, np.inf])
    assert scale.range_limits(maps, "percentile") == (1, 99)
    assert scale.range_limits(-maps, "percentile", symmetric=True) == (-99, 99)
    assert scale.is_symmetric("percentile", "signed")
    assert not scale.is_symmetric("percentile", "magnitude")


def test_percentiles_of_nearly_nothing_are_the_ends():
    maps = np.zeros(1000)
    assert scale.range_limits(maps, "percentile", symmetric=True) == (-1, 1)
    maps[7] = -4
    assert scale.range_limits(maps, "percentile") == (-4, 0)
    assert scale.range_limits(maps, "percentile", symmetric=True) == (-4, 4)


def test_extremes_look_past_what_is_no_number():
    assert scale.extremes(np.array([np.nan, 1, np.inf, -2])) == (-2, 1)
    assert scale.extremes(np.array([np.nan])) == (0, 1)


def levels(maps, name="channel"):
    maps = np.asarray(maps)
    maps = maps.astype(np.float32) if maps.dtype == np.float64 else maps
    return scale.to_levels(maps, scale.limits(maps, name))


TWO = [[[0.0, 1.0], [2.0, 4.0]], [[10.0, 10.0], [10.0, 20.0]]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 255 equal steps: 1 of 4 is step 63.7, 2 of 4 is step 127.5, all of it the last step
        ("channel", [[[0, 63], [127, 254]], [[0, 0], [0, 254]]]),
        ("layer", [[[0, 12], [25, 50]], [[127, 127], [127, 254]]]),
        # from -4 to 4, and from -20 to 20
        ("signed", [[[127, 159], [191, 254]], [[191, 191], [191, 254]]]),
    ],
)
def test_levels_by_hand(name, expected):
    assert levels(TWO, name).tolist() == expected


def test_negative_values_are_below_the_middle():
    assert levels([[[-2.0, -1.0, 0.0, 1.0]]], "signed").tolist() == [[[0, 63, 127, 191]]]


def test_percentiles_look_past_a_few_wild_values():
    maps = np.linspace(0, 1, 1000, dtype=np.float32).reshape(1, 20, 50)
    maps[0, 0, 0], maps[0, -1, -1] = -1e6, 1e6
    ends = scale.limits(maps, "percentile")
    low, high = np.percentile(maps, [1, 99])
    np.testing.assert_allclose([ends.low[0], ends.high[0]], [low, high], rtol=1e-6)
    found = scale.to_levels(maps, ends)[0]
    assert found[0, 0] == 0
    assert found[-1, -1] == TOP
    assert len(np.unique(found)) == 255
    assert len(np.unique(levels(maps, "layer"))) == 3


def test_a_layer_that_is_nearly_all_zeros_still_shows_what_it_has():
    maps = np.zeros((4, 20, 20), np.float32)
    maps[2, 3, 4] = 5
    found = levels(maps, "percentile")
    assert found[2, 3, 4] == TOP
    assert found.sum() == TOP


@pytest.mark.parametrize(
    ("name", "neutral"), [*((n, 0) for n in scale.SCALES if n != "signed"), ("signed", 127)]
)
def test_a_dead_map_has_the_level_of_zero(name, neutral):
    assert np.unique(levels(np.zeros((2, 3, 3)), name)).tolist() == [neutral]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_rounding_errors_are_no_structure(dtype):
    maps = np.full((1, 2, 2), 3, dtype)
    maps[0, 0, 0] = np.nextafter(dtype(3), dtype(4))
    assert not levels(maps).any()


def test_nan_is_marked_and_infinities_go_to_the_ends():
    found = levels([[[np.nan, -np.inf, np.inf], [0, 1, 2]]])
    assert found.tolist() == [[[MARK, 0, TOP], [0, 127, TOP]]]


def test_infinity_shows_in_a_map_that_is_constant_otherwise():
    assert levels([[[3, 3, np.inf, -np.inf, np.nan]]]).tolist() == [[[0, 0, TOP, 0, MARK]]]


@pytest.mark.parametrize("name", scale.SCALES)
def test_a_map_without_a_number_does_not_disturb_the_others(name):
    maps = np.array([[[np.nan, np.nan]], [[5.0, 9.0]]], np.float32)
    found = levels(maps, name)
    assert found[0].tolist() == [[MARK, MARK]]
    assert found[1, 0, 1] == TOP
    assert (levels(maps[:1], name) == MARK).all()


@pytest.mark.parametrize(
    "maps",
    [
        np.array([[[0, 1], [2, 4]]], np.uint8),
        np.array([[[0, 1], [2, 4]]], np.int64),
        np.array([[[0, 1], [2, 4]]], np.float16),
        np.array([[[0, 1], [2, 4]]]) * np.float32(1e-44) / np.float32(1),
        np.array([[[-2, -1], [0, 2]]], np.float32) * np.float32(1.6e38),
    ],
)
def test_numbers_of_all_kinds_and_sizes(maps):
    np.testing.assert_allclose(levels(maps)[0], [[0, 63], [127, 254]], atol=1)


def test_bool():
    assert levels(np.array([[[True, False]]])).tolist() == [[[TOP, 0]]]


@given(
    arrays.arrays(
        st.sampled_from([np.float16, np.float32]),
        arrays.array_shapes(min_dims=3, max_dims=3, max_side=6),
        elements={"allow_nan": True, "allow_infinity": True},
    ),
    st.sampled_from(list(scale.SCALES)),
)
def test_levels_keep_the_order_and_mark_exactly_what_is_no_number(maps, name):
    found = levels(maps, name)
    assert found.shape == maps.shape
    assert ((found == MARK) == np.isnan(maps)).all()
    for values, shown in zip(
        maps.reshape(len(maps), -1), found.reshape(len(maps), -1), strict=True
    ):
        numbers = ~np.isnan(values)
        order = np.argsort(values[numbers], kind="stable")
        assert (np.diff(shown[numbers][order].astype(int)) >= 0).all()


@pytest.mark.parametrize("name", scale.SCALES)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_map_without_a_finite_value(name, value):
    shown = levels(np.full((1, 2, 2), value, np.float16), name)
    assert (shown == MARK).all() == np.isnan(value)


@given(arrays.arrays(np.float32, (3, 4, 5), elements=st.integers(-1000, 1000)))
def test_each_map_uses_the_whole_range(maps):
    found = levels(maps)
    for values, shown in zip(maps, found, strict=True):
        if values.min() < values.max():
            assert (shown[values == values.min()] == 0).all()
            assert (shown[values == values.max()] == TOP).all()
        else:
            assert not shown.any()


@given(arrays.arrays(np.float32, (2, 3, 3), elements=st.floats(-1e6, 1e6, width=32)))
def test_signed_levels_of_opposite_values_are_mirrored(maps):
    there, back = levels(maps, "signed"), levels(-maps, "signed")
    assert np.abs(there.astype(int) + back - TOP).max() <= 1
    assert (there[maps == 0] == 127).all()


def test_showable():
    wide = np.array([1e300, 2.0])
    assert scale.showable(wide, 1).tolist() == [np.inf, 2]
    half = np.zeros((1, 1, 1), np.float16)
    assert scale.showable(half, 3) is half
    for wrong in (np.zeros((2, 2)), np.zeros((0, 2, 2)), np.zeros((1, 1, 1), np.complex64)):
        with pytest.raises(UsageError):
            scale.showable(wrong, 3)
