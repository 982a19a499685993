"""The examples in the docstrings of what Python calls are true."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import numpy as np
import pytest

import cnntool.api

ROOT = Path(__file__).parents[2]


MODULES = [found.name for found in pkgutil.iter_modules(cnntool.api.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    module = importlib.import_module(f"cnntool.api.{name}")

    found = doctest.testmod(module, extraglobs={"cnntool": cnntool, "np": np})
    assert not found.failed
