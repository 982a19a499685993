"""Layers drawn in the terminal."""

from __future__ import annotations

import os
import sys
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

from cnntool.cli import console
from cnntool.views.numerals import shape_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.cli.layer_table import Row
    from cnntool.cli.maps import Drawing
    from cnntool.views.terminal import Protocol

FEW = "top:16"
"""The maps that are drawn with characters, unless others are asked for: more are too small."""

BARS = 8
"""Values of a vector that are drawn with characters."""

_NAME = 24


class Screen:
    """The terminal on stdout, if there is one.

    Attributes
    ----------
    active : bool
        Whether stdout is a terminal; else nothing is shown.
    """

    def __init__(self) -> None:
        self.active = sys.stdout.isatty()
        self._protocol: Protocol = "text"
        if self.active:
            from shutil import get_terminal_size

            from cnntool.views.terminal import detect

            self._protocol = detect(os.environ, sys.stdout.encoding or "ascii")
            self._size = get_terminal_size()

    def draw(self, drawing: Drawing, values: NDArray[Any], **keywords: Any) -> str:
        """Draw a layer without the small print that characters cannot show.

        Parameters
        ----------
        drawing : Drawing
            As the user wants it.
        values : ndarray of shape (C, H, W) or (n,)
        **keywords
            See `Drawing.picture`.

        Returns
        -------
        str
            What a terminal shows as the layer.
        """
        from cnntool.views.board import Caption
        from cnntool.views.terminal import encode

        room = self._size.columns, max(4, self._size.lines - 2)
        if self._protocol in {"kitty", "sixel"}:
            return encode(drawing.picture(values, Caption(), **keywords), *room, self._protocol)
        if values.ndim == 1:
            return self._bars(values, keywords["labels"])
        columns = drawing.columns or ceil(  # of sixteen maps
            sqrt(16 * room[0] / (2 * room[1]))
        )
        maps = drawing.maps or FEW
        plain = drawing._replace(maps=maps, columns=columns, numbered=False, gap=4)
        return encode(plain.picture(values, Caption(), **keywords), *room, self._protocol)

    def _bars(self, vector: NDArray[Any], labels: Sequence[str] | None) -> str:
        """Draw the largest values of a vector as bars of characters."""
        import numpy as np

        usable = np.nan_to_num(vector.astype(np.float64), nan=-np.inf, posinf=np.inf)
        best = np.argsort(-usable, kind="stable")[:BARS].tolist()
        longest = float(np.abs(usable[best][np.isfinite(usable[best])]).max(initial=0)) or 1.0
        room = max(8, self._size.columns - _NAME - 16)
        sign = "#" if self._protocol == "text" else "█"
        lines = []
        for place in best:
            name = console.printable(labels[place] if labels else str(place))
            share = min(1.0, max(0.0, float(usable[place]) / longest))
            bar = sign * round(share * room)
            lines.append(f"{name[:_NAME]:>{_NAME}}  {vector[place]:<10.4g}  {bar}\n")
        return "".join(lines)

    def show(self, row: Row, text: str) -> None:
        """Print a layer that was drawn."""
        console.result(f"{row.wanted.title}  {shape_text(row.figures.shape)}")
        sys.stdout.write(text)
        sys.stdout.flush()
