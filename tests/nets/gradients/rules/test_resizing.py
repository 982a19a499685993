"""Gradients of resizing beside finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from effort import examples
from finite_differences import by_onnxruntime, check, differentiate, draw, write
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from cnntool.errors import ModelError

PLACES = ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"]
UNUSUAL = ["tf_crop_and_resize", "half_pixel_symmetric"]
ROUNDINGS = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


def by_impulses(node, sides, weights, opset):
    """Compare the gradient with what onnxruntime makes of single pixels: resizing is linear."""
    pixels = np.eye(np.prod(sides), dtype=np.float32).reshape(-1, 1, *sides)

    def answered(pictures):
        if "sizes" in weights:
            weights["sizes"][0] = len(pictures)
        model = write([node], {"x": pictures}, weights, opset)
        return model, by_onnxruntime(model, {"x": pictures})[0]

    columns = answered(pixels)[1]
    seed = np.random.default_rng(0).uniform(0.5, 1.5, columns[:1].shape).astype(np.float32)
    model, made = answered(pixels[:1])
    found = differentiate(model, {"x": pixels[:1], "y": made}, ("x",), seed, by_onnxruntime)["x"]
    np.testing.assert_allclose(found.ravel(), (columns * seed).sum(axis=(1, 2, 3)), atol=1e-4)


def drawn(data):
    """Draw how a map is resized."""
    how = {
        "mode": data.draw(st.sampled_from(["nearest", "linear", "cubic"])),
        "coordinate_transformation_mode": data.draw(st.sampled_from(PLACES)),
    }
    if how["mode"] == "nearest":
        how["nearest_mode"] = data.draw(st.sampled_from(ROUNDINGS))
    if how["mode"] == "cubic":
        how |= {"exclude_outside": data.draw(st.integers(0, 1)), "cubic_coeff_a": -0.5}
    return how, [data.draw(st.integers(2, 6)) for _ in range(2)]


@examples(100)
@given(st.data())
def test_resizing_to_a_size(data):
    how, sides = drawn(data)
    sizes = {"sizes": np.array([1, 1, *(data.draw(st.integers(2, 9)) for _ in range(2))])}
    names = ["x", "", "", "sizes"]
    by_impulses(helper.make_node("Resize", names, ["y"], **how), sides, sizes, 19)
    if how["mode"] != "nearest":  # the reference rounds halves by another precision
        check(
            [helper.make_node("Resize", names, ["y"], **how)],
            {"x": draw(1, 1, *sides)},
            sizes,
            opset=19,
        )


@examples(100)
@given(st.data())
def test_resizing_by_a_factor(data):
    how, sides = drawn(data)
    scales = [data.draw(st.sampled_from([0.5, 0.625, 1, 1.5, 2, 2.75])) for _ in range(2)]
    weights = {"scales": np.array([1, 1, *scales], np.float32)}
    by_impulses(helper.make_node("Resize", ["x", "", "scales"], ["y"], **how), sides, weights, 19)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_chosen_axes_that_keep_their_proportions(policy):
    how = {"axes": [2, 3], "keep_aspect_ratio_policy": policy, "mode": "linear"}
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], **how)
    check([node], {"x": draw(1, 2, 4, 6)}, {"sizes": np.array([6, 7])}, opset=18)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("factor", [2.0, 1.5, 0.5, 0.4])
def test_what_old_versions_do(mode, factor):
    scales = np.array([1, 1, factor, factor], np.float32)
    by_impulses(helper.make_node("Resize", ["x", "s"], ["y"], mode=mode), (5, 6), {"s": scales}, 10)
    if factor > 1:
        by_impulses(
            helper.make_node("Upsample", ["x", "s"], ["y"], mode=mode),
            (5, 6),
            {"s": scales},
            9,
        )
        by_impulses(
            helper.make_node("Upsample", ["x"], ["y"], mode=mode, scales=scales.tolist()),
            (5, 6),
            {},
            7,
        )


@pytest.mark.parametrize("made", [(1, 1), (7, 9)])
def test_old_modes_of_tensorflow_and_pytorch(made):
    sizes = {"sizes": np.array([1, 1, *made])}
    for mode, places in (("nearest", "tf_half_pixel_for_nn"), ("cubic", "pytorch_half_pixel")):
        how = {"mode": mode, "coordinate_transformation_mode": places}
        by_impulses(
            helper.make_node("Resize", ["x", "roi", "scales", "sizes"], ["y"], **how),
            (4, 5),
            sizes | NONE,
            11,
        )


NONE = {"roi": np.zeros(0, np.float32), "scales": np.zeros(0, np.float32)}


@pytest.mark.parametrize(
    "how",
    [{"antialias": 1}, *({"coordinate_transformation_mode": mode} for mode in UNUSUAL)],
)
def test_filters_and_crops_are_refused(how):
    weights = {"roi": np.array([0, 0, 0.1, 0.1, 1, 1, 0.9, 0.9]), "sizes": np.array([1, 1, 3, 3])}
    node = helper.make_node("Resize", ["x", "roi", "", "sizes"], ["y"], mode="linear", **how)
    with pytest.raises(ModelError, match="no gradient"):
        check([node], {"x": draw(1, 1, 5, 5)}, weights, opset=19)
