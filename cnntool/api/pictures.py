"""Pictures in whatever form Python has them, and pictures that show themselves."""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeAlias, TypedDict

import numpy as np

from cnntool.api import arguments
from cnntool.errors import ArgumentTypeError, InputError, OutputError, UsageError
from cnntool.image.atomic import STDOUT, Output
from cnntool.image.files import FORMATS, format_of, open_reader
from cnntool.image.files import write_image as write_samples
from cnntool.image.source import ITEM_SIZES, ImageInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Unpack

    import PIL.Image
    from numpy.typing import NDArray

    from cnntool.filters.pipeline import Rows
    from cnntool.views.display_list import DisplayList
    from cnntool.views.drawing import Drawing
    from cnntool.views.feature_maps import Sort
    from cnntool.views.scale import Scale

    ImageLike: TypeAlias = (
        str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
        | PIL.Image.Image | NDArray[Any] | "Figure"
    )  # fmt: skip
    """A file's name, its content, an open file, a PIL image, or an array."""

EXPECTED = "a path, bytes, a binary file, a PIL image or an array"

_EXACT = 2**53
"""Integers beyond this are not all float64 numbers."""


class Picture(NamedTuple):
    """A picture, a matrix or a stack of maps, read whole.

    Parameters
    ----------
    name : str
        What errors call it.
    info : ImageInfo
        Its shape and nature; ``info.matrix`` tells plain numbers from pictures.
    values : ndarray (H, W, samples)
        Of type ``info.dtype``, in the input's own numbers: 0..255 for an 8-bit picture. Samples are
        the channels or maps, and alpha last if ``info.alpha``.
    """

    name: str
    info: ImageInfo
    values: NDArray[Any]

    def maps(self) -> NDArray[np.float64]:
        """Return the numbers that filters compute with, (C, H, W): pictures are in 0..1."""
        values = self.values[:, :, : self.info.channels].astype(np.float64)
        return np.moveaxis(values if self.info.matrix else values / self.info.peak, 2, 0)


