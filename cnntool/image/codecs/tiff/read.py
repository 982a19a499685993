"""Read TIFF: strips and tiles are decoded here, whatever the directory says of them (TIFF 6.0).

What needs a codec that knows about pixels (JPEG, fax) or a conversion of colours is decoded
by Pillow in one piece, in 8 bits.

Samples of 8 and 16 bits are brightness, those of 9 to 15 bits are stretched to 16. Floats are
brightness with 1 for white. Signed samples and those of 32 bits are measurements, so they are
handed out as the plain numbers they are, as those of a ``.npy`` file.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.image.codecs.codec import Reader, rechunked
from cnntool.image.codecs.tiff.compression import (
    HORIZONTAL,
    NO_COMPRESSION,
    CodecError,
    decompress,
    silence_libtiff,
    undo_prediction,
    unpack,
)
from cnntool.image.codecs.tiff.page import (
    ASSOCIATED,
    RGB,
    UNASSOCIATED,
    WHITE_IS_ZERO,
    Page,
    first_page,
)
from cnntool.image.convert import stretch
from cnntool.image.source import ImageInfo, fitting_profile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cnntool.image.source import Source

_BRIGHTNESS = {"u1": "uint8", "u2": "uint16", "f2": "float32", "f4": "float32", "f8": "float64"}
_FAX = {2, 3, 4}
_NUMBERS = {"i1": "float32", "i2": "float32", "i4": "float64", "u4": "float64"}
_READ_AS = _BRIGHTNESS | _NUMBERS
"""The types that hold all values of the types in a file."""


def open_reader(source: Source) -> Reader:
    """Open a TIFF file. See `cnntool.image.files.open_reader`."""
    page = first_page(source)
    source.check_size(page.height, page.width, page.samples)
    if page.dtype is None or not page.plain:
        return _by_pillow(source, page)
    stored = page.dtype.str[1:]
    if stored not in _READ_AS:
        raise source.error(
            f"TIFF with {page.dtype.name} samples is not supported",
            hint="convert it to 8 or 16 bits or to float32",
        )
    channels = 3 if page.photometric == RGB else 1
    if page.samples < channels:
        raise source.error("damaged TIFF: too few samples for its colours")
    source.check_size(*page.block, page.samples)
    matrix = stored in _NUMBERS
    alpha = page.samples > channels and page.extra in {ASSOCIATED, UNASSOCIATED} and not matrix
    dropped = page.samples - channels - alpha
    notes = []
    if dropped:
        notes.append(f"samples beyond colour and alpha are left out: {dropped}")
    if matrix:
        notes.append(
            f"its {page.dtype.name} samples are taken as plain numbers, of which 1 is white"
        )
    if page.packed:
        white = (1 << page.bits) - 1
        notes.append(f"its {page.bits}-bit samples are stretched to 16 bits: {white} is white")
    info = ImageInfo(
        page.height,
        page.width,
        channels=channels,
        dtype=_READ_AS[stored],
        alpha=alpha,
        format="tiff",
        matrix=matrix,
        frames=page.frames,
        icc=fitting_profile(page.profile, colour=channels == 3),
        notes=tuple(notes),
    )
    source.check_memory(_memory(page))
    return _TiffReader(source, info, page)


def _memory(page: Page) -> int:
    """Estimate the bytes that decoding takes at its peak."""
    if _consecutive(page) and page.orientation == 1:
        return 0
    pixel = page.samples * (page.dtype or np.dtype(np.uint8)).itemsize
    whole = page.height * page.width * pixel
    block = min(page.block[0], page.height) * page.width * pixel
    copies = {1: 0, HORIZONTAL: 2}.get(page.predictor, 4) + (page.block[1] < page.width)
    # Some blocks wait to be fetched, and what is turned is there as a whole.
    return min(whole, 5 * block) + copies * block + (whole if page.orientation > 1 else 0)


def _by_pillow(source: Source, page: Page) -> Reader:
    """Let Pillow decode what is not stored as plain samples. It turns the picture upright."""
    from cnntool.image.codecs.pillow import PillowReader, decoding, final_mode, memory

    silence_libtiff()
    with decoding(source, "tiff"):
        from PIL.TiffImagePlugin import TiffImageFile

        image = TiffImageFile(source.file())
        mode = final_mode(image)
    source.check_size(image.height, image.width)  # it may see another one than tifffile
    fax = 16 * image.width if page.compression in _FAX else 0  # libtiff's table of runs
    source.check_memory(memory(image) + fax)
    if image.mode[0] in "IF":
        raise source.error(
            f"this kind of TIFF with {page.bits}-bit samples is not supported",
            hint="convert it to 8 or 16 bits or to float32",
        )
    swapped = page.orientation >= 5
    colour = mode in {"RGB", "RGBA"}
    info = ImageInfo(
        page.width if swapped else page.height,
        page.height if swapped else page.width,
        channels=3 if colour else 1,
        alpha=mode in {"LA", "RGBA"},
        format="tiff",
        frames=page.frames,
        icc=fitting_profile(page.profile, colour=colour),
        notes=("this kind of TIFF is read with 8 bits per sample",) if page.bits > 8 else (),
    )
    return PillowReader(source, info, image)


class _TiffReader(Reader):
    """See `open_reader`. Blocks are rows of strips or tiles."""

    def __init__(self, source: Source, info: ImageInfo, page: Page) -> None:
        super().__init__(source, info, page.orientation)
        self._page = page
        self._dtype = page.dtype or np.dtype(np.uint8)
        with source.reading():
            self._size = source.file().seek(0, 2)
        self._reading = Lock()
        self._plain = _consecutive(page)
        if self._plain and page.orientation == 1:
            self.window = self._window

    def _decode(self, rows: int) -> Iterator[NDArray[Any]]:
        page = self._page
        if self._plain:
            for top in range(0, self._stored.height, rows):
                yield self._plain_rows(top, min(top + rows, self._stored.height))
            return
        for top in range(0, self._stored.height, page.block[0]):
            yield self._block_row(top)

    def _plain_rows(self, lo: int, hi: int) -> NDArray[Any]:
        """Read rows that simply follow each other in the file."""
        pixels = np.empty((hi - lo, self._stored.width, self._page.samples), self._dtype)
        body = pixels.reshape(-1).view(np.uint8)
        row_bytes = body.size // (hi - lo)
        start = self._page.offsets[0] + lo * row_bytes
        if start + body.size > self._size:
            raise self._source.error("damaged or truncated TIFF")
        with self._reading, self._source.reading():
            file = self._source.file()
            file.seek(start)
            file.readinto(body)  # type: ignore[attr-defined]
        return pixels

    def _window(self, lo: int, hi: int) -> NDArray[Any]:
        rows = self._array(self._plain_rows(lo, hi))
        self._check_finite(rows, lo)
        return rows

    def _block_row(self, top: int) -> NDArray[Any]:
        """Decode the strips or tiles side by side that begin at row `top`."""
        page, info = self._page, self._stored
        height, width = page.block
        rows = min(height, info.height - top)
        across, down = -(-info.width // width), -(-info.height // height)
        planes = page.samples if page.planar else 1
        samples = page.samples // planes
        if planes == 1 and width == info.width and not page.tiled:  # a copy would only cost
            return self._block(top // height, (rows, width, samples), height - rows)
        pixels = np.empty((rows, info.width, page.samples), self._dtype.newbyteorder("="))
        for plane in range(planes):
            for column in range(across):
                index = (plane * down + top // height) * across + column
                shape = (height if page.tiled else rows, width, samples)
                block = self._block(index, shape, height - shape[0])
                left = column * width
                part = pixels[:, left : left + width, plane : plane + samples]
                part[:] = block[:rows, : part.shape[1]]
        return pixels

    def _block(self, index: int, shape: tuple[int, int, int], spare_rows: int) -> NDArray[Any]:
        """Decode a strip or a tile; it may be read-only."""
        page = self._page
        if index >= min(len(page.offsets), len(page.counts)):
            raise self._source.error("damaged TIFF: strips are missing")
        file = self._source.file()
        with self._source.reading():
            file.seek(min(page.offsets[index], self._size))
            body = file.read(min(page.counts[index], self._size))
        bits = page.bits if page.packed else 8 * self._dtype.itemsize
        row_bytes = -(-shape[1] * shape[2] * bits // 8)
        try:
            body, sound = decompress(
                body, page.compression, shape[0], row_bytes, spare_rows=spare_rows
            )
        except CodecError as error:
            raise self._source.error("damaged or truncated TIFF") from error
        if not sound:
            self.report_damage("damaged TIFF: a strip does not end where its rows end")
        if page.packed:
            return unpack(body, bits, shape)
        return undo_prediction(body, page.predictor, self._dtype, shape)

    def _arrays(self, blocks: Iterator[NDArray[Any]], rows: int) -> Iterator[NDArray[Any]]:
        return map(self._array, rechunked(blocks, rows))

    def _array(self, block: NDArray[Any]) -> NDArray[Any]:
        """Keep the wanted samples, black is 0, colours are not multiplied by alpha."""
        page, info = self._page, self._stored
        strip = block[..., : info.samples].astype(info.dtype, copy=False)
        if page.packed:
            strip = stretch(strip, (1 << page.bits) - 1, info.dtype)
        if page.photometric == WHITE_IS_ZERO and info.dtype.startswith("uint"):
            strip = strip if strip.flags.writeable else strip.copy()
            strip[..., 0] = int(info.peak) - strip[..., 0]
        if info.alpha and page.extra == ASSOCIATED:
            strip = _divided(strip, info.peak)
        return strip


def _consecutive(page: Page) -> bool:
    """Whether the rows of the picture simply follow each other in the file."""
    if page.compression != NO_COMPRESSION or page.predictor != 1 or page.packed:
        return False
    if page.planar or page.tiled or page.dtype is None or not page.offsets:
        return False
    rows, start = page.block[0], page.offsets[0]
    strip_bytes = rows * page.width * page.samples * page.dtype.itemsize
    return len(page.offsets) == -(-page.height // rows) and all(
        offset == start + number * strip_bytes for number, offset in enumerate(page.offsets)
    )


def _divided(strip: NDArray[Any], peak: float) -> NDArray[Any]:
    """Divide colours by alpha; where alpha is 0 they are black."""
    alpha = strip[..., -1:].astype(np.float64)
    scale = np.divide(peak, alpha, out=np.zeros_like(alpha), where=alpha > 0)
    colours = strip[..., :-1] * scale
    if strip.dtype.kind == "u":
        colours = np.rint(np.minimum(colours, peak))
    result = strip.copy()
    result[..., :-1] = colours
    return result
