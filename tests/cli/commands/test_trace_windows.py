"""``cnntool trace`` of pools, their undoing, transposed convolutions, im2col, and of photos."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import cnntool
from cnntool.views.sliding_window import frames

N8 = "2,3,4,0; 1,5,3,2; 0,4,2,3; 1,0,6,1"
N9 = "12,20,30,0; 8,12,2,0; 34,70,37,4; 112,100,25,12"
N11 = "0,1,2;3,4,5;6,7,8"
RNG = np.random.default_rng(0)


def records(done):
    return [json.loads(line) for line in done.text.splitlines()]


def values(done):
    return [record["value"] for record in records(done)]


@pytest.mark.parametrize(
    ("matrix", "options", "expected"),
    [
        (N8, ("--max", "2"), [5, 4, 4, 6]),
        (N8, ("--avg", "2"), [2.75, 2.25, 1.25, 3]),
        (N8, ("--max", "2", "--stride", "1"), [5, 5, 4, 5, 5, 3, 4, 6, 6]),
        (N9, ("--max", "2"), [20, 30, 112, 37]),
        (N9, ("--avg", "2"), [13, 8, 79, 19.5]),
        (N8, ("--max", "all"), [6]),
        # of nine taps four are padding
        ("1,2;3,4", ("--avg", "3", "--stride", "3", "--padding", "1"), [2.5]),
        ("1,2;3,4", ("--avg", "3", "--stride", "3", "--padding", "1", "--count-padding"), [10 / 9]),
        ("1,2,3", ("--max", "1,2", "--ceil"), [2, 3]),
    ],
)
def test_pools_of_the_lectures(here, matrix, options, expected):
    done = here("trace", *options, "--all", "--json", stdin=matrix.encode())
    assert values(done) == pytest.approx(expected)
    assert {record["of"] for record in records(done)} == {"pool"}


def test_the_text_of_a_pool(here):
    text = here("trace", "--max", "2", "--padding", "1", "--at", "0,1", stdin=N8.encode()).text
    assert text == (
        "result (0, 1) of 3x3: input rows -1 to 0, columns 1 to 2\n"
        "\n"
        "window\n"
        "(.)  (.)\n"
        " 3    4\n"
        "\n"
        "max(3, 4) = 4, at (0, 2)\n"
    )
    text = here("trace", "--avg", "2", "--at", "1,1", stdin=N8.encode()).text
    assert text.endswith("(2 + 3 + 6 + 1) / 4 = 3\n")


def test_n10_what_is_pooled_goes_back_to_where_it_stood(here):
    done = here("trace", "--of", "unpool", "--max", "2", "--all", "--json", stdin=N9.encode())
    back = np.zeros((4, 4))
    for record in records(done):
        back[tuple(record["place"])] = record["value"]
    assert back.tolist() == [[0, 20, 30, 0], [0, 0, 0, 0], [0, 0, 37, 0], [112, 0, 0, 0]]
    text = here("trace", "--of", "unpool", "--max", "2", "--at", "1,0", stdin=N9.encode()).text
    assert text.endswith("= 112, at (3, 0)\n\n112 goes back to (3, 0) of 4x4\n")


def test_a_value_lays_the_kernel_down(here):
    arguments = ("trace", "--of", "deconv", "-k", "1,2;3,4", "--stride", "2", "--at", "0,1")
    text = here(*arguments, stdin=b"1,2;3,4").text
    assert text == (
        "value (0, 1) of 2x2: result rows 0 to 1, columns 2 to 3 of 4x4\n"
        "\n"
        "value     kernel     is added\n"
        "2      *  1  2    =  2  4\n"
        "          3  4       6  8\n"
    )


def test_n14_windows_become_columns(here):
    done = here(
        "trace", "--of", "im2col", "-k", "0,1;2,3", "--mode", "valid", "--all", "--json",
        stdin=N11.encode(),
    )  # fmt: skip
    assert [record["column"] for record in records(done)] == [
        [0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8],
    ]  # fmt: skip
    assert values(done) == [19, 25, 37, 43]
    text = here("trace", "--of", "im2col", "--kernel-size", "2", "--at", "2,2",
                stdin=N11.encode()).text  # fmt: skip
    assert text.startswith("column 8 of 9, result (2, 2): input rows 2 to 3, columns 2 to 3\n")
    assert "row times column" not in text


OPTIONS = [
    {"max": (2, 3), "stride": (1, 2), "padding": "same", "dilation": 2},
    {"max": 3, "stride": 2, "ceil": True, "padding": 1},
    {"avg": (3, 2), "padding": (1, 0, 1, 1), "count_padding": True},
    {"avg": 2, "ceil": True, "stride": 3},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_steps_are_the_pools(options):
    maps = RNG.integers(-9, 9, (2, 7, 8)).astype(float)
    expected = cnntool.pool(maps, **options)
    found = cnntool.trace(maps, of="pool", **options)
    assert found.size == expected.shape[1:]
    for step in found:
        told = [record["value"] for record in step.records()]
        np.testing.assert_allclose(told, expected[:, *step.place])


@pytest.mark.parametrize("options", OPTIONS[:2])
def test_what_is_drawn_of_unpool_is_unpool(options):
    matrix = RNG.permutation(56).reshape(7, 8).astype(float)
    pooled, where = cnntool.pool(matrix, switches=True, **options)
    expected = cnntool.unpool(pooled, where, (7, 8))
    scene = cnntool.trace(matrix, of="unpool", **options).scene()
    top, bottom, left, right = scene.grids[2].pads
    back = scene.grids[2].values.copy()
    for step in scene.steps:
        back[step.writes[1][1]] = step.writes[1][2]
    inside = back[top : len(back) - bottom, left : back.shape[1] - right]
    np.testing.assert_array_equal(inside, expected)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": (2, 1), "op": "convolve"},
        {"stride": 2, "padding": 1, "output_padding": 1, "dilation": (1, 2)},
        {"padding": "same"},
    ],
)
def test_what_is_drawn_of_deconv_is_deconv(options):
    matrix, kernel = RNG.integers(-5, 5, (3, 4)).astype(float), RNG.integers(-3, 4, (3, 2))
    expected = cnntool.deconv(matrix, kernel, **options)
    scene = cnntool.trace(matrix, kernel, of="deconv", **options).scene()
    sums = scene.grids[2].values.copy()
    for step in scene.steps:
        for _, cell, value in step.writes:
            sums[cell] = value
    np.testing.assert_array_equal(sums, expected)


def test_what_is_drawn_of_im2col_is_im2col():
    matrix, kernel = RNG.integers(0, 9, (4, 5)).astype(float), RNG.integers(-3, 4, (2, 3))
    options = {"border": "reflect", "op": "convolve", "stride": 2}
    expected = cnntool.im2col(matrix, kernel, **options)
    scene = cnntool.trace(matrix, kernel, of="im2col", **options).scene()
    drawn = {2: np.zeros_like(expected.columns), 3: np.zeros_like(expected.product)}
    for step in scene.steps:
        for grid, cell, value in step.writes:
            drawn[grid][cell] = value
    np.testing.assert_array_equal(drawn[2], expected.columns)
    np.testing.assert_array_equal(drawn[3], expected.product)


# A window of a photo


@pytest.mark.parametrize("options", [{}, {"stride": 3}, {"dilation": 2, "border": "reflect"}])
@pytest.mark.parametrize("at", [(0, 0), (40, 70)])
def test_a_window_of_a_photo_shows_its_pixels_and_the_filters_values(samples, options, at):
    photo = cnntool.read_image(samples / "camera.png")[:256, :220]
    expected = cnntool.filter(photo, "sobel-x", range="raw", **options)
    found = cnntool.trace(photo, "sobel-x", at, size=(3, 4), **options)
    assert len(found) == len(list(found)) == 12
    scene = found.scene()
    given, _, result = scene.grids
    top, left = at
    part = expected[top : top + 3, left : left + 4]
    np.testing.assert_allclose(result.values, part, atol=1e-6)
    unit = photo / 255
    row, column = found.start
    above, below, before, after = given.pads
    height, width = given.values.shape
    inside = given.values[above : height - below, before : width - after]
    cut = unit[max(row, 0) :, max(column, 0) :][: inside.shape[0], : inside.shape[1]]
    np.testing.assert_allclose(inside, cut, atol=1e-12)
    assert given.photo
    for step, (r, c) in zip(scene.steps, np.ndindex(3, 4), strict=True):
        taps = [given.values[cell] for cell in step.marks[0].cells]
        np.testing.assert_allclose(np.dot(taps, scene.grids[1].values.ravel()), part[r, c],
                                   atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("of", ["pool", "unpool", "deconv", "im2col"])
def test_a_window_of_every_kind_is_drawn(samples, of):
    how = {"max": 2} if "pool" in of else {"kernel": "1,2;3,4"}
    found = cnntool.trace(samples / "camera.png", at=(100, 200), size=2, of=of, **how)
    assert [step.place for step in found] == [(100, 200), (100, 201), (101, 200), (101, 201)]
    scene = found.scene()
    assert max(max(grid.values.shape) for grid in scene.grids) <= 9
    assert len(list(frames(scene))) == 4


def test_a_window_from_the_command_line(here, samples, tmp_path):
    arguments = ("trace", samples / "camera.png", "-k", "sobel-x", "--at", "100,150", "--size", "2")
    for name in ("w.gif", "w.webp"):
        here(*arguments, "-o", name, "--delay", "0.1")
        with Image.open(tmp_path / name) as picture:
            assert picture.n_frames == 4
    here(*arguments, "-o", "w.png")
    here(*arguments, "-o", "w.svg")
    text = (tmp_path / "w.svg").read_text()
    assert ">input from 99, 149</text>" in text
    assert ">result from 100, 150</text>" in text
    with Image.open(io.BytesIO(here(*arguments, "-o", "-").out)) as picture:
        assert picture.format == "GIF"
    places = [record["at"] for record in records(here(*arguments, "--json"))]
    assert places == [[100, 150], [100, 151], [101, 150], [101, 151]]
    assert here(*arguments).text.count("\nsum  ") == 4


def test_animations_from_python(tmp_path):
    found = cnntool.trace(np.arange(16).reshape(4, 4), max=2)
    assert repr(found) == "<pool in 2 x 2 steps>"
    found.save(tmp_path / "a.webp", seconds=0.2)
    with Image.open(tmp_path / "a.webp") as picture:
        assert picture.n_frames == 4
    with pytest.raises(cnntool.errors.OutputError, match="it exists already"):
        found.save(tmp_path / "a.webp")
    with pytest.raises(cnntool.errors.OutputError, match=r"\.gif or \.webp"):
        found.save(tmp_path / "a.png")
    with pytest.raises(cnntool.errors.UsageError, match="to 60 are"):
        found.animation(0)
    assert "max(0, 1, 4, 5) = 5" in str(next(iter(found)))
    assert b"</svg>" in found.at((0, 1)).figure().svg()


@pytest.mark.parametrize(
    ("reason", "arguments"),
    [
        ("--size goes with --at", ["--max", "2", "--size", "2"]),
        ("reaches beyond the result, which is 2x2", ["--max", "2", "--at", "1,1", "--size", "2"]),
        ("--kernel makes no sense for --of pool", ["--max", "2", "-k", "box", "--all"]),
        ("--max makes no sense for --of deconv", ["--of", "deconv", "-k", "1", "--max", "2",
                                                  "--all"]),
        ("--avg makes no sense for --of unpool", ["--of", "unpool", "--avg", "2", "--all"]),
        ("either --max or --avg", ["--of", "pool", "--all"]),
        ("an average stood nowhere", ["--of", "unpool", "--all"]),
        ("nothing to trace", ["--of", "deconv", "--all"]),
        ("lies outside of the input, which is 4x4", ["--of", "deconv", "-k", "1,1", "--at", "4,0"]),
        ("nothing but padding", ["--max", "2", "--padding", "2", "--all"]),
        ("--max and --model exclude each other", ["--max", "2", "-m", "vgg16-mini"]),
    ],
)  # fmt: skip
def test_what_makes_no_sense(here, reason, arguments):
    assert reason in here("trace", *arguments, stdin=N8.encode(), code=2).err


def test_a_drawing_is_of_one_channel(here, tmp_path):
    np.save(tmp_path / "maps.npy", np.ones((2, 4, 4)))
    error = here("trace", "maps.npy", "--max", "2", "-o", "a.gif", code=2).err
    assert "a drawing shows one channel" in error
    text = here("trace", "maps.npy", "--max", "2", "--at", "0,0").text
    assert text.count("channel ") == 2


def test_as_many_values_as_may_be_are_all_taken_apart():
    assert len(cnntool.trace(np.zeros((64, 64)), "box").places()) == 4096
    with pytest.raises(ValueError, match="at most 4096"):
        cnntool.trace(np.zeros((17, 241)), "box").places()
