"""docs/json.md names the keys of all records."""

import json
import re
from pathlib import Path

import pytest
from small import picture_net

ROOT = Path(__file__).parent.parent
NAMED = set(re.findall(r"`([a-z_0-9]+)`", (ROOT / "docs/json.md").read_text()))
ANY = {"facts", "sizes"}
"""Keys below which names are those of a method or of a dimension."""

MATRIX = ("samples/matrix.csv",)
CAT = ("-q", "samples/cat.png")
COMMANDS = [
    ["filter", "-k", "sobel", *CAT, "-o", "a.png"],
    ["pool", "--max", "2", *MATRIX, "-o", "p.csv"],
    ["deconv", "-k", "1,1;1,1", *MATRIX, "-o", "d.csv"],
    ["resize", "--scale", "1/2", *CAT, "-o", "b.png"],
    ["trace", *MATRIX, "-k", "0,1;2,3", "--at", "1,1"],
    ["trace", *MATRIX, "--max", "2", "--at", "0,0"],
    ["trace", *MATRIX, "--of", "deconv", "-k", "1,1;1,1", "--at", "1,1"],
    ["trace", *MATRIX, "--of", "im2col", "--kernel-size", "2", "--at", "0,0"],
    ["trace", *CAT, "--layer", "block3_conv1", "--unit", "3,17,20"],
    ["conv", "9x9x1", "conv:3,f4", "pool:2"],
    ["im2col", *MATRIX, "--kernel-size", "2", "-o", "i.csv"],
    ["matrix", "-k", "1,2;3,4", "--input-size", "3x3", "-o", "m.csv"],
    ["kernels", "list"],
    ["kernels", "show", "sobel"],
    ["classify", *CAT],
    ["run", "-q", "-m", "net.onnx", "samples/cat.png", "-o", "c.png"],
    ["explain", *CAT, "--score"],
    ["activations", *CAT, "-l", "block1_conv1", "--stats-only"],
    ["weights", "-q", "-l", "block1_conv1"],
    ["layers"],
    ["summary"],
    ["summary", "--time", "samples/cat.png", "--runs", "10"],
    ["diff", "-q", "-m", "vgg16-mini", "samples/cat.png", "samples/camera.png"],
    ["diff", "-q", "vgg16-mini", "vgg16-mini", "--weights"],
    ["models", "info", "vgg16-mini"],
    ["models", "list"],
    ["devices"],
]


def keys(value):
    """Yield the keys of a record and of those in it."""
    for one in value if isinstance(value, list) else []:
        yield from keys(one)
    for key, one in value.items() if isinstance(value, dict) else []:
        yield key
        if key not in ANY:
            yield from keys(one)


@pytest.mark.full
@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_every_key_is_named(here, samples, tmp_path, command):
    (tmp_path / "samples").symlink_to(samples)
    picture_net(tmp_path / "net.onnx")
    told = here(*command, "--json").text
    deep = set if command[0] == "models" else keys  # theirs are those of manifests
    found = {key for line in told.splitlines() for key in deep(json.loads(line))}
    assert found
    missing = {key for key in found if key.removeprefix("own_") not in NAMED}
    assert not missing
