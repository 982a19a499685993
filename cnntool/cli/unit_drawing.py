"""The slide that ``trace`` draws of a unit of a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntool.cli.unit_text import STRONGEST, sight, verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.api.unit_trace import UnitTrace


def draw(found: UnitTrace, photo: NDArray[Any], picture: str) -> Any:
    """Draw a unit that was taken apart.

    Parameters
    ----------
    found : UnitTrace
        The unit.
    photo : ndarray of uint8, shape (H, W, 3)
        What the network sees.
    picture : str
        What that is called.

    Returns
    -------
    PIL.Image.Image
    """
    from cnntool.views.unit_picture import Channel, UnitScene, draw_unit

    unit, one = found.unit, found.one
    products = one.products
    facts = [
        found.meaning,
        found.size.replace("x", " x "),
        Path(found.formula.graph.wire.name).name,
        picture,
    ]
    return draw_unit(
        UnitScene(
            title=f"{found.title}, unit ({found.place})",
            detail=", ".join(facts),
            photo=photo,
            box=found.box,
            sees=sight(found),
            channels=[
                Channel(found.name(place), one.window[place], one.weights[place], products[place])
                for place in found.strongest[:STRONGEST]
            ],
            maps=len(products),
            inside=one.inside,
            total=float(products.sum()),
            bias=unit.bias,
            after=None if unit.after is None else (found.formula.after, unit.after),
            note=verdict(found),
        )
    )
