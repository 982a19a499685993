"""What the tests of networks share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def fake_runtime(tmp_path, monkeypatch):
    """Have processes of the tool import ``fake_runtime.py`` as onnxruntime."""
    folder = tmp_path / "fake"
    folder.mkdir()
    shutil.copy(Path(__file__).with_name("fake_runtime.py"), folder / "onnxruntime.py")
    found = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), found])))
    return folder / "onnxruntime.py"
