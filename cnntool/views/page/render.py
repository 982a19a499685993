"""The page as HTML: everything in it escaped, nothing in it fetched."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from cnntool.views.page.graph import column

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).parent
"""Where the template, the style and the script are."""


class PagePicture(NamedTuple):
    """A picture that is written into the page.

    Parameters
    ----------
    body : bytes
        The file.
    height, width : int
        Of the picture.
    type : str
        ``png`` or ``jpeg``.
    """

    body: bytes
    height: int
    width: int
    type: str = "png"

    @property
    def uri(self) -> str:
        """The picture as an address that holds it."""
        return f"data:image/{self.type};base64,{b64encode(self.body).decode()}"


class Bar(NamedTuple):
    """A class and its probability, 0..1."""

    label: str
    share: float


class Heat(NamedTuple):
    """A heat map on its photo: what of it speaks for a class, and what that is.

    Parameters
    ----------
    label : str
        The class.
    words : str
        What made the map.
    picture : PagePicture
        The photo with the map.
    """

    label: str
    words: str
    picture: PagePicture


class Photo(NamedTuple):
    """A picture that the network saw.

    Parameters
    ----------
    name : str
        What it is called.
    picture : PagePicture
        What the network saw of it.
    facts : tuple of (str, str)
        About it, with their names.
    classes : tuple of Bar
        The likeliest, the first one first; empty where there are none.
    heats : tuple of Heat
        What speaks for classes.
    """

    name: str
    picture: PagePicture
    facts: tuple[tuple[str, str], ...] = ()
    classes: tuple[Bar, ...] = ()
    heats: tuple[Heat, ...] = ()


class Sees(NamedTuple):
    """What the value in the middle of a map sees, as shares of the picture from its upper left.

    Shares may lie outside of 0..1: there the network sees padding.
    """

    top: float
    left: float
    height: float
    width: float


class Histogram(NamedTuple):
    """How often values occur.

    Parameters
    ----------
    counts : tuple of int
        In equal steps.
    low, high : float
        The ends.
    """

    counts: tuple[int, ...]
    low: float
    high: float

    @property
    def path(self) -> str:
        """Its outline as an SVG path, 100 wide and 30 high; the highest step is cut to a third.

        Where a layer is mostly zeros their step would leave nothing of the others to see.
        """
        steps = sorted(self.counts)
        top = max(1, min(steps[-1], 3 * steps[-2] if len(steps) > 1 else steps[-1]))
        wide = 100 / len(self.counts)
        heights = [30 - 30 * min(count, top) / top for count in self.counts]
        edges = "".join(f"V{at:.1f}H{wide * (n + 1):.2f}" for n, at in enumerate(heights))
        return f"M0 30{edges}V30Z"


class View(NamedTuple):
    """What a layer makes of one photo.

    Parameters
    ----------
    facts : tuple of (str, str)
        Figures with their names.
    picture : PagePicture
        The maps.
    sparsity : float or None
        Share of zeros.
    sees : Sees or None
        Where it is known and less than everything.
    histogram : Histogram or None
        Of all values.
    room : float
        On a page that has fewer pixels from left to right the maps shrink; by default on one that
        is narrower than they are. With more of it they shrink as early as those which they are
        made of, and so are never larger.
    """

    facts: tuple[tuple[str, str], ...]
    picture: PagePicture
    sparsity: float | None = None
    sees: Sees | None = None
    histogram: Histogram | None = None
    room: float = 0

    @property
    def share(self) -> int:
        """Percent of a narrow page that the maps take from left to right."""
        return int(100 * min(1, self.picture.width / self.room)) if self.room else 100


class Card(NamedTuple):
    """A layer.

    Parameters
    ----------
    name, tensor, words : str
        What it is called, what is looked at, what it is (``conv 9, after ReLU``).
    kind : str
        ``conv``, ``pool``, ``dense``... It gets a colour.
    shape : str
        ``192 x 18 x 18``.
    views : tuple of View
        Of every photo.
    parents : tuple of int
        The places of the cards that it takes from.
    data : mapping or None
        Numbers for the script, see ``page.js``.
    error : int or None
        In a comparison how large its own error is, 0 (none) to 5.
    """

    name: str
    tensor: str
    words: str
    kind: str
    shape: str
    views: tuple[View, ...]
    parents: tuple[int, ...] = ()
    data: Mapping[str, Any] | None = None
    error: int | None = None


class Row(NamedTuple):
    """A row of the graph.

    Parameters
    ----------
    card : int or None
        The place of its card; None for what joins several.
    label : str
        What that is called: ``add``.
    parents : tuple of int
        The rows that it takes from.
    """

    card: int | None
    label: str
    parents: tuple[int, ...]


class Table(NamedTuple):
    """A table, with a row for each card.

    Parameters
    ----------
    columns : tuple of str
        What stands above.
    rows : tuple of tuple of str
        Cells.
    remarks : tuple of str
        Sentences below.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...] = ()


