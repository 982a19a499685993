"""docs/gallery.md is current and small; commands of the tutorial and of the lectures page run."""

import importlib.util
import re
import sys
from math import isclose
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntool.cli.main import COMMANDS
from cnntool.nets.attribution.methods import METHODS
from cnntool.views.styles import STYLES

DOCS = Path(__file__).parent.parent / "docs"
spec = importlib.util.spec_from_file_location("gallery", DOCS / "gallery.py")
gallery = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gallery)


def test_it_is_current():
    gallery.check()


@pytest.mark.parametrize("name", ["__version__", "HEAD"])
def test_another_version_is_not_current(monkeypatch, name):
    monkeypatch.setattr(gallery, name, "another")
    with pytest.raises(SystemExit, match="is not current"):
        gallery.check()


def test_pictures_are_small():
    sizes = [piece.file.stat().st_size for piece in gallery.pieces()]
    assert max(sizes) <= 60_000
    assert sum(sizes) <= 2_500_000


def test_every_command_style_and_method_is_shown():
    assert {*gallery.GALLERY} == {*COMMANDS}
    commands = " ".join(piece.command for piece in gallery.pieces())
    for style in STYLES:
        assert f"--style {style} " in commands
    for method in METHODS:
        assert f"--method {method} " in commands
    for verb, section in gallery.GALLERY.items():
        assert any(f"cnntool {verb} " in piece.command for piece in section)


@pytest.mark.parametrize("name", ["gallery.md", "tutorial.md", "lectures.md"])
def test_links_lead_somewhere(name):
    page = (DOCS / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)", page):
        assert (DOCS / link).exists(), link


@pytest.mark.full
@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize("name", ["tutorial.md", "lectures.md"])
def test_commands_print_what_the_page_says(name):
    page = (DOCS / name).read_text(encoding="utf-8")
    assert page.count("\n$ cnntool") > 25
    shown, found = (re.split(r"[\s,]+", text) for text in (page, gallery.told(page)))
    assert len(shown) == len(found)
    assert [pair for pair in zip(shown, found, strict=True) if not alike(*pair)] == []


def alike(one, other):
    """Tell whether two words are the same, or numbers that another processor rounds otherwise."""
    try:
        return one == other or isclose(float(one), float(other), rel_tol=0.02)
    except ValueError:
        return False


@pytest.mark.full
@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize("name", ["percentile", "trace-pool", "classify"])
def test_a_piece_is_what_its_command_makes(name, tmp_path, monkeypatch):
    (piece,) = (piece for piece in gallery.pieces() if piece.name == name)
    shown = piece.file
    monkeypatch.setattr(gallery, "FOLDER", tmp_path)
    gallery.make(piece)
    if not piece.picture:
        assert piece.file.read_text() == shown.read_text()
        return
    with Image.open(piece.file) as made, Image.open(shown) as kept:
        assert getattr(made, "n_frames", 1) == getattr(kept, "n_frames", 1)
        arrays = [np.asarray(one.convert("RGB")).astype(int) for one in (made, kept)]
    assert np.abs(arrays[0] - arrays[1]).mean() < 3
