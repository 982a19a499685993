"""Pictures in a terminal: as characters everywhere, as pixels where the terminal says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cnntool.image.convert import luma

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Protocol = Literal["kitty", "sixel", "truecolor", "256", "text"]

PROTOCOLS: dict[Protocol, str] = {
    "kitty": "pixels, for kitty, Ghostty and WezTerm",
    "sixel": "pixels in up to 256 colours, for foot, mlterm and others",
    "truecolor": "half blocks in 24-bit colours",
    "256": "half blocks in the 256 colours of xterm",
    "text": "letters of growing density, without colour",
}

CELL = (20, 10)
"""Rows and columns of pixels that a character is taken to have, where nobody knows."""

_RAMP = " .:-=+*#%@"
_SIGNS = [chr(63 + bits) for bits in range(64)]  # a column of six pixels
_GROUND = -1  # stands for the terminal's own
_CHUNK = 4096  # of base64, the most that kitty takes at once


def detect(environment: Mapping[str, str], encoding: str = "utf-8") -> Protocol:
    """Tell from the environment what the terminal can show. Nothing is asked of the terminal.

    Parameters
    ----------
    environment : mapping
        Such as ``os.environ``: NO_COLOR, TERM, TERM_PROGRAM, COLORTERM, KITTY_WINDOW_ID, and what
        multiplexers set, which pass on characters only.
    encoding : str
        Of the output. One that has no half block leaves letters.

    Returns
    -------
    {"kitty", "sixel", "truecolor", "256", "text"}
    """
    term = environment.get("TERM", "")
    if environment.get("NO_COLOR") or term == "dumb" or not _has_blocks(encoding):
        return "text"
    pixels = None if is_multiplexed(environment) else _shows_pixels(environment, term)
    in_screen = "STY" in environment or (term.startswith("screen") and "TMUX" not in environment)
    deep = not in_screen and (  # GNU screen takes the numbers of such a colour for other commands
        environment.get("COLORTERM") in {"truecolor", "24bit"}
        or term.endswith("-direct")
        or "WT_SESSION" in environment  # Windows Terminal, which sets no TERM
    )
    # Plain "xterm" is what xterm, PuTTY and containers say, and all of these have 256 colours.
    coarse = "256color" in term or term == "xterm"
    return pixels or ("truecolor" if deep else "256" if coarse else "text")


def is_multiplexed(environment: Mapping[str, str]) -> bool:
    """Return whether something stands between us and the terminal: tmux, screen or zellij."""
    term = environment.get("TERM", "")
    inside = any(environment.get(name) for name in ("TMUX", "STY", "ZELLIJ"))
    return inside or term.startswith(("tmux", "screen"))


def is_light(environment: Mapping[str, str]) -> bool:
    """Return whether the terminal says that its ground is light: COLORFGBG, ``0;15``."""
    ground = environment.get("COLORFGBG", "").rpartition(";")[2]
    return ground in {"7", *map(str, range(9, 16))}


def _shows_pixels(environment: Mapping[str, str], term: str) -> Protocol | None:
    """Return the protocol of a terminal that is known to show pixels."""
    program = environment.get("TERM_PROGRAM", "").lower()
    if (
        "KITTY_WINDOW_ID" in environment
        or term in {"xterm-kitty", "xterm-ghostty"}
        or program in {"wezterm", "ghostty"}
    ):
        return "kitty"
    if (
        "sixel" in term
        or term.startswith(("foot", "mlterm", "contour"))
        or program in {"mintty", "iterm.app"}
    ):
        return "sixel"
    return None


def _has_blocks(encoding: str) -> bool:
    try:
        "▀".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def encode(
    picture: NDArray[np.uint8],
    columns: int,
    rows: int,
    protocol: Protocol,
    *,
    cell: tuple[int, int] = CELL,
) -> str:
    """Turn a picture into what a terminal shows as that picture.

    Parameters
    ----------
    picture : ndarray of uint8, shape (H, W, 1 or 3)
        What to show.
    columns, rows : int
        Characters that the picture may take, at least 1 each. It keeps its proportions, and is
        not enlarged.
    protocol : {"kitty", "sixel", "truecolor", "256", "text"}
        See ``PROTOCOLS`` and `detect`.
    cell : (int, int)
        Rows and columns of pixels of a character. Pixels of the first two protocols depend on
        it; for characters its proportion counts.

    Returns
    -------
    str
        Lines, each with its line end. The cursor stands at the beginning of the line below the
        picture, in the terminal's own colours.
    """
    down, across = dots(protocol, cell)
    pixel = cell[0] / down, cell[1] / across
    scale = pixel[0] / pixel[1], 1.0
    return write(_fitted(picture, columns * across, rows * down, scale), protocol)


def dots(protocol: Protocol, cell: tuple[int, int] = CELL) -> tuple[int, int]:
    """Return how many rows and columns of pixels a character shows."""
    return {"text": (1, 1), "truecolor": (2, 1), "256": (2, 1)}.get(protocol, cell)


def write(picture: NDArray[np.uint8], protocol: Protocol, *, light: bool = False) -> str:
    """Write a picture, dot by dot.

    Parameters
    ----------
    picture : ndarray of uint8, shape (H, W, 1, 3 or 4)
        One pixel for each of the `dots`. Where the fourth channel is 0, the terminal's own ground
        is seen.
    protocol : {"kitty", "sixel", "truecolor", "256", "text"}
    light : bool
        Whether the ground is light: there letters are the denser the darker.

    Returns
    -------
    str
        See `encode`.
    """
    if picture.shape[2] == 1:
        picture = picture.repeat(3, axis=2)
    if protocol == "text":
        return _text(picture, light=light)
    if protocol in {"truecolor", "256"}:
        return _half_blocks(picture, deep=protocol == "truecolor")
    return _kitty(picture) if protocol == "kitty" else _sixel(picture)


def _holes(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where a picture shows the ground, shape (H, W)."""
    holes: NDArray[np.bool_] = picture[:, :, 3:].any(axis=2) != (picture.shape[2] == 4)
    return holes


