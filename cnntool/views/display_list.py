"""Display lists: a figure is boxes, lines, text and pictures, drawn as pixels or as SVG.

A figure says once what it consists of::

    drawing = DisplayList(300, 120)
    drawing.text((12, 30), "block1_conv1", 17, anchor="ls")
    drawing.rectangle((12, 40, 111, 99), fill=(223, 234, 247), outline=(51, 94, 145))
    drawing.picture((120, 40), tile, size=(60, 60))  # an array (h, w, 3) of uint8

and `DisplayList.pixels` draws it with Pillow, `DisplayList.svg` writes it with real text; both take
a scale, at which text is drawn in its new size. Places are (x, y) in pixels of scale 1, from the
upper left corner; boxes are (left, top, right, bottom) and hold their last row and column, as
Pillow has them. What is recorded later lies above.
"""

from __future__ import annotations

import io
from base64 import b64encode
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.sax.saxutils import escape

import numpy as np

from cnntool.errors import UsageError
from cnntool.views import text as words
from cnntool.views.text import INK, WHITE, Box, Colour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_PIXELS = 100_000_000
"""Of a figure."""

Place = tuple[float, float]


class Rectangle(NamedTuple):
    """A box: filled, with a line inside of its edge, or both; see `DisplayList.rectangle`."""

    box: Box
    fill: Colour | None
    outline: Colour | None
    line: int
    radius: float


class Polygon(NamedTuple):
    """A filled area; see `DisplayList.polygon`."""

    points: tuple[Place, ...]
    fill: Colour


class Line(NamedTuple):
    """A straight line; see `DisplayList.line`."""

    ends: Box
    colour: Colour
    line: int


class Text(NamedTuple):
    """A line of text; see `DisplayList.text`."""

    place: Place
    text: str
    size: float
    colour: Colour
    anchor: str
    turned: bool


class Pictures(NamedTuple):
    """Arrays of pixels, all of one size; see `DisplayList.pictures`."""

    places: tuple[tuple[int, int], ...]
    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    smooth: bool


Item = Rectangle | Polygon | Line | Text | Pictures