class Figure:
    """A drawn picture; in a notebook it shows itself.

    Parameters
    ----------
    drawing : DisplayList, ndarray of uint8, (H, W), (H, W, 1) or (H, W, 3), or a PIL image
        Of an array the figure is that picture alone.

    Examples
    --------
    >>> import numpy as np
    >>> figure = cnntool.contact_sheet(np.eye(8).reshape(1, 8, 8), upscale=4, numbered=False)
    >>> figure
    <Figure of 52 rows x 52 columns>
    >>> np.asarray(figure).max()
    np.uint8(255)
    >>> figure.svg()[:38]
    b'<?xml version="1.0" encoding="UTF-8"?>'
    """

    def __init__(self, drawing: DisplayList | NDArray[np.uint8] | PIL.Image.Image) -> None:
        from cnntool.views.display_list import DisplayList

        if not isinstance(drawing, DisplayList):
            array = np.asarray(drawing)
            drawing = DisplayList(array.shape[1], array.shape[0], grey=array.shape[2:] != (3,))
            drawing.picture((0, 0), array)
        self._drawing = drawing

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """Its pixels, (H, W) or (H, W, 3)."""
        return self._drawn(None)

    def _drawn(self, width: int | None) -> NDArray[np.uint8]:
        pixels = self._drawing.pixels(self._scale(width))
        return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels

    def _scale(self, width: int | None) -> float:
        if width is None:
            return 1
        return arguments.whole("width", width) / self._drawing.width

    def save(
        self,
        target: str | Path | BinaryIO,
        *,
        format: str | None = None,
        width: int | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write it; a file appears when it is complete.

        Parameters
        ----------
        target : path or binary file
            Its suffix tells the format: `.svg`, which keeps text and boxes as such, or that of a
            picture, see `write_image`.
        format : str, optional
            Whatever the suffix says: ``"svg"``, ``"png"``, ...
        width : int, optional
            To which the whole is enlarged or shrunk, in pixels; text is drawn in its new size.
        overwrite : bool
            Whether an existing file may be replaced.

        Raises
        ------
        OutputError
            An unknown suffix, or a file that exists or cannot be written.
        """
        name = file_name(target)
        overwrite = arguments.flag("overwrite", overwrite)
        if format is None and name not in STREAMS:
            format = figure_format(name)
        if format != "svg":
            pixels = self._drawing.pixels(self._scale(width))
            write_samples(
                target, pixels, ImageInfo(*pixels.shape), name=name,
                format=format_name(name, format), overwrite=overwrite,
            )  # fmt: skip
            return
        with Output(target, name=name, overwrite=overwrite) as output:
            output.write(self.svg(width))
            output.commit()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001
        return np.array(self.pixels, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        rows, columns = self._drawing.shape[:2]
        from cnntool.shapes.text import size_text

        return f"<Figure of {size_text(rows, columns)}>"

    def svg(self, width: int | None = None) -> bytes:
        """Return it as an SVG file; the width is what the file says of its own size."""
        return self._drawing.svg(self._scale(width))

    def png(self, width: int | None = None) -> bytes:
        """Return it as a PNG file; see `save` for its width."""
        from PIL import Image

        body = io.BytesIO()
        pixels = self.pixels if width is None else self._drawn(width)
        Image.fromarray(pixels).save(body, "PNG", optimize=True)
        return body.getvalue()

    def encoded(self, name: str, width: int | None = None) -> bytes:
        """Return what a file of a name holds: SVG if it ends so, else PNG."""
        return self.svg(width) if name.lower().endswith(".svg") else self.png(width)

    def _repr_png_(self) -> bytes:
        return self.png()


def figure_format(name: str) -> str:
    """Return the format of a figure that the suffix of a name stands for: svg, png, ...

    Raises
    ------
    OutputError
        It stands for none.
    """
    return "svg" if name.lower().endswith(".svg") else format_of(name).name


def check_drawable(values: NDArray[Any]) -> None:
    """Refuse numbers that have no shade.

    Raises
    ------
    UsageError
        NaN or infinity among them.
    """
    if not np.isfinite(values).all():
        raise UsageError("NaN and infinity cannot be drawn")


LAYOUTS = ("auto", "hwc", "chw")


def load(
    image: ImageLike, *, parameter: str = "image", layout: str = "auto", **limits: Any
) -> Picture:
    """Read a picture whole.

    Parameters
    ----------
    image : path, bytes, binary file, PIL image or ndarray
        See `read_image`.
    parameter : str
        What errors call it.
    layout : {'auto', 'hwc', 'chw'}
        Axes of an array that has three.
    **limits
        See `cnntool.image.files.open_reader`; damage is an error unless ``strict=False``.

    Raises
    ------
    ArgumentTypeError
        Anything else.
    InputError
        What cannot be read.
    """
    layout = arguments.one_of("layout", layout, LAYOUTS)
    if (array := in_memory(image, parameter, layout)) is not None:
        return array
    name, source = source_of(image, parameter)
    limits = {"strict": True, "layout": layout, **limits}
    with open_reader(source, name=name, **limits) as reader:
        values = reader.read()
        return Picture(name, reader.info, values)


@contextmanager
def opened(image: ImageLike, layout: str) -> Iterator[tuple[ImageInfo, Rows]]:
    """Open a picture whose rows are wanted once, from the top; decoding runs beside.

    Yields
    ------
    info : ImageInfo
    rows : callable or iterator
        As `cnntool.filters.pipeline.run` takes them.
    """
    layout = arguments.one_of("layout", layout, LAYOUTS)
    if (array := in_memory(image, "image", layout)) is not None:
        yield array.info, lambda lo, hi: array.values[lo:hi]
        return
    name, source = source_of(image, "image")
    with open_reader(source, name=name, strict=True, layout=layout) as reader:
        reader.begin()
        yield reader.info, reader.rows()


def source_of(image: Any, parameter: str) -> tuple[str, Any]:
    """Return a name and what a reader takes; of bytes they are a file's content."""
    if isinstance(image, (str, os.PathLike)):
        return os.fspath(image), image
    if isinstance(image, (bytes, bytearray, memoryview)):
        return "<bytes>", io.BytesIO(image)
    if isinstance(image, io.TextIOBase):
        raise arguments.wrong_type(parameter, image, "a file opened in binary mode ('rb')")
    if hasattr(image, "read") and hasattr(image, "seekable"):
        return str(getattr(image, "name", "<file>")), image
    raise arguments.wrong_type(parameter, image, EXPECTED)


def in_memory(image: Any, parameter: str, layout: str) -> Picture | None:
    """Return what is decoded already."""
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(image, pillow.Image):
        try:
            pixels = _pixels(image)
        except (OSError, ValueError) as error:  # Pillow reads when it is asked for samples
            raise InputError(str(error), source="<image>") from error
        return from_array(pixels, "<image>", parameter, "hwc")
    if isinstance(image, (str, bytes, bytearray, memoryview)) or not hasattr(image, "__array__"):
        return None
    return from_array(np.asarray(image), "<array>", parameter, layout)


def _pixels(image: PIL.Image.Image) -> NDArray[Any]:
    """Return the samples of a PIL image, of 16 bits and of floats too."""
    from cnntool.image.codecs.pillow import final_mode

    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16, copy=False)
    if image.mode in {"F", "I"}:
        return np.asarray(image)
    mode = final_mode(image)
    return np.asarray(image if image.mode == mode else image.convert(mode))


