"""Damaged pictures that can still be read: noted, and refused with --strict, by every verb."""

from __future__ import annotations

import io

import click
import numpy as np
import pytest
from PIL import Image
from small import colours

from cnntool.cli.main import COMMANDS, cli
from cnntool.image.files import read_image


@pytest.fixture
def cut(tmp_path):
    """A JPEG cut in the middle, with an end marker: libjpeg fills the rest with grey."""
    body = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(noise).save(body, "jpeg")
    whole = body.getvalue()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    (tmp_path / "sound.jpg").write_bytes(whole)
    return tmp_path


NOTE = (
    "cnntool: note: cut.jpg: damaged JPEG: premature end of data segment;"
    " what could be decoded is used, --strict refuses it\n"
)
ERROR = "cnntool: error: cut.jpg: damaged JPEG: premature end of data segment\n"


@pytest.mark.parametrize(
    "words", [("filter", "-k", "box"), ("pool", "--max", "2"), ("resize", "--size", "8")]
)
def test_verbs_that_make_pictures(here, cut, words):
    done = here(*words, "cut.jpg", "-o", "out.png")
    assert done.err == NOTE
    before = read_image(cut / "out.png", name="")[0]
    assert before.size
    done = here(*words, "--strict", "cut.jpg", "-o", "new.png", code=3)
    assert done.err == ERROR
    assert not (cut / "new.png").exists()
    assert here(*words, "--strict", "sound.jpg", "-o", "sound.png").err == ""


def test_verbs_that_run_networks(here, cut):
    pytest.importorskip("onnxruntime")
    colours(cut / "net.onnx")
    words = ("classify", "-m", "net.onnx", "--resize", "8", "cut.jpg", "sound.jpg", "--json")
    done = here(*words)
    assert NOTE in done.err
    assert len(done.text.splitlines()) == 2
    done = here(*words, "--strict", code=1)
    assert ERROR in done.err
    assert len(done.text.splitlines()) == 1


def test_every_verb_that_reads_pictures_has_the_option():
    context = click.Context(cli)
    commands = [cli.get_command(context, name) for name in COMMANDS]
    names = [{parameter.name for parameter in command.params} for command in commands]
    assert sum("max_pixels" in some for some in names) > 8
    assert all("strict" in some for some in names if "max_pixels" in some)


def test_a_note_for_an_input_that_fails_is_not_said(here, tmp_path):
    """The second page is not read, nor is the first."""
    frames = [Image.new("F", (4, 4), value) for value in (float("nan"), 0.0)]
    frames[0].save(tmp_path / "two.tif", save_all=True, append_images=frames[1:])
    for output in ("out.tif", "out.png"):
        done = here("filter", "-k", "box", "two.tif", "-o", output, code=3)
        assert "note" not in done.err
    done = here("filter", "--allow-nan", "-k", "box", "two.tif", "-o", "out.png")
    assert done.err.splitlines() == [
        "cnntool: note: png holds uint16 at most, the input has float32",
        "cnntool: note: two.tif: only the first of 2 frames or pages is read",
    ]