def _fitted(
    picture: NDArray[np.uint8], width: int, height: int, pixel: tuple[float, float]
) -> NDArray[np.uint8]:
    """Shrink a picture to at most width x height pixels of some (height, width) of their own."""
    from PIL import Image

    tall, wide = picture.shape[0] / pixel[0], picture.shape[1] / pixel[1]
    factor = min(1.0, width / wide, height / tall)
    size = max(1, min(width, round(wide * factor))), max(1, min(height, round(tall * factor)))
    if size == picture.shape[1::-1]:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def _text(picture: NDArray[np.uint8], *, light: bool) -> str:
    """Draw brightness as letters: the brighter the denser, as on a dark terminal."""
    ramp = np.frombuffer((_RAMP[::-1] if light else _RAMP).encode(), np.uint8)
    bright = luma(picture[:, :, :3])[:, :, 0] / 255
    shades = ramp[np.rint(bright * (len(ramp) - 1)).astype(np.intp)]
    shades[_holes(picture)] = ord(" ")
    return "".join(row.tobytes().decode().rstrip() + "\n" for row in shades)


def _half_blocks(picture: NDArray[np.uint8], *, deep: bool) -> str:
    """Draw two pixels in each character: the upper one as ink, the lower one as ground."""
    if len(picture) % 2:
        picture = np.concatenate([picture, picture[-1:]])
    # What one character says: upper and lower colour, as numbers to compare and texts to print.
    colours = picture[:, :, :3]
    if deep:
        numbers: Any = (colours.astype(np.int64) << np.array([16, 8, 0])).sum(axis=2)
    else:
        numbers = xterm_colours(colours).astype(np.int64)
    names = {
        number: f"8;2;{number >> 16};{number >> 8 & 255};{number & 255}"
        if deep
        else f"8;5;{number}"
        for number in np.unique(numbers).tolist()
    }
    numbers[_holes(picture)] = _GROUND
    names[_GROUND] = "9"
    lines = []
    for upper, lower in zip(numbers[::2].tolist(), numbers[1::2].tolist(), strict=True):
        said: tuple[int, int] | None = None
        for pair in zip(upper, lower, strict=True):
            upside = pair[0] == _GROUND  # ink cannot have the colour of the ground
            if pair != said:
                ink, ground = reversed(pair) if upside else pair
                lines.append(f"\x1b[3{names[ink]};4{names[ground]}m")
                said = pair
            lines.append(("▄" if pair[1] != _GROUND else " ") if upside else "▀")
        lines.append("\x1b[0m\n")
    return "".join(lines)