def from_array(array: NDArray[Any], name: str, parameter: str, layout: str) -> Picture:
    """Take an array for a picture; see `read_image` for what its axes and numbers mean."""
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise ArgumentTypeError(
            f"an array of real numbers is expected, not of {array.dtype}", source=f"`{parameter}`"
        )
    if array.ndim not in {2, 3} or not array.size:
        raise UsageError(
            f"an array (H, W), (H, W, C) or (C, H, W) is expected, not of shape {array.shape}",
            source=f"`{parameter}`",
        )
    native = array.dtype.newbyteorder("=")
    samples = array.shape[2] if array.ndim == 3 else 1
    if array.ndim == 2:
        layout = "hw"
    elif layout == "auto":  # as .npy files; but bytes are pictures, however small
        colours = samples <= 4 and (native.name in {"uint8", "uint16"} or len(array) > 4)
        layout = "hwc" if colours else "chw"
    stacked = np.moveaxis(array, 0, 2) if layout == "chw" else array
    values = stacked[:, :, None] if array.ndim == 2 else stacked
    picture = layout != "chw" and samples <= 4 and native.name in {*ITEM_SIZES, "float16"}
    if native.name == "float16":
        native = np.dtype(np.float32)
    elif not picture and native.kind != "f":
        if array.dtype.itemsize == 8 and not -_EXACT <= array.min() <= array.max() <= _EXACT:
            raise UsageError("integers beyond 2**53 lose digits", source=f"`{parameter}`")
        native = np.dtype(np.float64)
    alpha = picture and samples in {2, 4}
    height, width, samples = values.shape
    info = ImageInfo(
        height,
        width,
        channels=samples - alpha,
        dtype=native.name,
        alpha=alpha,
        format="npy" if not picture else "tiff" if native.kind == "f" else "png",
        matrix=not picture,
        layout=layout,
    )
    return Picture(name, info, values.astype(native, copy=False))


def to_array(info: ImageInfo, samples: NDArray[Any]) -> NDArray[Any]:
    """Return samples (H, W, C) with the axes that their layout says.

    Returns
    -------
    ndarray
        (H, W) of one channel, (C, H, W) of a stack of maps, else (H, W, C).
    """
    if info.layout == "chw":
        return np.ascontiguousarray(np.moveaxis(samples, 2, 0))
    return samples[:, :, 0] if samples.shape[2] == 1 else samples


