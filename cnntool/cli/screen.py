"""The terminal on stdout, as something to draw on."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from typing import TYPE_CHECKING, Any

from cnntool.cli import console
from cnntool.cli.pager import interactive, unechoed
from cnntool.shapes.text import shape_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.cli.layer_files import LayerRow
    from cnntool.views.drawing import Drawing
    from cnntool.views.terminal import Protocol

FEW = "top:16"
"""The maps that are drawn with characters, unless others are asked for: more are too small."""

PATIENCE = 0.25
"""Seconds that a terminal has to say what it can."""

_SIXEL = "4"
"""Stands among a terminal's attributes if it draws sixels."""


class Screen:
    """The terminal on stdout, if there is one.

    Attributes
    ----------
    active : bool
        Whether stdout is a terminal; else nothing is shown.
    """

    def __init__(self) -> None:
        self.active = sys.stdout.isatty()
        if not self.active:
            console.note("--show draws on a terminal, and stdout is none; --output draws a file")
            return
        from shutil import get_terminal_size

        from cnntool.views.terminal import CELL, is_light
        from cnntool.views.terminal_grid import Window

        columns, lines = get_terminal_size()
        self._window = Window(
            columns, max(4, lines - 2), _protocol(), _cell() or CELL, is_light(os.environ)
        )

    def draw(
        self,
        drawing: Drawing,
        values: NDArray[Any],
        *,
        photo: NDArray[Any] | None,
        labels: Sequence[str] | None,
    ) -> str:
        """Draw a layer.

        Parameters
        ----------
        drawing : Drawing
            As the user wants it.
        values : ndarray of shape (C, H, W) or (n,)
        photo, labels
            See `Drawing.picture`.

        Returns
        -------
        str
            What the terminal shows as the layer.
        """
        from cnntool.views.feature_maps import choose
        from cnntool.views.terminal_grid import map_grid, vector_bars

        if values.ndim == 1:
            labels = labels and [*map(console.printable, labels)]
            return vector_bars(
                values, self._window, labels=labels, style=drawing.of_vectors, scale=drawing.scale
            )
        few = FEW if self._window.protocol not in {"kitty", "sixel"} else ""
        return map_grid(
            values,
            choose(values, drawing.maps or few, drawing.sort),
            self._window,
            style=drawing.style or "gray",
            scale=drawing.scale,
            columns=drawing.columns,
            photo=photo,
        )

    def show(self, row: LayerRow, text: str) -> None:
        """Print a layer that was drawn."""
        console.result(f"{row.wanted.title}  {shape_text(row.figures.shape, scalar='')}")
        sys.stdout.write(text)
        sys.stdout.flush()


def _protocol() -> Protocol:
    """Return how to draw: as the environment says, or the terminal itself."""
    from cnntool.views.terminal import detect, is_multiplexed

    found = detect(os.environ, sys.stdout.encoding or "ascii")
    # An answer that comes late, over a network, would stand in the next command line.
    near = not is_multiplexed(os.environ) and "SSH_CONNECTION" not in os.environ
    if found in {"truecolor", "256"} and near and interactive() and _SIXEL in _attributes():
        return "sixel"
    return found


def _attributes() -> list[str]:
    """Ask the terminal for its attributes (DA1); none where it does not answer."""
    if sys.platform == "win32":
        return []
    terminal, told, end = sys.stdin.fileno(), b"", time.monotonic() + PATIENCE
    with unechoed():
        if select.select([terminal], [], [], 0)[0]:
            return []  # somebody has typed ahead
        os.write(sys.stdout.fileno(), b"\x1b[c")
        while b"c" not in told and (left := end - time.monotonic()) > 0:
            if select.select([terminal], [], [], left)[0]:
                told += os.read(terminal, 64)
    answer = re.search(rb"\x1b\[\?([\d;]*)c", told)
    return answer[1].decode().split(";")[1:] if answer else []


def _cell() -> tuple[int, int] | None:
    """Return rows and columns of pixels of a character, if the terminal tells."""
    if sys.platform == "win32":
        return None
    import fcntl
    import struct
    import termios

    try:
        told = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(8))
    except OSError:
        return None
    lines, columns, width, height = struct.unpack("4H", told)
    return (height // lines, width // columns) if lines and columns and height and width else None
