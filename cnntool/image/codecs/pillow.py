"""Read WebP, GIF, BMP and the headers of JPEG through Pillow; write these formats, in one piece.

The format's own class is called, not ``Image.open``: no other format can slip in, and nothing else
is imported. Sizes are checked here.
"""

from __future__ import annotations

import io
import logging
import struct
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cnntool.errors import InputError, OutputError
from cnntool.image.codecs.codec import Encoded, Reader, Writer, WriterSettings
from cnntool.image.source import ImageInfo, fitting_profile, orientation
from cnntool.system import is_own

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

    from cnntool.image.atomic import Output
    from cnntool.image.source import Source

_SILENT = logging.NullHandler()
"""Without a handler, what Pillow has to say about odd files would end up on stderr."""

_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""``Image.Transpose`` by EXIF orientation."""

_CHANNELS = {"L": (1, False), "LA": (1, True), "RGB": (3, False), "RGBA": (3, True)}
"""Colour channels and alpha of the modes that pixels are handed out in."""


def open_reader(source: Source, kind: str, made: type[PillowReader] | None = None) -> Reader:
    """Open a picture of a format that Pillow decodes in one piece.

    Parameters
    ----------
    source : Source
    kind : str
        ``"jpeg"``, ``"webp"``, ``"gif"`` or ``"bmp"``.
    made : type
        The reader to make; `PillowReader` by default.
    """
    if kind == "webp":
        source.check_size(*_webp_size(source))
    with decoding(source, kind):
        image = _opened(source, kind)
    source.check_size(image.height, image.width)
    turn = orientation(image.info.get("exif", b""), image.info.get("xmp", b""))
    source.check_memory(memory(image, turned=turn > 1))
    frames, damaged = 1, False
    if kind in {"webp", "gif"}:
        try:
            with decoding(source, kind):
                frames = image.n_frames  # type: ignore[attr-defined]
        except InputError:  # not of the first frame, which is all that is read
            damaged = True
            with decoding(source, kind):
                image = _opened(source, kind)
    channels, alpha = _CHANNELS[final_mode(image)]
    profile = None if image.mode == "CMYK" else image.info.get("icc_profile")
    info = ImageInfo(
        image.height,
        image.width,
        channels=channels,
        alpha=alpha,
        format=kind,
        frames=frames,
        icc=fitting_profile(profile, colour=channels == 3),
    )
    reader = (made or PillowReader)(source, info, image, turn)
    if damaged:
        reader.report_damage(f"damaged {kind.upper()}: a frame after the first")
    return reader


open_webp, open_gif, open_bmp = (partial(open_reader, kind=kind) for kind in ("webp", "gif", "bmp"))


def _opened(source: Source, kind: str) -> ImageFile:
    name = {"jpeg": "Jpeg", "webp": "WebP", "gif": "Gif", "bmp": "Bmp"}[kind]
    plugin = import_module(f"PIL.{name}ImagePlugin")
    image: ImageFile = getattr(plugin, f"{name}ImageFile")(source.file())
    return image


def _webp_size(source: Source) -> tuple[int, int]:
    """Return (height, width) from the first chunk: the decoder allocates them when it is made."""
    head = source.head
    kind = head[12:16]
    try:
        if kind == b"VP8X":
            width, height = (int.from_bytes(head[i : i + 3], "little") + 1 for i in (24, 27))
        elif kind == b"VP8L":
            (bits,) = struct.unpack_from("<I", head, 21)
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        elif kind == b"VP8 ":
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", head, 26))
        else:
            raise source.error("damaged WEBP")
    except struct.error as error:
        raise source.error("truncated WEBP") from error
    return height, width


@contextmanager
def decoding(source: Source, kind: str) -> Iterator[None]:
    """Turn whatever Pillow raises into one plain `InputError`.

    In a process of our own nothing else is heard of it, and its limit of pixels is lifted. In
    another's the host decides on both: Pillow's limit, its warnings and its log stay as they are.
    """
    from PIL import Image

    if is_own():
        Image.MAX_IMAGE_PIXELS = None
        logging.getLogger("PIL").addHandler(_SILENT)
    try:
        yield
    except MemoryError as error:
        raise source.error("not enough memory for this picture") from error
    except Image.DecompressionBombError as error:
        raise source.error(
            "more pixels than Pillow may read in this process",
            hint="PIL.Image.MAX_IMAGE_PIXELS is its limit",
        ) from error
    except Exception as error:
        cut = isinstance(error, EOFError) or "truncated" in str(error).lower()
        state = "truncated" if cut else "damaged or unsupported"
        raise source.error(f"{state} {kind.upper()}") from error


def final_mode(image: Image) -> str:
    """Return the mode of `_CHANNELS` that holds an 8-bit image without loss.

    It is asked before the image is loaded.
    """
    if image.mode in _CHANNELS:
        mode = image.mode
    elif image.mode == "1" or (image.mode == "P" and _is_grey(image)):
        mode = "L"
    elif image.mode in {"PA", "RGBa"}:
        mode = "RGBA"
    elif image.mode == "La":
        mode = "LA"
    else:
        mode = "RGB"
    if "transparency" in image.info and image.mode in {"1", "L", "P", "RGB"}:
        mode = {"L": "LA", "RGB": "RGBA"}[mode]
    return mode


def memory(image: Image, *, turned: bool = False) -> int:
    """Estimate the bytes that decoding takes at its peak; a picture is as large as its file says.

    Pillow keeps 1 or 4 bytes for a pixel and 8 for a row. Its WebP decoder holds four canvases.
    A progressive JPEG is decoded when all its coefficients of 2 bytes are there.
    """
    mode = final_mode(image)
    pixel = sum(1 if m in {"1", "L", "P"} else 4 for m in {image.mode, mode})
    if turned:
        pixel += len(mode)
    if image.format == "WEBP":
        pixel = 16
    elif "progressive" in image.info:
        layers = [(across, down) for _, across, down, _ in image.layer]  # type: ignore[attr-defined]
        most = max(a for a, _ in layers) * max(d for _, d in layers)
        pixel += -(-2 * sum(a * d for a, d in layers) // most)
    return pixel * image.width * image.height + 8 * image.height


def _is_grey(image: Image) -> bool:
    """Whether all colours of a palette are grey; the image must not be loaded for that yet."""
    palette = image.palette
    if palette is None:
        return False
    step = len(palette.rawmode or palette.mode)
    red, green, blue = (bytes(palette.palette[i::step]) for i in range(3))
    return red == green == blue


def _converted(image: Image, mode: str) -> Image:
    """Return a decoded image in the mode that `final_mode` announced."""
    if image.mode == "CMYK" and image.format == "JPEG" and not image.info.get("adobe"):
        # Pillow takes every CMYK JPEG for Adobe's, which stores inks inverted.
        from PIL import ImageChops

        return ImageChops.invert(image).convert(mode)
    if image.mode == "LAB":
        from PIL import ImageCms

        return _from_lab(image, ImageCms)
    return image if image.mode == mode else image.convert(mode)


def _from_lab(image: Image, cms: Any) -> Image:
    lab, srgb = cms.createProfile("LAB"), cms.createProfile("sRGB")
    turned_rgb: Image = cms.profileToProfile(image, lab, srgb, outputMode="RGB")
    return turned_rgb


class PillowReader(Reader):
    """Decodes the whole image when the first strip is wanted and crops strips from it."""

    def __init__(self, source: Source, info: ImageInfo, image: ImageFile, turn: int = 1) -> None:
        super().__init__(source, info, turn)
        self._image = image
        self._mode = next(m for m, c in _CHANNELS.items() if c == (info.channels, info.alpha))

    def _decode(self, rows: int) -> Iterator[Image]:
        info = self._stored
        image = self._loaded()
        if rows >= info.height:  # a crop would be a copy
            yield image
            return
        for top in range(0, info.height, rows):
            with decoding(self._source, info.format):
                strip = image.crop((0, top, info.width, min(top + rows, info.height)))
            yield strip

    def _loaded(self) -> Image:
        info = self._stored
        with decoding(self._source, info.format):
            self._image.load()
            image = _converted(self._image, self._mode)
        if image.size != (info.width, info.height):
            raise self._source.error(f"damaged {info.format.upper()}")
        return image

    def picture(self) -> NDArray[Any] | Image:
        """Return the picture as Pillow has it, the right way up, unless it has alpha."""
        if self._mode not in {"L", "RGB"}:
            return self.read()
        image = self._loaded()
        if self._orientation == 1:
            return image
        from PIL.Image import Transpose

        return image.transpose(Transpose(_TURNS[self._orientation]))

    def _array(self, block: Image | NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        return np.asarray(block).reshape(-1, *self._stored.shape[1:])


_LONGEST = {"jpeg": 65500, "webp": 16383, "gif": 65535, "bmp": 1 << 30}
"""Longest side that a format can state."""


class PillowWriter(Writer):
    """Encodes the picture when it is complete."""

    def __init__(self, output: Output, info: ImageInfo, settings: WriterSettings) -> None:
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
            choices["icc_profile"] = fitting_profile(self.info.icc, colour=True)  # grey becomes RGB
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
