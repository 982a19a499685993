"""Write JPEG, WebP, GIF and BMP through Pillow, in one piece."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from cnntool.errors import OutputError
from cnntool.image import icc
from cnntool.image.writer import Encoded, Settings, Writer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.image.atomic import Output
    from cnntool.image.types import ImageInfo

_LONGEST = {"jpeg": 65500, "webp": 16383, "gif": 65535, "bmp": 1 << 30}
"""Longest side that a format can state."""


class PillowWriter(Writer):
    """Encodes the picture when it is complete."""

    def __init__(self, output: Output, info: ImageInfo, settings: Settings) -> None:
        from PIL import Image

        super().__init__(output, info, settings)
        longest = _LONGEST[info.format]
        if max(info.height, info.width) > longest:
            raise OutputError(
                f"{info.format.upper()} holds at most {longest} pixels a side",
                source=output.name,
                hint="use .png",
            )
        self._mode = ("L", "LA", "RGB", "RGBA")[2 * (info.channels == 3) + info.alpha]
        self._image = Image.new(self._mode, (info.width, info.height))
        self._options = self._choices()

    def _choices(self) -> dict[str, Any]:
        """Return what Pillow's ``save`` is told."""
        choices: dict[str, Any] = {}
        if self.info.format == "jpeg":
            choices = {"quality": self.settings.quality, "subsampling": 0}
            choices["icc_profile"] = self.info.icc
        elif self.info.format == "webp":
            effort = self.settings.compression or 0
            choices = {"lossless": True, "quality": 100 * effort // 9, "exact": True}
            choices["method"] = min(6, effort)
            choices["icc_profile"] = icc.fitting(self.info.icc, colour=True)  # grey becomes RGB
        return choices

    def encode(self, strip: NDArray[Any]) -> Encoded:
        """Keep a copy of the strip: the format is encoded as a whole."""
        from PIL import Image

        size = (self.info.width, len(strip))
        return Encoded(len(strip), Image.frombytes(self._mode, size, strip.tobytes()))

    def _append(self, encoded: Encoded) -> None:
        self._image.paste(encoded.data, (0, self._rows))

    def _finish(self) -> None:
        body = io.BytesIO()
        self._image.save(body, self.info.format, **self._options)
        self._output.write(body.getbuffer())