def read_image(
    source: ImageLike,
    *,
    layout: str = "auto",
    max_pixels: int = 100_000_000,
    allow_nan: bool = False,
    strict: bool = True,
    notes: Callable[[str], object] | None = None,
) -> NDArray[Any]:
    """Read a picture or a matrix.

    An array is (H, W), (H, W, C) or a stack of maps, (C, H, W). It is taken for a picture if its
    numbers are uint8 (0 to 255), uint16 (0 to 65535) or floats (0 to 1) and it has up to four
    channels last: grey, grey and alpha, colours, colours and alpha. Whatever else, such as integers
    or maps, is plain numbers. Of three axes the last are channels if they are up to four and, of
    floats, rows are more than that; `layout` says it.

    Parameters
    ----------
    source : path, bytes, binary file, PIL image or ndarray
        PNG, JPEG, TIFF, WebP, GIF, BMP, PNM, PFM, ``.npy``, CSV or whitespace text; its content,
        not its name, tells the format.
    layout : {'auto', 'hwc', 'chw'}
        Axes of an array, or of a ``.npy`` file, that has three.
    max_pixels : int
        Larger pictures are refused before they are decoded.
    allow_nan : bool
        Whether a file may hold NaN and infinities.
    strict : bool
        Whether damage that a decoder can get over is an error.
    notes : callable, optional
        Is told, in a line each, what is worth knowing: damage, or pages that are left out.

    Returns
    -------
    ndarray, (H, W), (H, W, C) or (C, H, W)
        uint8, uint16, float32 or float64: the file's own numbers. Maps of a ``.npy`` file have
        its axes.

    Raises
    ------
    InputError
        A file that cannot be read, is damaged, or holds no picture.
    ArgumentTypeError
        What is no picture at all.

    Examples
    --------
    >>> cnntool.read_image("samples/cat.png").shape
    (300, 451, 3)
    >>> cnntool.read_image(b"1,2;3,4").tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    picture = load(
        source,
        parameter="source",
        layout=layout,
        max_pixels=arguments.whole("max_pixels", max_pixels, most=2**63),
        allow_nan=arguments.flag("allow_nan", allow_nan),
        strict=arguments.flag("strict", strict),
    )
    for note in picture.info.notes if notes else ():
        assert notes is not None  # noqa: S101 - see above
        notes(note)
    return to_array(picture.info, picture.values)


def write_image(
    target: str | Path | BinaryIO,
    image: ImageLike,
    *,
    format: str | None = None,
    layout: str = "auto",
    compression: int | None = None,
    quality: int = 95,
    overwrite: bool = False,
) -> None:
    r"""Write a picture or a matrix; a file appears when it is complete.

    Parameters
    ----------
    target : path or binary file
        Its suffix tells the format.
    image : ndarray, Figure, PIL image, path, bytes or binary file
        See `read_image`. Nothing is rounded: floats need a format that holds them, such as
        ``.npy``, ``.csv`` or ``.tif``.
    format : str, optional
        Whatever the suffix says; needed where there is none: ``"png"``, ``"jpeg"``, ...
    layout : {'auto', 'hwc', 'chw'}
        Axes of an array that has three, see `read_image`.
    compression : int, optional
        0 stores, 9 is smallest; by default the fastest that compresses well.
    quality : int
        Of JPEG, 1 to 100.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        A format that cannot hold the picture, or a file that exists or cannot be written.

    Examples
    --------
    >>> import io, numpy as np
    >>> body = io.BytesIO()
    >>> cnntool.write_image(body, np.eye(2), format="csv")
    >>> body.getvalue()
    b'1,0\n0,1\n'
    """
    name = file_name(target)
    format = format_name(name, format)
    if compression is not None:
        compression = arguments.whole("compression", compression, 0, 9)
    quality = arguments.whole("quality", quality, 1, 100)
    overwrite = arguments.flag("overwrite", overwrite)
    picture = load(image, layout=layout)
    write_samples(
        target, picture.values, picture.info, name=name, format=format,
        compression=compression, quality=quality, overwrite=overwrite,
    )  # fmt: skip


STREAMS = ("<file>", STDOUT)
"""What errors call files that were opened already."""


def file_name(target: object) -> str:
    """Return what errors call a file that is written.

    Raises
    ------
    ArgumentTypeError
        Neither a path nor a binary file.
    """
    if isinstance(target, (str, os.PathLike)):
        return os.fspath(target)
    if not hasattr(target, "write") or isinstance(target, io.TextIOBase):
        raise arguments.wrong_type("target", target, "a path or a binary file")
    return STDOUT if target is getattr(sys.stdout, "buffer", None) else "<file>"


def format_name(name: str, format: str | None) -> str:
    """Return the format to write: what was asked for, else what the name's suffix stands for."""
    if format is not None:
        return arguments.one_of("format", format, FORMATS)
    if name in STREAMS:
        raise OutputError("nothing tells the format", source=name, hint="say it with `format`")
    return format_of(name).name


