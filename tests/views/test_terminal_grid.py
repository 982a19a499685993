"""Layers on a terminal, read back from what the terminal gets."""

import re
import zlib
from base64 import b64decode

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_terminal import sixels_of

from cnntool.views.terminal import is_light, is_multiplexed, write
from cnntool.views.terminal_grid import Window, map_grid, vector_bars

GROUND = (-1, -1, -1)
STEPS = np.arange(16, dtype=np.float32).reshape(1, 4, 4)


def drawn(text):
    """Interpret half blocks: a list of lines, each text or an array (2, columns, 3)."""
    found = []
    for line in text.splitlines():
        if "\x1b" not in line:
            found.append(line)
            continue
        rows, ink, ground = [], GROUND, GROUND
        for code, sign in re.findall(r"\x1b\[([\d;]*)m|(.)", line):
            if not sign:
                for part in re.findall(r"([34])(?:8;2;(\d+);(\d+);(\d+)|(9))|0", code):
                    colour = GROUND if not part[1] else tuple(map(int, part[1:4]))
                    ink, ground = (colour, ground) if part[0] == "3" else (ink, colour)
                continue
            rows.append({"▀": (ink, ground), "▄": (ground, ink), " ": (ground, ground)}[sign])
        found.append(np.array(rows).swapaxes(0, 1))
    return found


def test_two_maps_by_hand():
    maps = np.concatenate([STEPS, 15 - STEPS])
    number, *lines = drawn(map_grid(maps, [1, 0], Window(9, 3, "truecolor")))
    assert number == "1    0"
    picture = np.concatenate(lines)
    expected = np.rint(STEPS[0] / 15 * 255)
    assert np.abs(picture[:, :4, 0] - expected[::-1, ::-1]).max() <= 1
    assert (picture[:, 4] == -1).all()
    assert np.abs(picture[:, 5:, 0] - expected).max() <= 1


def test_the_ground_is_seen_below_a_map_of_odd_height():
    lines = drawn(map_grid(np.ones((1, 5, 8)), [0], Window(8, 4, "truecolor")))
    picture = np.concatenate(lines[1:])
    assert picture.shape == (6, 8, 3)
    assert (picture[:5] >= 0).all()
    assert (picture[5] == -1).all()


def test_a_grid_ends_with_an_empty_place_not_with_a_white_one():
    maps = np.zeros((3, 8, 8))
    text = map_grid(maps, range(3), Window(17, 12, "truecolor"))
    assert [line.split() for line in drawn(text) if isinstance(line, str)] == [["0", "1"], ["2"]]
    colours = set(re.findall(r"8;2;(\d+;\d+;\d+)", text))
    assert colours == {"0;0;0"}


@given(
    st.integers(1, 70),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.builds(
        Window,
        st.integers(12, 120),
        st.integers(3, 60),
        st.sampled_from(["truecolor", "256", "text"]),
    ),
    st.none() | st.integers(1, 30),
)
def test_no_line_is_wider_than_the_window(count, shape, window, across):
    maps = np.zeros((count, *shape), np.float32)
    text = map_grid(maps, range(count), window, columns=across)
    lines = re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()
    assert max(map(len, lines)) <= window.columns
    numbers = [int(n) for line in lines for n in re.findall(r"\d+", line)]
    assert numbers == [*range(count)]


@pytest.mark.parametrize("size", [(80, 24), (200, 60), (100, 30)])
@pytest.mark.parametrize("shape", [(144, 144), (18, 18), (4, 4), (9, 40)])
@pytest.mark.parametrize("protocol", ["truecolor", "256", "text"])
def test_sixteen_maps_fit_into_the_window(size, shape, protocol):
    text = map_grid(np.zeros((16, *shape)), range(16), Window(*size, protocol))
    lines = text.splitlines()
    assert 0.3 * size[1] < len(lines) <= size[1]


def test_many_maps_stay_large_enough_to_be_seen():
    text = map_grid(np.zeros((200, 30, 30)), range(200), Window(80, 24, "truecolor"))
    first = text.splitlines()[0]
    assert first.split() == [*"012345678"]
    assert first.index("1") == 9
    # In a low window too, from which some are scrolled away: 8 cells, not 2.
    text = map_grid(np.zeros((16, 8, 8)), range(16), Window(40, 10, "truecolor"))
    assert text.splitlines()[0].index("1") == 9


def test_small_maps_grow_by_a_whole_number():
    lines = drawn(map_grid(STEPS, [0], Window(15, 30, "truecolor")))
    picture = np.concatenate(lines[1:])
    assert picture.shape == (12, 12, 3)
    assert (picture.reshape(4, 3, 4, 3, 3) == picture[::3, None, ::3, None]).all()


def test_a_map_lies_on_its_photo():
    photo = np.full((20, 20, 3), (200, 100, 50), np.uint8)
    maps = np.zeros((1, 4, 4))
    maps[0, 0, 0] = 1
    lines = drawn(map_grid(maps, [0], Window(20, 11, "truecolor"), style="overlay", photo=photo))
    picture = np.concatenate(lines[1:])
    assert picture.shape == (20, 20, 3)
    assert len({tuple(p) for p in picture[12:, 12:].reshape(-1, 3).tolist()}) == 1
    assert (picture[0, 0] != picture[19, 19]).any()


def test_letters_on_dark_and_light():
    dark = map_grid(STEPS, [0], Window(4, 5, "text", cell=(1, 1)))
    light = map_grid(STEPS, [0], Window(4, 5, "text", cell=(1, 1), light=True))
    assert dark == "0\n ..:\n:-==\n++*#\n#%%@\n"
    assert light == "0\n@%%#\n#*++\n==-:\n:..\n"


def test_pixels_have_numbers_above_and_holes_between():
    maps = np.concatenate([STEPS, STEPS])
    text = map_grid(maps, [0, 1], Window(9, 3, "kitty", cell=(20, 10)))
    number, rest = text.split("\n", 1)
    assert number == "0    1"
    parts = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", rest)
    keys = dict(pair.split("=") for pair in parts[0][0].split(","))
    assert (keys["f"], keys["s"], keys["v"]) == ("32", "90", "40")
    raw = zlib.decompress(b64decode("".join(data for _, data in parts)))
    picture = np.frombuffer(raw, np.uint8).reshape(40, 90, 4)
    assert (picture[:, 40:50, 3] == 0).all()
    assert (picture[:, :40, 3] == 255).all()
    assert (picture[:, 50:] == picture[:, :40]).all()


def test_sixels_leave_holes_alone():
    text = map_grid(np.concatenate([STEPS, STEPS]), [0, 1], Window(9, 3, "sixel", cell=(20, 10)))
    found = sixels_of(text.split("\n", 1)[1])
    assert (found[:, 40:50] == -1).all()
    assert (found[:, :40] >= 0).all()


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**30))
def test_holes_of_any_form(height, width, seed):
    draw = np.random.default_rng(seed)
    picture = draw.integers(0, 256, (height, width, 4), np.uint8)
    picture[:, :, 3] = draw.integers(0, 2, (height, width)) * 255
    found = np.concatenate(drawn(write(picture, "truecolor")))[:height]
    holes = picture[:, :, 3] == 0
    assert (found[holes] == -1).all()
    assert (found[~holes] == picture[~holes][:, :3]).all()


def bars(text):
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]


def test_a_few_values_all_get_a_bar():
    text = vector_bars(np.array([0.1, 0.8, -1, 0.4]), Window(60, 9, "truecolor"))
    assert bars(text)[:3] == [["1", "0.8", "█" * 36], ["3", "0.4", "█" * 18], ["0", "0.1", "█" * 4]]
    assert bars(text)[3] == ["2", "-1"]


def test_all_classes_have_room_side_by_side():
    labels = [f"class {n}" for n in range(60)]
    text = vector_bars(np.arange(60.0), Window(80, 24, "256"), labels=labels)
    assert sorted(re.findall(r"class \d+", text)) == sorted(labels)
    lines = text.splitlines()
    assert len(lines) == 30
    assert max(map(len, lines)) <= 80
    assert lines[0].split()[:2] == ["class", "59"]
    assert "class 29 " in lines[0]


def test_of_very_many_values_the_largest_get_bars_and_all_a_cell():
    text = vector_bars(np.arange(1000.0), Window(80, 24, "truecolor"))
    *lines, _ = text.partition("all 1000:\n")[0].split("\n")
    assert [line.split()[0] for line in lines] == [str(n) for n in range(999, 977, -1)]
    cells = np.concatenate(drawn(text.partition("all 1000:\n")[2]))
    assert cells.shape == (14, 80, 3)
    assert (cells[12, 40:] == -1).all()
    assert (cells[:12] >= 0).all()
    assert len(np.unique(cells[:12].reshape(-1, 3), axis=0)) > 200


def test_what_is_no_number_has_no_bar():
    text = vector_bars(np.array([np.nan, np.inf, 1, -np.inf]), Window(60, 9, "text"))
    assert bars(text) == [["1", "inf", "#" * 45], ["2", "1", "#" * 45], ["0", "nan"], ["3", "-inf"]]


@pytest.mark.parametrize("name", ["TMUX", "STY", "ZELLIJ"])
def test_multiplexers(name):
    assert is_multiplexed({name: "1", "TERM": "xterm-kitty"})
    assert not is_multiplexed({"TERM": "xterm-kitty"})


@pytest.mark.parametrize(
    ("said", "light"),
    [("0;15", True), ("15;0", False), ("0;default;7", True), ("", False), ("12;8", False)],
)
def test_the_ground_is_what_the_terminal_says(said, light):
    assert is_light({"COLORFGBG": said}) is light
