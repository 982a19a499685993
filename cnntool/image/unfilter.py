"""Undo PNG's row filters, with Pillow's decoder and without numpy.

A PNG row may be predicted from the row above, so bands of a picture can be decoded one after
the other if the last row of the band before is put in front of each, as a row without filter.
Pillow's ``zip`` decoder wants a zlib stream; one of *stored* blocks costs a copy and nothing more.
The filters work on bytes and know only the distance to the pixel on the left, so any mode
of Pillow with as many bytes per pixel serves. For six and eight bytes, Pillow's modes keep either
the high or the low byte of each sample: such rows are decoded twice.
"""

from __future__ import annotations

from typing import Any

from PIL import _imaging as core

_BLOCK = 65535

_MODES = {
    1: (("L", "L"),),
    2: (("LA", "LA"),),
    3: (("RGB", "RGB"),),
    4: (("RGBA", "RGBA"),),
    6: (("RGB", "RGB;16B"), ("RGB", "RGB;16L")),
    8: (("RGBA", "RGBA;16B"), ("RGBA", "RGBA;16L")),
}
"""Pillow's (mode, raw mode) by bytes per pixel."""


class UnfilterError(ValueError):
    """Rows that no PNG writer makes."""


def unfilter(filtered: bytes, previous: bytes, pixels: int, pixel_bytes: int) -> list[bytes]:
    """Decode successive filtered rows.

    Parameters
    ----------
    filtered : bytes
        Rows, each a filter type and ``pixels * pixel_bytes`` bytes.
    previous : bytes
        The row above as returned by `last_row`, zeros at the top.
    pixels : int
        Pixels per row.
    pixel_bytes : int
        1, 2, 3, 4, 6 or 8.

    Returns
    -------
    list of bytes
        The rows. For 6 and 8 bytes per pixel two items, all high bytes and all low bytes.

    Raises
    ------
    UnfilterError
        For an unknown filter type.
    """
    stride = pixels * pixel_bytes + 1
    rows = len(filtered) // stride
    stream = _stored(b"\0" + previous + filtered)
    size = (pixels, rows + 1)
    return [
        _decode(stream, size, mode, raw)[len(previous) // len(_MODES[pixel_bytes]) :]
        for mode, raw in _MODES[pixel_bytes]
    ]


def last_row(planes: list[bytes], row_bytes: int) -> bytes:
    """Return the last row of what `unfilter` returned, as it stands in the file."""
    if len(planes) == 1:
        return planes[0][-row_bytes:]
    row = bytearray(row_bytes)
    half = row_bytes // 2
    row[0::2] = planes[0][-half:]
    row[1::2] = planes[1][-half:]
    return bytes(row)


def _stored(data: bytes) -> bytes:
    """Wrap data in a zlib stream of stored blocks (RFC 1951, 3.2.4), checksum left out."""
    view = memoryview(data)
    parts: list[bytes | memoryview] = [b"\x78\x01"]
    for start in range(0, len(data), _BLOCK):
        block = view[start : start + _BLOCK]
        size = len(block)
        final = start + _BLOCK >= len(data)
        parts.append(
            bytes((final,)) + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little")
        )
        parts.append(block)
    return b"".join(parts)


def _decode_core(stream: bytes, size: tuple[int, int], mode: str, raw: str) -> bytes:
    """Decode with Pillow's C module alone: importing ``PIL.Image`` costs 12 ms."""
    image = core.new(mode, size)
    decoder = core.zip_decoder(mode, raw, 0)
    decoder.setimage(image, (0, 0, *size))
    consumed, error = decoder.decode(stream)
    if consumed >= 0 or error:
        raise UnfilterError
    encoder = core.raw_encoder(mode, mode, 0, 1)
    encoder.setimage(image, (0, 0, *size))
    _, _, body = encoder.encode(size[0] * size[1] * len(mode))
    return bytes(body)


def _decode_public(stream: bytes, size: tuple[int, int], mode: str, raw: str) -> bytes:
    """Decode through Pillow's public interface."""
    from PIL import Image

    try:
        return Image.frombytes(mode, size, stream, "zip", (raw, 0)).tobytes()
    except ValueError as error:
        raise UnfilterError from error


_decode: Any = (
    _decode_core
    if all(hasattr(core, name) for name in ("new", "zip_decoder", "raw_encoder"))
    else _decode_public
)