class Page(NamedTuple):
    """All that the page says.

    Parameters
    ----------
    title : str
        Of the pictures.
    network : str
        What it is called.
    facts : tuple of (str, str)
        About the network, with their names.
    photos : tuple of Photo
        What the network saw.
    cards : tuple of Card
        The layers, in order.
    maker : str
        Who made the page.
    data : mapping
        Numbers for the script that belong to no card.
    graph : tuple of Row
        How the cards hang together; by default as their parents say.
    table : Table or None
        In a comparison.
    """

    title: str
    network: str
    facts: tuple[tuple[str, str], ...]
    photos: tuple[Photo, ...]
    cards: tuple[Card, ...]
    maker: str
    data: Mapping[str, Any] = {}
    graph: tuple[Row, ...] = ()
    table: Table | None = None


def html(page: Page) -> bytes:
    """Write the page.

    Parameters
    ----------
    page : Page
        Its texts are escaped, whatever they hold.

    Returns
    -------
    bytes
        HTML in UTF-8. Pictures, style and script are in it; it forbids the browser to fetch
        anything, and to run or apply anything else.
    """
    rows = page.graph or [Row(n, "", card.parents) for n, card in enumerate(page.cards)]
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    style, script = (
        (FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    # Each photo lies behind the boxes that show what is seen of it, and is written there once.
    style += "".join(
        f'.photo-{number} {{ background-image: url("{photo.picture.uri}"); }}\n'
        for number, photo in enumerate(page.photos)
    )
    shares = sorted({view.share for card in page.cards for view in card.views} - {100})
    style += "".join(f".share-{share} {{ max-width: {share}%; }}\n" for share in shares)
    found = environment.from_string((FOLDER / "page.html").read_text(encoding="utf-8")).render(
        page=page,
        style=Markup(style),  # noqa: S704 - it holds no text but our own
        script=Markup(script),  # noqa: S704 - our own
        hashes={"style": _hash(style), "script": _hash(script)},
        json=lambda value: Markup(_json(value)),  # noqa: S704 - escaped
        anchors=_anchors(page),
        fragment=lambda name: quote(name, safe="/:", errors="replace"),
        rows=rows,
        graph=column([row.parents for row in rows]),
    )
    return found.encode("utf-8", "replace")


def _anchors(page: Page) -> list[str]:
    """Name the cards for links: a name that occurred before gets a number."""
    anchors: dict[str, None] = {}
    for card in page.cards:
        name, count = card.name, 1
        while name in anchors:
            count += 1
            name = f"{card.name}~{count}"
        anchors[name] = None
    return list(anchors)


def _hash(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()


def _json(value: object) -> str:
    """Write numbers and texts so that they cannot end the element that they stand in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _visible(value: object) -> object:
    """Spell control characters out; a page could not show them."""
    if type(value) is not str or value.isprintable():
        return value
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
