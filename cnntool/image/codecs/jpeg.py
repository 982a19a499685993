"""Read JPEG through simplejpeg, which tells the damage that libjpeg gets over and Pillow hides.

Both hold libjpeg-turbo and decode the same pixels. Pillow reads the header, and decodes inks, what
is damaged, and colours that are sampled in ways that simplejpeg does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnntool.image.codecs.pillow import PillowReader
from cnntool.image.codecs.pillow import open_reader as open_by_pillow
from cnntool.image.source import upright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

    from cnntool.image.codecs.codec import Reader
    from cnntool.image.source import ImageInfo, Source

_COLOURS = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""What simplejpeg calls the modes of Pillow."""

_FAILURES = (ValueError, LookupError)
"""What simplejpeg raises: it looks some words of the header up in tables."""

_PIXEL_BYTES, _METADATA_BYTES = 8, 1 << 26
"""No JPEG is longer than that; what follows it in a file is not read."""


def open_reader(source: Source) -> Reader:
    """Open a JPEG file."""
    return open_by_pillow(source, "jpeg", JpegReader)


class JpegReader(PillowReader):
    """Decodes the whole image when the first strip is wanted."""

    def __init__(self, source: Source, info: ImageInfo, image: ImageFile, turn: int = 1) -> None:
        super().__init__(source, info, image, turn)
        self._doubt = ""

    def _decode(self, rows: int) -> Iterator[Any]:
        pixels = self._sound()
        if pixels is None:
            yield from super()._decode(rows)
            return
        for top in range(0, self._stored.height, rows):
            yield pixels[top : top + rows]

    def picture(self) -> NDArray[Any] | Image:
        """Return the picture as it was decoded, the right way up."""
        pixels = self._sound()
        return super().picture() if pixels is None else upright(pixels, self._orientation)

    def _sound(self) -> NDArray[Any] | None:
        """Return the pixels, or None where they are damaged or Pillow must decode them."""
        try:
            from simplejpeg import decode_jpeg, decode_jpeg_header
        except ImportError as error:
            if self._source.strict:
                reason = "JPEG cannot be checked for damage: simplejpeg is not installed"
                raise self._source.error(reason) from error
            return None
        info = self._stored
        body = self._source.body(info.height * info.width * _PIXEL_BYTES + _METADATA_BYTES)
        try:
            pixels: NDArray[Any] = decode_jpeg(body, _COLOURS[self._image.mode])
        except _FAILURES as error:
            try:
                decode_jpeg_header(body, strict=False)
            except _FAILURES:  # this kind is unknown to it, or no picture at all
                return None
            self._doubt = str(error).rpartition(": ")[2]
            return None
        return pixels if pixels.shape == info.shape else None

    def _loaded(self) -> Image:
        image = super()._loaded()
        if self._doubt:
            self.report_damage(f"damaged JPEG: {self._doubt[:1].lower()}{self._doubt[1:]}")
        return image
