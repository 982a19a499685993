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

AROUND = 6
"""Lines around a layer: its title, the photo's name, a table of one row, and the prompt."""

PATIENCE = 0.25
"""Seconds that a terminal has to say what it can."""

_ATTRIBUTES = b"\x1b[c", rb"\x1b\[\?([\d;]*)c"
_SIXEL = 4
"""Stands among a terminal's attributes (DA1), after the first one, if it draws sixels."""

_LARGEST = b"\x1b[?2;1;0S", rb"\x1b\[\?2;0;(\d+;\d+)S"
"""Columns and rows of pixels that a sixel picture may have (XTSMGRAPHICS)."""


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
        rows, protocol, cell = max(4, lines - AROUND), _protocol(), _cell() or CELL
        if protocol == "sixel" and (largest := _answer(*_LARGEST)):  # xterm drops a larger one
            columns, rows = min(columns, largest[0] // cell[1]), min(rows, largest[1] // cell[0])
        self._window = Window(columns, rows, protocol, cell, is_light(os.environ))

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
    from cnntool.views.terminal import detect

    found = detect(os.environ, sys.stdout.encoding or "ascii")
    if found in {"truecolor", "256"} and _SIXEL in _answer(*_ATTRIBUTES)[1:]:
        return "sixel"
    return found


def _answer(question: bytes, pattern: bytes) -> list[int]:
    """Ask the terminal; return the numbers of its answer, none where it does not answer."""
    from cnntool.views.terminal import is_multiplexed

    # An answer that comes late, over a network, would stand in the next command line.
    near = not is_multiplexed(os.environ) and "SSH_CONNECTION" not in os.environ
    if sys.platform == "win32" or not near or not interactive():
        return []
    terminal, told, end = sys.stdin.fileno(), b"", time.monotonic() + PATIENCE
    with unechoed():
        if select.select([terminal], [], [], 0)[0]:
            return []  # somebody has typed ahead
        os.write(sys.stdout.fileno(), question)
        while not told.endswith(pattern[-1:]) and (left := end - time.monotonic()) > 0:
            if select.select([terminal], [], [], left)[0]:
                told += os.read(terminal, 64)
    answer = re.search(pattern, told)
    return [int(number) for number in answer[1].split(b";") if number] if answer else []


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
