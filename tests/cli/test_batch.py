"""Many inputs: side by side or one by one, the same bytes, records and lines in the same order."""

import json
import threading
import time

import numpy as np
import pytest
from PIL import Image

from cnntool.cli.inputs import Batch
from cnntool.cli.options import ReadingOptions
from cnntool.image.files import expand


@pytest.fixture
def folder(tmp_path):
    """Pictures of several sizes and kinds, one of them a film, and two that are none."""
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for number, (height, width) in enumerate([(90, 120), (20, 30), (90, 120), (5, 300), (64, 64)]):
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}b.jpg")
    film = [Image.new("L", (40, 30), shade) for shade in (20, 200)]
    film[0].save(tmp_path / "in" / "3c.gif", save_all=True, append_images=film[1:])
    (tmp_path / "in" / "0.jpg").write_text("none")
    (tmp_path / "in" / "4c.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path / "in"


@pytest.mark.parametrize(
    "verb",
    [
        ["filter", "-k", "gaussian:sigma=1", "-k", "sobel"],
        ["pool", "--max", "2"],
        ["resize", "--scale", "1/2"],
    ],
)
def test_jobs_change_nothing(here, folder, tmp_path, verb):
    told = []
    for jobs in ("1", "2", "5"):
        out = tmp_path / f"out{jobs}"
        done = here(*verb, folder, "-o", f"{out}/", "--json", "--jobs", jobs, code=1)
        records = [json.loads(line) for line in done.text.splitlines()]
        for record in records:
            del record["milliseconds"]
            record["output"] = record["output"].replace(str(out), "")
        files = {path.name: path.read_bytes() for path in out.iterdir()}
        told.append((records, done.err, files))
    assert told[0] == told[1] == told[2]
    records, err, files = told[0]
    assert len(records) == len(files) == 11
    assert [record["input"] for record in records] == sorted(r["input"] for r in records)
    assert (err.count("error:"), err.count("note:")) == (2, 1)
    assert "0.jpg" in err.splitlines()[0]


def test_pictures_are_worked_on_side_by_side_within_the_pixels_of_one(folder):
    """Five of 90x120 are 54,000; of the largest two more than 25,000 are never under way."""
    most, lock = 25_000, threading.Lock()
    under_way, seen, lanes = [], [], set()

    def begin(opened):
        reader = opened.reader()
        pixels = reader.info.height * reader.info.width

        def work(threads):
            with lock:
                under_way.append(pixels)
                seen.append(list(under_way))
                lanes.add(threads)
            time.sleep(0.01)
            with lock:
                under_way.remove(pixels)
            return lambda: None

        return work

    with Batch(expand([folder], recursive=False), ReadingOptions(max_pixels=most)) as batch:
        assert batch.each(begin, "waiting", threads=4, jobs=3) == 1
    assert max(map(sum, seen)) <= most
    assert max(map(len, seen)) == 3
    assert lanes == {1, 2}
