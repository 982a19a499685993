"""HTML report: a picture and what a network makes of it, in one file."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import NamedTuple

TEMPLATE = Path(__file__).with_name("page.html")


class PagePicture(NamedTuple):
    """A picture that is written into the page.

    Parameters
    ----------
    png : bytes
        The file.
    height, width : int
        Of the picture.
    """

    png: bytes
    height: int
    width: int

    @property
    def uri(self) -> str:
        """The picture as an address that holds it."""
        return "data:image/png;base64," + b64encode(self.png).decode()


class Bar(NamedTuple):
    """A class and its probability, 0..1."""

    label: str
    share: float


class Sees(NamedTuple):
    """What the value in the middle of a map sees, as shares of the picture from its upper left.

    Shares may lie outside of 0..1: there the network sees padding.
    """

    top: float
    left: float
    height: float
    width: float


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
    facts : tuple of (str, str)
        Figures with their names.
    sparsity : float or None
        Share of zeros.
    sees : Sees or None
        Where it is known and less than everything.
    picture : PagePicture
        The maps.
    """

    name: str
    tensor: str
    words: str
    kind: str
    shape: str
    facts: tuple[tuple[str, str], ...]
    sparsity: float | None
    sees: Sees | None
    picture: PagePicture


class Page(NamedTuple):
    """All that the page says.

    Parameters
    ----------
    title : str
        Of the picture.
    network : str
        What it is called.
    facts : tuple of (str, str)
        About the network, with their names.
    photo : PagePicture
        What the network saw.
    classes : tuple of Bar
        The likeliest, the first one first; empty where there are none.
    cards : tuple of Card
        The layers, in order.
    maker : str
        Who made the page.
    """

    title: str
    network: str
    facts: tuple[tuple[str, str], ...]
    photo: PagePicture
    classes: tuple[Bar, ...]
    cards: tuple[Card, ...]
    maker: str


def html(page: Page) -> bytes:
    """Write the page.

    Parameters
    ----------
    page : Page
        Its texts are escaped, whatever they hold.

    Returns
    -------
    bytes
        HTML in UTF-8. Pictures and style are in it; it has no script, and forbids the browser to
        fetch anything.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(page=page).encode("utf-8", "replace")