class DisplayList:
    """What a figure consists of.

    Parameters
    ----------
    width, height : int
        In pixels, at scale 1.
    grey : bool
        Whether its pixels have one channel: of colours the red counts.

    Attributes
    ----------
    width, height : int
    shape : (int, int, int)
        Of its pixels at scale 1: rows, columns, channels.
    items : list of Item
        From the bottom to the top.
    """

    def __init__(self, width: int, height: int, *, grey: bool = False) -> None:
        self.width, self.height = width, height
        self.items: list[Item] = []
        self._grey = grey

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels at scale 1."""
        return self.height, self.width, 1 if self._grey else 3

    def copy(self) -> DisplayList:
        """Return a list to which more can be added, as the next frame of an animation."""
        other = DisplayList(self.width, self.height, grey=self._grey)
        other.items = self.items.copy()
        return other

    def rectangle(
        self, box: Box, fill: Colour | None = None, outline: Colour | None = None,
        width: int = 1, *, radius: float = 0,
    ) -> None:  # fmt: skip
        """Add a box whose corners have a radius; its outline is so many pixels wide, inside."""
        self.items.append(Rectangle(box, fill, outline, width, radius))

    def line(self, ends: Box, fill: Colour, width: int = 1) -> None:
        """Add a line from (x, y) to (x, y), both ends included."""
        self.items.append(Line(ends, fill, width))

    def polygon(self, points: Sequence[Place], fill: Colour) -> None:
        """Add a filled area."""
        self.items.append(Polygon(tuple(points), fill))

    def text(
        self, place: Place, text: str, size: float, ink: Colour = INK,
        *, anchor: str = "mm", turned: bool = False,
    ) -> None:  # fmt: skip
        """Add a line of text.

        Parameters
        ----------
        place : (x, y)
        text : str
            What the font lacks is escaped, see `cnntool.views.text.plain`.
        size : float
            Of the font, in pixels.
        ink : Colour
        anchor : str
            Where the place lies in the text, as Pillow says it: ``l``, ``m`` or ``r``, then ``a``
            for the top, ``m`` for the middle, ``s`` for the line that letters stand on.
        turned : bool
            Whether it runs from the bottom to the top, with its middle (``mm``) or its upper end
            (``rm``) at the place.
        """
        if text:
            self.items.append(Text(place, words.plain(text), size, ink, anchor, turned))

    def picture(
        self, place: tuple[int, int], pixels: NDArray[np.uint8],
        size: tuple[int, int] | None = None, *, smooth: bool = False,
    ) -> None:  # fmt: skip
        """Add a picture.

        Parameters
        ----------
        place : (x, y)
            Of its upper left corner.
        pixels : ndarray of uint8, shape (h, w), (h, w, 1) or (h, w, 3)
        size : (width, height), optional
            To which it is enlarged: by default that of the array.
        smooth : bool
            Whether it is a photo: else enlarged pixels keep their edges.
        """
        self.pictures([place], pixels[None], size, smooth=smooth)

    def pictures(
        self, places: Sequence[tuple[int, int]], pixels: NDArray[np.uint8],
        size: tuple[int, int] | None = None, *, smooth: bool = False,
    ) -> None:  # fmt: skip
        """Add pictures of one size, (n, h, w), (n, h, w, 1) or (n, h, w, 3); see `picture`."""
        if pixels.ndim == 3:
            pixels = pixels[..., None]
        size = size or (pixels.shape[2], pixels.shape[1])
        if not places:
            return
        self.items.append(Pictures(tuple(places), pixels, size, smooth))

    def place(self, other: DisplayList, x: int, y: int) -> None:
        """Add all of another list, its upper left corner at (x, y); it has no ground of its own."""
        self.items.extend(_moved(item, x, y) for item in other.items)

    def pixels(self, scale: float = 1) -> NDArray[np.uint8]:
        """Draw it with Pillow.

        Parameters
        ----------
        scale : float
            Of the whole: boxes and pictures grow, text is drawn in its new size.

        Returns
        -------
        ndarray of uint8, shape (height, width, 1 or 3)

        Raises
        ------
        UsageError
            More than `MAX_PIXELS`.
        """
        width, height = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        if width * height > MAX_PIXELS:
            raise UsageError(
                f"the picture would have {height} x {width} pixels",
                hint="a smaller `width`, or .svg, which has none",
            )
        canvas = _Canvas(width, height, scale, grey=self._grey)
        for item in self.items:
            canvas.draw(item)
        return np.asarray(canvas.image).reshape(height, width, -1)

    def svg(self, scale: float = 1) -> bytes:
        """Write it as SVG, with nothing that lies elsewhere and no script.

        Text stays text and is as wide as it is in Aileron, whatever font there is; pictures are
        embedded as PNG. Programs enlarge it without loss, so the scale is only what it says of
        its own size.
        """
        size = f'width="{_number(self.width * scale)}" height="{_number(self.height * scale)}"'
        spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        view = f'viewBox="0 0 {self.width} {self.height}"'
        lines = [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<svg {spaces} {size} {view} xml:space="preserve" font-family="{_FAMILY}">',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *map(_element, self.items),
            "</svg>",
        ]
        return "\n".join(lines).encode() + b"\n"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001
        return np.asarray(self.pixels(), dtype=dtype)


def _moved(item: Item, x: int, y: int) -> Item:
    if isinstance(item, Rectangle):
        left, top, right, bottom = item.box
        return item._replace(box=(left + x, top + y, right + x, bottom + y))
    if isinstance(item, Line):
        left, top, right, bottom = item.ends
        return item._replace(ends=(left + x, top + y, right + x, bottom + y))
    if isinstance(item, Polygon):
        return item._replace(points=tuple((left + x, top + y) for left, top in item.points))
    if isinstance(item, Pictures):
        return item._replace(places=tuple((left + x, top + y) for left, top in item.places))
    return item._replace(place=(item.place[0] + x, item.place[1] + y))


class _Canvas:
    """The back end for pixels. At scale 1 Pillow gets the numbers as they are."""

    def __init__(self, width: int, height: int, scale: float, *, grey: bool) -> None:
        from PIL import Image, ImageDraw

        self.image = Image.new("L" if grey else "RGB", (width, height), 255 if grey else WHITE)
        self._pen = ImageDraw.Draw(self.image)
        self._scale = scale
        self._grey = grey

    def draw(self, item: Item) -> None:
        """Draw something above what there is."""
        scale = self._scale
        if isinstance(item, Text):
            self._text(item)
        elif isinstance(item, Pictures):
            self._pictures(item)
        elif isinstance(item, Rectangle):
            left, top, right, bottom = item.box
            if scale != 1:
                left, top = round(left * scale), round(top * scale)
                right, bottom = round((right + 1) * scale) - 1, round((bottom + 1) * scale) - 1
            box = (left, top, max(left, right), max(top, bottom))
            fill, outline, line = self._ink(item.fill), self._ink(item.outline), self._thick(item)
            if item.radius:
                self._pen.rounded_rectangle(box, item.radius * scale, fill, outline, line)
            else:
                self._pen.rectangle(box, fill, outline, line)
        elif isinstance(item, Line):
            self._pen.line(self._points(item.ends), self._ink(item.colour), self._thick(item))
        else:
            points = [number for point in item.points for number in point]
            self._pen.polygon(self._points(points), self._ink(item.fill))

    def _ink(self, colour: Colour | None) -> Any:
        return colour[0] if colour and self._grey else colour

    def _thick(self, item: Rectangle | Line) -> int:
        return max(1, round(item.line * self._scale))

    def _points(self, numbers: Sequence[float]) -> list[float]:
        """Move the middles of pixels to where these are enlarged."""
        if self._scale == 1:
            return list(numbers)
        return [(number + 0.5) * self._scale - 0.5 for number in numbers]

    def _text(self, item: Text) -> None:
        x, y = item.place[0] * self._scale, item.place[1] * self._scale
        size, ink = item.size * self._scale, self._ink(item.colour)
        if item.anchor == "la" and not item.turned:  # numbers of maps, by hundreds
            self.image.paste(ink, (round(x), round(y)), _mask(item.text, size))
        elif item.turned:
            mask = _mask(item.text, size).rotate(90, expand=True)
            top = y - (mask.height / 2 if item.anchor == "mm" else 0)
            self.image.paste(ink, (int(x - mask.width / 2), round(top)), mask)
        else:
            font = words.font(size)
            self._pen.text((x, y), item.text, font=font, fill=ink, anchor=item.anchor)

    def _pictures(self, item: Pictures) -> None:
        """Enlarge all of them at once, one above the other, and lay them out."""
        from PIL import Image

        count, rows, columns, channels = item.pixels.shape
        width, height = (max(1, round(length * self._scale)) for length in item.size)
        way = Image.Resampling.NEAREST
        if item.smooth and (width, height) != (columns, rows):
            way = Image.Resampling.BICUBIC
        elif width < columns and height < rows:
            way = Image.Resampling.BOX
        if way != Image.Resampling.NEAREST and count > 1:  # neighbours would run into each other
            for place, pixels in zip(item.places, item.pixels, strict=True):
                self._pictures(item._replace(places=(place,), pixels=pixels[None]))
            return
        stack = item.pixels.reshape(count * rows, columns, channels)
        picture = Image.fromarray(stack[..., 0] if channels == 1 else stack)
        if picture.size != (width, count * height):
            picture = picture.resize((width, count * height), way)
        for number, (left, top) in enumerate(item.places):
            one = picture.crop((0, number * height, width, (number + 1) * height))
            self.image.paste(one, (round(left * self._scale), round(top * self._scale)))


@lru_cache(maxsize=4096)
def _mask(text: str, size: float) -> Any:
    from PIL import Image

    return Image.fromarray(words.mask(text, size))


_FAMILY = "Aileron, Helvetica, Arial, sans-serif"
_ALONG = {"l": "start", "m": "middle", "r": "end"}


def _element(item: Item) -> str:
    """Write an element of SVG, where (0, 0) is the corner of a pixel and not its middle."""
    if isinstance(item, Text):
        return _text_element(item)
    if isinstance(item, Pictures):
        way = "" if item.smooth else ' style="image-rendering:pixelated"'
        return "\n".join(
            f'<image {_box(*place, *item.size)} preserveAspectRatio="none"{way}'
            f' xlink:href="data:image/png;base64,{b64encode(_png(pixels)).decode("ascii")}"/>'
            for place, pixels in zip(item.places, item.pixels, strict=True)
        )
    if isinstance(item, Rectangle):
        left, top, right, bottom = item.box
        inside = item.line / 2 if item.outline else 0
        box = _box(
            left + inside, top + inside,
            max(0, right - left + 1 - 2 * inside), max(0, bottom - top + 1 - 2 * inside),
        )  # fmt: skip
        radius = f' rx="{_number(item.radius)}"' if item.radius else ""
        fill = _hex(item.fill) if item.fill else "none"
        return f'<rect {box}{radius} fill="{fill}"{_stroke(item.outline, item.line)}/>'
    if isinstance(item, Line):
        x1, y1, x2, y2 = (_number(number + 0.5) for number in item.ends)
        stroke = _stroke(item.colour, item.line) + ' stroke-linecap="square"' * (item.line == 1)
        return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"{stroke}/>'
    points = " ".join(f"{_number(x + 0.5)},{_number(y + 0.5)}" for x, y in item.points)
    return f'<polygon points="{points}" fill="{_hex(item.fill)}"/>'


def _text_element(item: Text) -> str:
    x, y = item.place
    above, below = words.metrics(item.size)
    drop = {"a": above, "m": (above - below) / 2, "s": 0}[item.anchor[1]]
    turn = ""
    if item.turned:
        turn = f' transform="rotate(-90 {_number(x)} {_number(y)})"'
    return (
        f'<text x="{_number(x)}" y="{_number(y + drop)}" font-size="{_number(item.size)}"'
        f' fill="{_hex(item.colour)}" text-anchor="{_ALONG[item.anchor[0]]}"'
        f' textLength="{_number(words.width_of(item.text, item.size))}"'
        f' lengthAdjust="spacingAndGlyphs"{turn}>{escape(item.text)}</text>'
    )


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from cnntool.image.files import write_image
    from cnntool.image.source import ImageInfo

    body = io.BytesIO()
    write_image(body, pixels, ImageInfo(*pixels.shape), name="picture")
    return body.getvalue()


def _box(x: float, y: float, width: float, height: float) -> str:
    named = {"x": x, "y": y, "width": width, "height": height}
    return " ".join(f'{name}="{_number(number)}"' for name, number in named.items())


def _stroke(colour: Colour | None, line: int) -> str:
    return f' stroke="{_hex(colour)}" stroke-width="{line}"' if colour else ""


def _hex(colour: Colour) -> str:
    return "#" + bytes(colour).hex()


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