def photo_of(image: ImageLike) -> NDArray[np.uint8]:
    """Return a picture as it is seen, (H, W, 3) of uint8, alpha left out."""
    from cnntool.image.convert import quantize

    picture = load(image, parameter="photo")
    if picture.info.matrix:
        raise InputError("plain numbers are no photo", source=picture.name)
    values = picture.values[:, :, : picture.info.channels]
    if values.dtype != np.uint8:
        unit = values.astype(np.float32) / np.float32(picture.info.peak)
        values = quantize(unit, "uint8")
    return np.broadcast_to(values, (*values.shape[:2], 3))


def contact_sheet(
    maps: NDArray[Any],
    *,
    style: str = "gray",
    scale: Scale | None = None,
    columns: int | None = None,
    upscale: int | None = None,
    gap: int = 3,
    numbered: bool = True,
    photo: ImageLike | None = None,
    title: str = "",
    detail: str = "",
    unit: str = "",
) -> Figure:
    """Draw maps as tiles of one picture.

    Parameters
    ----------
    maps : ndarray (C, H, W) or (H, W)
        Feature maps, or any real numbers.
    style : str
        ``"gray"``, ``"viridis"``, ``"magma"``, ``"diverging"`` or ``"overlay"``.
    scale : {'channel', 'layer', 'percentile', 'signed'}, optional
        What becomes the darkest and the brightest; by default what suits the style.
    columns : int, optional
        Tiles in a row; by default the grid is nearly square.
    upscale : int, optional
        Pixels a value; by default small maps grow, and very large ones are averaged.
    gap : int
        Pixels between tiles.
    numbered : bool
        Whether each tile shows which map it is.
    photo : path, bytes, binary file, PIL image or ndarray, optional
        What the maps were made of; the style ``"overlay"`` lays them on it.
    title, detail : str
        What stands above the tiles; with it there is a colour bar where all tiles have one scale.
    unit : str
        What is counted, beside the colour bar.

    Returns
    -------
    Figure
        NaN is magenta, an infinity has the colour of the nearest limit.

    Raises
    ------
    UsageError
        Nothing to show, an unknown style, or a picture beyond a hundred million pixels.

    Examples
    --------
    >>> maps = cnntool.filter("samples/cat.png", "sobel-x", "sobel-y", bank=True)
    >>> cnntool.contact_sheet(maps, style="viridis", upscale=1)
    <Figure of 334 rows x 925 columns>
    """
    from cnntool.views.contact_sheet import Caption
    from cnntool.views.scale import showable

    if isinstance(maps, (str, bytes)) or not hasattr(maps, "__array__"):
        raise arguments.wrong_type("maps", maps, "an array (C, H, W)")
    array = np.asarray(maps)
    how = drawing_of(style=style, scale=scale, columns=columns, upscale=upscale, gap=gap)
    how = how._replace(numbered=arguments.flag("numbered", numbered))
    caption = Caption(
        arguments.text("title", title, "a text"), arguments.text("detail", detail, "a text")
    )
    return Figure(
        how.picture(
            array[None] if array.ndim == 2 else showable(array, 3),
            caption,
            unit=arguments.text("unit", unit, "a text"),
            photo=None if photo is None else photo_of(photo),
        )
    )


class DrawingOptions(TypedDict, total=False):
    """How maps are drawn, see `contact_sheet`."""

    maps: str
    sort: Sort | None
    style: str | None
    scale: Scale | None
    columns: int | None
    gap: int | None
    upscale: int | None


def drawing_of(**asked: Unpack[DrawingOptions]) -> Drawing:
    """Check how maps are to be drawn.

    Raises
    ------
    UsageError
        A style, a scale or an order that there is none of, or a number that makes no sense.
    """
    from cnntool.views.drawing import Drawing
    from cnntool.views.feature_maps import SORTS
    from cnntool.views.scale import SCALES
    from cnntool.views.styles import STYLES

    found = Drawing(**asked)
    for name, known in (("sort", SORTS), ("style", STYLES), ("scale", SCALES)):
        if getattr(found, name) is not None:
            arguments.one_of(name, getattr(found, name), known)
    numbers = {
        name: arguments.whole(name, getattr(found, name), least)
        for name, least in (("columns", 1), ("gap", 0), ("upscale", 1))
        if getattr(found, name) is not None
    }
    arguments.text("maps", found.maps, "numbers of maps")
    return found._replace(**numbers)  # type: ignore[arg-type]  # their names are those of fields
