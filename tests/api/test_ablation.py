"""Silenced maps from Python, on the network that is shipped and on one known by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from small import planes

from cnntool.api.model import load_model
from cnntool.errors import ArgumentTypeError, ModelError, UsageError

pytest.importorskip("onnxruntime")
SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture
def photos(tmp_path):
    """The sample pictures, under what they are and under what they are not."""
    rows = [
        ("cat.png", "cat"),
        ("cat.png", "dog"),
        ("rocket.jpg", "other"),
        ("camera.png", "other"),
    ]
    for number, (name, label) in enumerate(rows):
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        link = tmp_path / "photos" / label / f"{number}-{name}"
        link.symlink_to(SAMPLES / name)
    return tmp_path / "photos"


@pytest.mark.full
def test_of_the_network_that_is_shipped(photos):
    with load_model() as net:
        known = net.evaluate(photos)
        whole = net.ablate(photos, "block5_pool")
        each = net.ablate(photos, ["block5_conv3[3-30]"], each=True)
        one = net.ablate(photos, f"block5_conv3[{each.each[0].map}]")
        maps = [
            net.activations(path, "block5_conv3")["block5_conv3"] for path in photos.glob("*/*")
        ]
    assert whole.plain.record() == known.record()
    assert (whole.silenced.confusion > 0).any(axis=0).sum() == 1  # one answer for all
    assert whole.lost == known.total.accuracy1 - whole.silenced.total.accuracy1
    assert each.plain.record() == known.record()
    assert (each.silenced, each.without) == (None, ("block5_conv3[3-30]",))
    assert sorted(effect.map for effect in each.each) == list(range(3, 31))
    order = [(-effect.lost, effect.change) for effect in each.each]
    assert order == sorted(order)
    assert (one.lost, one.change) == (each.each[0].lost, each.each[0].change)
    assert one.silenced.total.accuracy1 == each.each[0].top1
    for effect in each.each:
        dead = all((values[effect.map] == 0).all() for values in maps)
        assert not dead or (effect.lost, effect.change, effect.photo) == (0, 0, "")


@pytest.mark.full
def test_arguments(tmp_path):
    planes(tmp_path / "net.onnx")
    (tmp_path / "photos" / "0").mkdir(parents=True)
    with load_model(tmp_path / "net.onnx") as net:
        Image.new("RGB", (8, 8), "red").save(tmp_path / "photos" / "0" / "1.png")
        for error, reason, arguments in (
            (ArgumentTypeError, "`without`: a name is expected", {"without": [3]}),
            (ArgumentTypeError, "`without`: a name is expected", {"without": 3}),
            (UsageError, "`without`: no layer is named", {"without": []}),
            (UsageError, "`fill`: one of zero, mean", {"without": "maps", "fill": "one"}),
            (ArgumentTypeError, "`each`: True or False", {"without": "maps", "each": 1}),
            (UsageError, "`within`: a whole number from 1", {"without": "maps", "within": 0}),
            (UsageError, "there is no map 3", {"without": "maps[3]"}),
            (ModelError, "no layer is called 'map'", {"without": "map[3]"}),
        ):
            with pytest.raises(error) as caught:
                net.ablate(tmp_path / "photos", **arguments)
            assert reason in str(caught.value)
        found = net.ablate(tmp_path / "photos", "maps[1]", within=1)
        assert found.lost == 0
        with pytest.raises(UsageError, match="silenced together"):
            found.figure()
        found = net.ablate(tmp_path / "photos", ["maps[0]", "means"], each=True)
    (map_one, *_), (first, *rest) = found.each, found.samples
    assert (map_one.layer, map_one.map, found.lost) == ("maps", 0, 0)
    assert first.values.shape == (8, 8)
    assert first.photo.tolist() == [[[255, 0, 0]] * 8] * 8
    assert rest == [None] * 3  # of a vector, and of what changes nothing
    assert found.figure().pixels.shape[2] == 3
