"""Read PNG in strips (W3C PNG, third edition)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.image import metadata
from cnntool.image.metadata import orientation
from cnntool.image.png_chunks import GREY_ALPHA, PALETTE, RGB, RGB_ALPHA, ImageData, PngFile, parse
from cnntool.image.reader import Reader
from cnntool.image.types import ImageInfo
from cnntool.image.unfilter import UnfilterError, last_row, unfilter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cnntool.image.source import Source

_PASSES = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)
"""Adam7: first row, first column, row step, column step."""

_BAND_BYTES = 1 << 16
_BAND_ROWS = 4
"""Rows are decoded in bands that fit in a cache and whose pages malloc hands out again."""


def open_reader(source: Source) -> Reader:
    """Open a PNG file. See `cnntool.image.files.open_reader`."""
    png = parse(source)
    source.check_size(png.height, png.width)
    colour = png.colour in {RGB, RGB_ALPHA, PALETTE}
    info = ImageInfo(
        png.height,
        png.width,
        channels=3 if colour else 1,
        dtype="uint16" if png.depth == 16 else "uint8",
        alpha=bool(png.transparency) or png.colour in {GREY_ALPHA, RGB_ALPHA},
        format="png",
        frames=png.frames,
        icc=metadata.fitting_profile(png.profile, colour=colour),
    )
    return _PngReader(source, info, png)


class _Rows(NamedTuple):
    """Unfiltered rows, in bands as `unfilter` returns them."""

    height: int
    width: int
    bands: list[list[bytes]]

    def samples(self, row_bytes: int, *, wide: bool) -> NDArray[Any]:
        """Join the bands to an array of shape (h, samples per row), of uint16 if `wide`."""
        import numpy as np

        rows = np.empty((self.height, row_bytes // (1 + wide)), np.uint16 if wide else np.uint8)
        flat = rows.reshape(-1)
        start = 0
        for planes in self.bands:
            high = np.frombuffer(planes[0], np.uint8)
            if not wide:
                part = flat[start : start + len(high)]
                part[:] = high
            elif len(planes) == 1:
                part = flat[start : start + len(high) // 2]
                part[:] = high.view(">u2")
            else:
                part = flat[start : start + len(high)]
                np.left_shift(high, 8, out=part, dtype=np.uint16)
                part |= np.frombuffer(planes[1], np.uint8)
            start += len(part)
        return rows


class _PngReader(Reader):
    """See `open_reader`."""

    def __init__(self, source: Source, info: ImageInfo, png: PngFile) -> None:
        super().__init__(source, info, orientation(png.exif, png.xmp))
        self._png = png

    def _decode(self, rows: int) -> Iterator[_Rows]:
        png = self._png
        data = ImageData(self._source, png.data)
        try:
            if png.interlaced:
                for top, left, down, right in _PASSES:
                    height = -(-(png.height - top) // down)
                    width = -(-(png.width - left) // right)
                    if height > 0 and width > 0:
                        yield from self._decode_rows(data, height, width, rows)
            else:
                yield from self._decode_rows(data, png.height, png.width, rows)
            data.finish()
        except UnfilterError as error:
            raise self._source.error("damaged PNG: an unknown row filter") from error

    def _decode_rows(self, data: ImageData, height: int, width: int, rows: int) -> Iterator[_Rows]:
        row_bytes = self._png.row_bytes(width)
        step = self._png.pixel_bytes
        band = max(_BAND_ROWS, _BAND_BYTES // row_bytes)
        previous = bytes(row_bytes)
        for top in range(0, height, rows):
            stop = min(top + rows, height)
            strip = []
            for row in range(top, stop, band):
                filtered = data.take(min(band, stop - row) * (row_bytes + 1))
                planes = unfilter(filtered, previous, row_bytes // step, step)
                previous = last_row(planes, row_bytes)
                strip.append(planes)
            yield _Rows(stop - top, width, strip)

    def _arrays(self, blocks: Iterator[_Rows], rows: int) -> Iterator[NDArray[Any]]:
        if not self._png.interlaced:
            yield from map(self._array, blocks)
            return
        import numpy as np

        info = self._stored
        whole = np.empty(info.shape, info.dtype)
        for top, left, down, right in _PASSES:
            part = whole[top::down, left::right]
            row = 0
            while part.size and row < len(part):
                block = next(blocks)
                part[row : row + block.height] = self._array(block)
                row += block.height
                del block  # before the next one is decoded
        for _ in blocks:
            pass
        for top in range(0, info.height, rows):
            yield whole[top : top + rows]

    def _array(self, block: _Rows) -> NDArray[Any]:
        """Turn unfiltered rows into (h, width, samples), palette and transparency applied."""
        import numpy as np

        png = self._png
        samples = block.samples(png.row_bytes(block.width), wide=png.depth == 16)
        if png.depth < 8:
            samples = _unpacked(samples, png.depth, block.width)
        pixels = samples.reshape(block.height, block.width, png.samples)
        if png.colour == PALETTE:
            return self._coloured(pixels[..., 0])
        if png.transparency:
            pixels = self._keyed(pixels)
        if png.depth < 8:
            pixels[..., 0] *= np.uint8(255 // ((1 << png.depth) - 1))
        return pixels

    def _coloured(self, indices: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        colours = np.frombuffer(self._png.palette, np.uint8).reshape(-1, 3)
        if indices.max() >= len(colours):
            raise self._source.error("damaged PNG: a colour that is not in the palette")
        if self._png.transparency:
            alpha = np.full((len(colours), 1), 255, np.uint8)
            known = np.frombuffer(self._png.transparency, np.uint8)[: len(colours)]
            alpha[: len(known), 0] = known
            colours = np.hstack((colours, alpha))
        picked: NDArray[Any] = colours[indices]
        return picked

    def _keyed(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Add the alpha that a transparent colour stands for."""
        import numpy as np

        samples = self._png.samples
        key = np.frombuffer(self._png.transparency, ">u2") & ((1 << self._png.depth) - 1)
        result = np.empty((*pixels.shape[:2], samples + 1), pixels.dtype)
        result[..., :samples] = pixels
        result[..., samples] = (pixels != key).any(axis=2)
        result[..., samples] *= int(self.info.peak)
        return result


def _unpacked(rows: NDArray[Any], depth: int, width: int) -> NDArray[Any]:
    """Spread samples of 1, 2 or 4 bits, high bits first, over bytes."""
    import numpy as np

    shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
    spread = (rows[..., np.newaxis] >> shifts) & ((1 << depth) - 1)
    return spread.reshape(len(rows), -1)[:, :width]
