"""The methods by their names."""

from pathlib import Path

import numpy as np
import pytest
from subjects import subject

import cnntool.nets.attribution
from cnntool.nets.attribution.methods import DEFAULT, METHODS, load

FOLDER = Path(cnntool.nets.attribution.__file__).parent
PICTURE = np.random.default_rng(0).random((3, 14, 14)).astype(np.float32)
GIVEN = {
    "layer": {"layer": (PICTURE[:2], PICTURE[1:])},
    "input": {"score": lambda x: float(x.sum()), "gradient": np.ones_like},
    "scores": {"probability": lambda x: float(x[0].mean())},
}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_asks_for_what_it_says_and_nothing_else(name):
    method = METHODS[name]
    found = load(name)(subject(PICTURE, **GIVEN[method.needs]))
    assert found.map.shape == (14, 14)
    assert found.map.dtype == np.float32
    assert method.signed or found.map.min() >= 0


def test_each_has_a_module_and_its_words():
    assert DEFAULT in METHODS
    for name, method in METHODS.items():
        source = (FOLDER / f"{name.replace('-', '_')}.py").read_text()
        author = method.paper.split()[0].strip(",")
        assert f"Source: {author}" in source
        assert method.shows.endswith(".")
        assert method.misleads.endswith(".")
