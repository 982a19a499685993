"""The examples in the docstrings of what Python calls are true."""

import doctest
import importlib
from pathlib import Path

import pytest

import cnntool

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["model", "records"])
def test_examples(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    module = importlib.import_module(f"cnntool.api.{name}")

    found = doctest.testmod(module, extraglobs={"cnntool": cnntool})
    assert not found.failed