def xterm_colours(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return for each pixel the nearest of xterm's colours 16 to 255.

    Parameters
    ----------
    picture : ndarray of uint8, shape (H, W, 3)
        Red, green, blue.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        16 to 231 are a cube of 6 x 6 x 6 colours with the steps 0, 95, 135, 175, 215, 255; 232 to
        255 are the greys 8, 18, ... 238.
    """
    values = picture.astype(np.int32)
    steps = np.array([0, 95, 135, 175, 215, 255])
    nearest = np.abs(np.arange(256)[:, None] - steps).argmin(axis=1)[values]
    in_cube = ((steps[nearest] - values) ** 2).sum(axis=2)
    grey = np.clip((values.mean(axis=2) - 3) // 10, 0, 23).astype(np.int32)
    in_greys = ((8 + 10 * grey[..., None] - values) ** 2).sum(axis=2)
    cube = 16 + nearest @ np.array([36, 6, 1])
    colours: NDArray[np.uint8] = np.where(in_greys < in_cube, 232 + grey, cube).astype(np.uint8)
    return colours


def _kitty(picture: NDArray[np.uint8]) -> str:
    """Send zlib-packed RGB or RGBA by kitty's graphics protocol, quietly (q=2).

    https://sw.kovidgoyal.net/kitty/graphics-protocol/
    """
    import zlib
    from base64 import b64encode

    data = b64encode(zlib.compress(picture.tobytes(), 1)).decode()
    height, width = picture.shape[:2]
    parts = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    head = f"a=T,q=2,f={8 * picture.shape[2]},o=z,s={width},v={height},"
    sent = [
        f"\x1b_G{head if number == 0 else ''}m={int(number + 1 < len(parts))};{part}\x1b\\"
        for number, part in enumerate(parts)
    ]
    return "".join(sent) + "\n"


def _sixel(picture: NDArray[np.uint8]) -> str:
    """Write six rows of pixels at a time, colour by colour, with runs shortened.

    https://vt100.net/docs/vt3xx-gp/chapter14.html
    """
    from PIL import Image

    few = Image.fromarray(picture[:, :, :3]).quantize(256, dither=Image.Dither.NONE)
    table = np.frombuffer(bytes(few.getpalette("RGB") or b""), np.uint8).reshape(-1, 3)
    pixels = np.asarray(few).astype(np.intp)
    pixels[_holes(picture)] = _GROUND
    height, width = pixels.shape
    colours = "".join(
        f"#{number};2;{red};{green};{blue}"
        for number, (red, green, blue) in enumerate(np.rint(table / 2.55).astype(int).tolist())
    )
    bands = "-".join(_band(pixels[top : top + 6]) for top in range(0, height, 6))
    return f'\x1bP0;1q"1;1;{width};{height}{colours}{bands}\x1b\\\n'


def _band(pixels: NDArray[np.intp]) -> str:
    """Write up to six rows of colour numbers: for each colour the columns of bits that it fills."""
    width = pixels.shape[1]
    used, which = np.unique(pixels, return_inverse=True)
    places = which.reshape(pixels.shape) * width + np.arange(width)
    bits = np.broadcast_to(1 << np.arange(len(pixels))[:, None], pixels.shape)
    sixels = np.bincount(places.ravel(), bits.ravel(), len(used) * width).astype(np.uint8)
    sixels = sixels.reshape(-1, width)
    starts = np.ones(sixels.shape, np.bool_)
    np.not_equal(sixels[:, 1:], sixels[:, :-1], out=starts[:, 1:])
    rows, columns = np.nonzero(starts)
    lengths = np.diff(np.r_[rows * width + columns, sixels.size]).tolist()
    lines = [[f"#{colour}"] for colour in used.tolist()]
    for row, value, length in zip(rows.tolist(), sixels[starts].tolist(), lengths, strict=True):
        sign = _SIGNS[value]
        lines[row].append(sign * length if length < 4 else f"!{length}{sign}")
    return "$".join(map("".join, lines[int(used[0] == _GROUND) :]))
