"""Formats that hold numbers: what goes in comes out, and what was taken for what is said."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image


def test_pictures_become_pfm_and_stay_so(here, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 7), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert here("filter", "-k", "identity", "a.png", "-o", "a.pfm").err == ""
    np.testing.assert_allclose(Image.open(tmp_path / "a.pfm"), pixels / 255, rtol=1e-6)
    assert here("filter", "-k", "0,0,2", "a.pfm").text == "a.custom.pfm\n"
    doubled = np.asarray(Image.open(tmp_path / "a.custom.pfm"))
    np.testing.assert_allclose(doubled[:, :-1], pixels[:, 1:] / 255 * 2, rtol=1e-6)
    here("resize", "--size", "3", "a.pfm", "-o", "b.pfm")
    here("filter", "-k", "identity", "a.pfm", "-o", "c.pfm", "--depth", "8", code=2)


def test_pfm_holds_single_precision(here, tmp_path):
    (tmp_path / "m.csv").write_text("0.1,-2\n3e9,4\n")
    done = here("filter", "-k", "identity", "m.csv", "-o", "m.pfm")
    assert done.err == "cnntool: note: pfm holds float32 at most, the input has float64\n"
    want = np.array([[0.1, -2], [3e9, 4]], np.float32)
    np.testing.assert_array_equal(Image.open(tmp_path / "m.pfm"), want)


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint32"])
def test_measurements_in_tiff_keep_their_numbers(here, tmp_path, dtype):
    limits = np.iinfo(dtype)
    numbers = np.array([[limits.min, 5, limits.max // 3], [7, 0, limits.max]], dtype)
    tifffile.imwrite(tmp_path / "a.tif", numbers, photometric="minisblack")
    note = f"a.tif: its {dtype} samples are taken as plain numbers, of which 1 is white"
    done = here("filter", "-k", "identity", "a.tif", "-o", "b.tif")
    assert done.err == f"cnntool: note: {note}\n"
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), numbers.astype(float))
    values = here("filter", "-k", "identity", "a.tif", "--format", "csv", "-o", "-").text
    got = [[float(word) for word in line.split(",")] for line in values.splitlines()]
    assert got == numbers.astype(float).tolist()


def test_twelve_bits_are_brightness(here, tmp_path):
    """Two samples in three bytes: 0 and 4095."""
    tags = [(256, 4, 2), (257, 4, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8)]
    tags += [(277, 3, 1), (278, 4, 1), (279, 4, 3)]
    entries = b"".join(
        tag.to_bytes(2, "little")
        + kind.to_bytes(2, "little")
        + b"\1\0\0\0"
        + value.to_bytes(4, "little")
        for tag, kind, value in tags
    )
    head = b"II*\0" + (12).to_bytes(4, "little") + b"\x00\x0f\xff\0"
    (tmp_path / "a.tif").write_bytes(head + len(tags).to_bytes(2, "little") + entries + bytes(4))
    done = here("filter", "-k", "identity", "a.tif", "-o", "b.png")
    assert "its 12-bit samples are stretched to 16 bits: 4095 is white" in done.err
    assert np.asarray(Image.open(tmp_path / "b.png")).tolist() == [[0, 65535]]
