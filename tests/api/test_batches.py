"""Many pictures: in order, side by side within the pixels of one, each with its own error."""

import io
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnntool
from cnntool.api import batches
from cnntool.api.batches import Opened
from cnntool.errors import ArgumentTypeError, InputError, UsageError
from cnntool.processes import DiedError


@pytest.fixture
def folder(tmp_path):
    """Six pictures, of which the third is none, and one in a folder further down."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for number in range(6):
        pixels = np.full((10, 10 + number), number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "2.png").write_text("none")
    os.link(tmp_path / "in" / "5.png", tmp_path / "in" / "deep" / "6.png")
    return tmp_path / "in"


@pytest.mark.parametrize("jobs", [1, 3])
def test_results_come_in_order_and_an_error_is_of_its_picture(folder, jobs):
    def work(image):
        time.sleep(0.003 * (image[0, 0] % 3))
        if image[0, 0] == 4:
            raise UsageError("four is refused")
        return image.shape[1] * 100 + int(image.max())

    found = list(cnntool.map_pictures(work, folder, jobs=jobs))
    assert [Path(one.name).name for one in found] == [f"{number}.png" for number in range(6)]
    assert [one.result for one in found] == [1000, 1101, None, 1303, None, 1505]
    assert isinstance(found[2].error, InputError)
    assert "neither a picture nor a matrix" in str(found[2].error)
    assert str(found[4].error) == f"{folder / '4.png'}: four is refused"
    assert [one.error is None for one in found].count(True) == 4


def test_pictures_in_any_form(folder):
    with (folder / "3.png").open("rb") as file:
        images = [
            str(folder / "0.png"),
            folder / "deep",
            (folder / "1.png").read_bytes(),
            file,
            Image.new("RGB", (4, 3)),
            np.zeros((7, 8)),
            io.BytesIO(b"1,2;3,4"),
        ]
        found = [one.result for one in cnntool.map_pictures(np.shape, iter(images), jobs=2)]
    assert found == [(10, 10), (10, 15), (10, 11), (10, 13), (3, 4, 3), (7, 8), (2, 2)]
    ((name, shape, error, notes),) = cnntool.map_pictures(np.shape, np.zeros((3, 4)))
    assert (name, shape, error, notes) == ("<array>", (3, 4), None, ())


def test_folders_of_folders_and_empty_ones(folder, tmp_path):
    names = [Path(one.name).name for one in cnntool.map_pictures(np.sum, folder, recursive=True)]
    assert names == [f"{number}.png" for number in range(7)]
    (tmp_path / "empty").mkdir()
    (one,) = cnntool.map_pictures(np.sum, "")
    assert "no such file" in str(one.error)
    (one,) = cnntool.map_pictures(np.sum, tmp_path / "empty")
    assert "no pictures" in str(one.error)


def test_what_is_worth_knowing_is_noted(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (64, 64), np.uint8)).save(tmp_path / "x.jpg")
    whole = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "x.jpg").write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    (one,) = cnntool.map_pictures(np.shape, tmp_path / "x.jpg", strict=False)
    assert (one.result, one.error, len(one.notes)) == ((64, 64), None, 1)
    assert "damaged JPEG" in one.notes[0]
    (one,) = cnntool.map_pictures(np.shape, tmp_path / "x.jpg")
    assert "damaged JPEG" in str(one.error)


def test_the_first_error_may_end_it(folder):
    found = cnntool.map_pictures(np.sum, folder, jobs=2, fail_fast=True)
    assert [next(found).result, next(found).result] == [0, 110]
    with pytest.raises(InputError, match=r"2\.png"):
        next(found)


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_wrong_with_the_program_ends_it(folder, jobs):
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(cnntool.map_pictures(lambda _: 1 // 0, folder, jobs=jobs))
    with pytest.raises(ArgumentTypeError, match="`images`: a path, bytes"):
        list(cnntool.map_pictures(np.sum, [folder / "0.png", 7], jobs=jobs))
    assert threading.active_count() == before


def test_memory_is_bounded_however_many_there_are():
    lock, under_way, seen, opened = threading.Lock(), [], [], []

    def images():
        for number in range(30):
            opened.append(number)
            yield np.zeros((10, 100 if number % 7 else 600), np.uint8)

    def work(image):
        with lock:
            under_way.append(image.size)
            seen.append(sum(under_way) if len(under_way) > 1 else 0)
        time.sleep(0.002)
        with lock:
            under_way.remove(image.size)

    found = cnntool.map_pictures(work, images(), jobs=4, max_pixels=6_500)
    next(found)
    assert len(opened) <= 6
    assert len(list(found)) == 29
    assert 0 < max(seen) <= 6_500


@pytest.mark.parametrize(("turn", "most"), [(60, 7), (0, 1)], ids=["quick", "slow"])
def test_copies_are_given_the_more_at_once_the_quicker_they_are(folder, monkeypatch, turn, most):
    """Each has its own outcome; of eight the bad picture among them is not sent."""
    monkeypatch.setattr(batches, "_TURN", turn)
    sizes = []

    def copies(tasks):
        sizes.append(len(tasks))
        names = [opened.name for opened, _, lanes in tasks if lanes == 2]
        return [(None, DiedError("at noon")) if n == "30" else (n * 2, None) for n in names]

    begun = [Opened(folder / f"{n % 6}.png", str(n)) for n in range(44)]
    found = list(
        batches.side_by_side(
            ((one, None) for one in begun), print, jobs=2, threads=4, most=10**6, copies=copies
        )
    )
    assert [one for one, _, _ in found] == begun
    none = {2, 8, 14, 20, 26, 30, 32, 38}
    assert [result for *_, result in found] == [
        None if n in none else f"{n}" * 2 for n in range(44)
    ]
    assert "has died (at noon)" in str(begun[30].error)
    assert (sizes[0], max(sizes), sum(sizes)) == (1, most, 44 - 7)
