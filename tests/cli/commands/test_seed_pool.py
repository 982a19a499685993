"""The lectures' worked examples of pooling and its undoing, each by its id."""

from io import BytesIO

import numpy as np
import pytest

N2 = b"1,0,0,0,0,1; 0,1,0,0,1,0; 0,0,1,1,0,0; 1,0,0,0,1,0; 0,1,0,0,1,0; 0,0,1,0,1,0"
N2_KERNEL = "1,-1,-1;-1,1,-1;-1,-1,1"
N4_KERNEL = "-1,1,-1;-1,1,-1;-1,1,-1"
N8 = b"2,3,4,0; 1,5,3,2; 0,4,2,3; 1,0,6,1"
N9 = b"12,20,30,0; 8,12,2,0; 34,70,37,4; 112,100,25,12"


def rows(text):
    return [[float(v) for v in row.split(",")] for row in text.replace("\n", ";").split(";") if row]


def array(done):
    return np.load(BytesIO(done.out))


def test_n5_a_bank_of_two_maps_then_a_pool(here):
    bank = ["--bank", "-k", N2_KERNEL, "-k", N4_KERNEL, "--mode", "valid"]
    maps = here("filter", *bank, "--format", "npy", stdin=N2)
    assert array(maps).shape == (2, 4, 4)
    pooled = here("pool", "--max", "2", "--stride", "2", stdin=maps.out)
    assert pooled.err == ""
    assert array(pooled).tolist() == [[[3, 0], [3, 1]], [[-1, 1], [0, 3]]]
    assert array(pooled).ravel().tolist() == [3, 0, 3, 1, -1, 1, 0, 3]
    text = here("pool", "--max", "2", "--format", "csv", stdin=maps.out)
    assert text.text == "3,0\n3,1\n-1,1\n0,3\n"
    assert "the maps stand one under another, 2 rows each" in text.err


def test_n5_through_pipes_of_processes(cnntool):
    bank = ["--bank", "-k", N2_KERNEL, "-k", N4_KERNEL, "--mode", "valid"]
    maps = cnntool("filter", *bank, "--format", "npy", "-o", "-", stdin=N2)
    pooled = cnntool("pool", "--max", "2", stdin=maps.out)
    assert array(pooled).ravel().tolist() == [3, 0, 3, 1, -1, 1, 0, 3]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--max", "2"], "5,4;4,6"),
        (["--avg", "2"], "2.75,2.25;1.25,3.0"),
        (["--max", "2", "--stride", "1"], "5,5,4;5,5,3;4,6,6"),
    ],
)
def test_n8(here, options, expected):
    assert rows(here("pool", *options, stdin=N8).text) == rows(expected)


@pytest.mark.parametrize(
    ("kind", "expected"), [("--max", "20,30;112,37"), ("--avg", "13,8;79,19.5")]
)
def test_n9(here, kind, expected):
    assert rows(here("pool", kind, "2", stdin=N9).text) == rows(expected)


@pytest.mark.parametrize("name", ["places.csv", "places.npy"])
def test_n10_what_was_pooled_goes_back_to_where_it_stood(here, name):
    pooled = here("pool", "--max", "2", "--switches", name, stdin=N9)
    assert pooled.text == "20,30\n112,37\n"
    back = here("unpool", "--switches", name, "--size", "4", stdin=pooled.out)
    assert back.text == "0,20,30,0\n0,0,0,0\n0,0,37,0\n112,0,0,0\n"


def test_n10_the_switches_are_places_in_reading_order(here, tmp_path):
    here("pool", "--max", "2", "--switches", "places.csv", stdin=N9)
    assert (tmp_path / "places.csv").read_text() == "1,2\n12,10\n"
