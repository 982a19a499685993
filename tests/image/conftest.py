"""Pictures are read as by the command itself; tests/test_guest.py reads them in a host."""

import warnings

import pytest
from PIL import Image

from cnntool import system


@pytest.fixture(autouse=True)
def own_process(monkeypatch):
    """Let neither Pillow nor libtiff be heard, and have Pillow's limit put back in the end."""
    monkeypatch.setattr(system, "_own", True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield
