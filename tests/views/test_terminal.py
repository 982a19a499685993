import re
import zlib
from base64 import b64decode

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cnntool.views.terminal import PROTOCOLS, detect, encode, xterm_colours

PICTURES = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 60), st.sampled_from([1, 3]))
)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "text"),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, "text"),
        ({"TERM": "linux"}, "text"),
        ({"TERM": "xterm"}, "256"),
        ({"TERM": "vt100"}, "text"),
        ({"TERM": "xterm-256color"}, "256"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "truecolor"),
        ({"TERM": "xterm-256color", "COLORTERM": "24bit"}, "truecolor"),
        ({"TERM": "xterm-direct"}, "truecolor"),
        ({"WT_SESSION": "1"}, "truecolor"),
        ({"TERM": "xterm-kitty", "COLORTERM": "truecolor"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "kitty"),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "yaft-256color-sixel"}, "sixel"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "mintty"}, "sixel"),
        ({"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1", "NO_COLOR": "1"}, "text"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "256"),
        # a multiplexer keeps the pixels to itself
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1"}, "256"),
        ({"TERM": "xterm-256color", "TMUX": "/tmp/x", "TERM_PROGRAM": "WezTerm"}, "256"),
        ({"TERM": "screen", "KITTY_WINDOW_ID": "1"}, "text"),
    ],
)
def test_detection(environment, expected):
    assert detect(environment) == expected


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no-such-encoding"])
def test_an_encoding_without_blocks_leaves_letters(encoding):
    assert detect({"TERM": "xterm-kitty"}, encoding) == "text"


def test_letters_by_hand():
    picture = np.array([[[0], [255], [0]], [[128], [0], [0]]], np.uint8)
    assert encode(picture, 3, 2, "text", cell=(1, 1)) == " @\n=\n".replace("=", "+")


def pixels_of(text):
    """Read half blocks back: (rows, columns, 3) for 24-bit colours."""
    lines = []
    for line in text.splitlines():
        upper, lower, ink, ground = [], [], None, None
        for sequence, block in re.findall(r"\x1b\[([\d;]*)m|(▀)", line):
            if block:
                upper.append(ink)
                lower.append(ground)
            elif sequence != "0":
                numbers = list(map(int, sequence.split(";")))
                assert (numbers[:2], numbers[5:7]) == ([38, 2], [48, 2])
                ink, ground = numbers[2:5], numbers[7:]
        lines += [upper, lower]
        assert line.endswith("\x1b[0m")
    return np.array(lines)


@given(PICTURES)
def test_half_blocks_hold_every_pixel(picture):
    text = encode(picture, 60, 20, "truecolor")
    found = pixels_of(text)
    colours = np.broadcast_to(picture, (*picture.shape[:2], 3))
    assert (found[: len(picture)] == colours).all()
    assert (found[len(picture) :] == colours[-1:]).all()


def test_equal_neighbours_share_their_colours():
    text = encode(np.full((2, 50, 3), 7, np.uint8), 50, 1, "truecolor")
    assert text == "\x1b[38;2;7;7;7;48;2;7;7;7m" + "▀" * 50 + "\x1b[0m\n"


def test_256_colours_by_hand():
    picture = np.array([[[255, 0, 0], [0, 0, 0]], [[95, 135, 175], [118, 118, 118]]], np.uint8)
    assert xterm_colours(picture).tolist() == [[196, 16], [67, 243]]
    text = encode(picture, 2, 1, "256")
    assert text == "\x1b[38;5;196;48;5;67m▀\x1b[38;5;16;48;5;243m▀\x1b[0m\n"


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_no_xterm_colour_is_nearer(colour):
    steps = [0, 95, 135, 175, 215, 255]
    table = [(r, g, b) for r in steps for g in steps for b in steps]
    table += [(v, v, v) for v in range(8, 239, 10)]
    distance = [sum((a - b) ** 2 for a, b in zip(colour, entry, strict=True)) for entry in table]
    found = int(xterm_colours(np.array([[colour]], np.uint8))[0, 0])
    assert distance[found - 16] == min(distance)


@given(PICTURES)
def test_kitty_gets_every_pixel(picture):
    text = encode(picture, 60, 20, "kitty", cell=(2, 1))
    parts = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    assert text == "".join(f"\x1b_G{head};{data}\x1b\\" for head, data in parts) + "\n"
    keys = dict(pair.split("=") for pair in parts[0][0].split(","))
    assert (keys["a"], keys["f"], keys["o"], keys["q"]) == ("T", "24", "z", "2")
    assert [head[-3:] for head, _ in parts] == ["m=1"] * (len(parts) - 1) + ["m=0"[-3:]]
    raw = zlib.decompress(b64decode("".join(data for _, data in parts)))
    found = np.frombuffer(raw, np.uint8).reshape(int(keys["v"]), int(keys["s"]), 3)
    assert (found == np.broadcast_to(picture, found.shape)).all()


def test_kitty_gets_at_most_4096_letters_at_once():
    noise = np.random.default_rng(0).integers(0, 256, (200, 100, 3), np.uint8)
    text = encode(noise, 200, 100, "kitty")
    parts = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    assert len(parts) > 10
    assert all(len(data) == 4096 for _, data in parts[:-1])
    assert [head for head, _ in parts[1:]] == ["m=1"] * (len(parts) - 2) + ["m=0"]


def sixels_of(text):
    """Draw a sixel picture: (H, W, 3), in percent; -1 where nothing was drawn."""
    body = re.fullmatch(r'\x1bP0;1q"1;1;(\d+);(\d+)(.*)\x1b\\\n', text, re.DOTALL)
    width, height = int(body[1]), int(body[2])
    drawn = np.full((height + 6, width, 3), -1)
    table, colour, row, column = {}, None, 0, 0
    for token in re.findall(r"#\d+(?:;[\d;]+)?|!\d+[?-~]|[?-~]|[$-]", body[3]):
        if token == "$":
            column = 0
        elif token == "-":
            row, column = row + 6, 0
        elif token[0] == "#":
            number, *values = map(int, token[1:].split(";"))
            if values:
                assert values[0] == 2
                table[number] = values[1:]
            else:
                colour = table[number]
        else:
            count = int(token[1:-1]) if token[0] == "!" else 1
            bits = ord(token[-1]) - 63
            for bit in range(6):
                if bits >> bit & 1:
                    drawn[row + bit, column : column + count] = colour
            column += count
            assert column <= width
    assert (drawn[height:] == -1).all()
    return drawn[:height]


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 12), st.just(1))))
def test_sixels_hold_every_pixel(picture):
    found = sixels_of(encode(picture, 12, 20, "sixel", cell=(1, 1)))
    assert np.abs(found * 2.55 - picture).max() <= 1.5


def test_sixels_in_colour():
    rows, columns = np.mgrid[:13, :9]
    picture = np.stack([rows % 2 * 255, columns % 3 * 100, (rows + columns) % 2 * 200], axis=2)
    found = sixels_of(encode(picture.astype(np.uint8), 99, 99, "sixel"))
    assert np.abs(found * 2.55 - picture).max() <= 1.5


def test_a_run_is_shortened():
    text = encode(np.zeros((6, 100, 3), np.uint8), 100, 100, "sixel")
    assert "#0!100~\x1b" in text


@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.integers(1, 80),
    st.integers(1, 30),
    st.sampled_from(["truecolor", "256", "text"]),
)
def test_characters_fit_and_keep_the_proportions(shape, columns, rows, protocol):
    picture = np.full((*shape, 3), 200, np.uint8)
    lines = encode(picture, columns, rows, protocol).splitlines()
    used = len(re.sub(r"\x1b\[[\d;]*m", "", lines[0]))
    assert 1 <= len(lines) <= rows
    assert 1 <= used <= columns
    factor = min(1, columns / shape[1], rows * 2 / shape[0])
    assert used == pytest.approx(shape[1] * factor, abs=1)
    assert len(lines) == pytest.approx(shape[0] * factor / 2, abs=1)


def test_pixels_fit_into_the_cells_given():
    picture = np.zeros((1000, 1000, 3), np.uint8)
    assert ",s=200,v=200," in encode(picture, 20, 30, "kitty", cell=(20, 10))
    assert '"1;1;160;160' in encode(picture, 30, 8, "sixel", cell=(20, 10))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_ends_its_lines(protocol):
    text = encode(np.full((9, 9, 3), 99, np.uint8), 5, 3, protocol)
    assert text.endswith("\n")
    assert text.count("\x1bP") == text.count("\x1b\\") * (protocol == "sixel")
