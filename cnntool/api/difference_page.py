"""The page of a comparison: two networks layer by layer, with rows, colours and maps."""

from __future__ import annotations

from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from cnntool.api.page import KINDS, PICTURES, graph_of
from cnntool.api.page_pictures import encoded
from cnntool.shapes.text import shape_text
from cnntool.version import __version__
from cnntool.views.number_format import decibels
from cnntool.views.page.render import Card, Page, PagePicture, Photo, Table, View, html

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from cnntool.api.comparison import Comparer, Comparison, LayerDifference

MAPS = 12
"""Maps of a layer that are drawn: those that differ most."""

SMALLER = 0.7
"""By what a picture shrinks for which there is no room."""

COLUMNS = (
    "A", "B", "kind", "shape", "SQNR dB", "error", "cosine", "largest", "own SQNR dB",
    "own error", "",
)  # fmt: skip


def difference_page(
    comparer: Comparer,
    found: Comparison,
    *,
    photo: NDArray[np.uint8] | None = None,
    remarks: Iterable[str] = (),
    progress: Callable[[int, int], None] = lambda *_: None,
) -> bytes:
    """Write a page about two networks: a row and a picture for each pair of layers.

    Parameters
    ----------
    comparer : Comparer
        Has compared them. They run again for the pictures, which are of the first photo.
    found : Comparison
        What it found.
    photo : ndarray of uint8, shape (H, W, 3), optional
        What the first network sees of the first photo.
    remarks : iterable of str
        What the rows come to.
    progress : callable
        Is told how many pictures are drawn, and of how many.

    Returns
    -------
    bytes
        HTML, see `cnntool.views.page.render.html`. Colours tell how large a layer's own error is
        beside the tolerance.
    """
    from PIL import Image

    rows = list(found.layers)
    pictures = []
    for done, figure in enumerate(found.figures(MAPS), 1):
        pictures.append(_encoded(Image.fromarray(figure.pixels)))
        progress(done, len(rows))
    seen = () if photo is None else (Photo(Path(found.photos[0]).name, encoded(photo)),)
    shares = _fitted(pictures)
    tensors = [comparer.plans[0].input.name, *(pair.tensor_a for pair in comparer.pairs)]
    graph, parents = graph_of(comparer.networks[0], tensors)
    a, b = (network.name for network in comparer.networks)
    cards = tuple(
        Card(
            name=row.name_a,
            tensor=f"{row.name_a} | {row.name_b}",
            words=row.why,
            kind=KINDS.get(row.kind, "other"),
            shape=shape_text(row.shape),
            views=(View(_facts(row, share, len(found.channels(row.number))), picture),),
            parents=behind,
            error=_grade(row, found.tolerance),
        )
        for row, picture, share, behind in zip(rows, pictures, shares, parents, strict=True)
    )
    placed = [str(one.granted) for one in comparer.placements if one]
    return html(
        Page(
            title=f"{Path(a).name} and {Path(b).name}",
            network="what lies between them",
            facts=(
                ("A", a),
                ("B", b),
                ("photos", str(len(found.photos))),
                ("runs on", ", ".join(dict.fromkeys(placed))),
                ("tolerance", f"{found.tolerance:g}, for {found.precision}"),
            ),
            photos=seen,
            cards=cards,
            graph=graph,
            maker=f"Made by cnntool {__version__}.",
            data={"palettes": {}, "unit_layers": [], "patches": None},
            table=Table(COLUMNS, tuple(_cells(row) for row in rows), tuple(remarks)),
        )
    )


def _encoded(image: Image) -> PagePicture:
    """Encode a figure as JPEG: differences are noise, which nothing else makes small."""
    file = BytesIO()
    image.save(file, "JPEG", quality=85, subsampling=0)
    return PagePicture(file.getvalue(), image.height, image.width, "jpeg")


def _fitted(pictures: list[PagePicture]) -> list[float]:
    """Shrink the largest pictures until all have room, and return by what."""
    from PIL import Image

    shares = [1.0] * len(pictures)
    while sum(len(one.body) for one in pictures) > PICTURES:
        place = max(range(len(pictures)), key=lambda n: len(pictures[n].body))
        image = Image.open(BytesIO(pictures[place].body))
        size = (max(1, round(image.width * SMALLER)), max(1, round(image.height * SMALLER)))
        pictures[place] = _encoded(image.resize(size, Image.Resampling.LANCZOS))
        shares[place] *= SMALLER
    return shares


def _facts(row: LayerDifference, share: float, count: int) -> tuple[tuple[str, str], ...]:
    """Say how far apart a layer and its partner are, and what of so many maps is not drawn."""
    what = "maps" if len(row.shape) > 1 else "values"
    facts = [
        ("SQNR", f"{decibels(row.sqnr)} dB"),
        ("error", f"{row.error:.3g}"),
        ("cosine", f"{row.cosine:.5f}"),
        ("largest difference", f"{row.largest:.3g} at {', '.join(map(str, row.where))}"),
        ("worst photo", f"{Path(row.worst_photo).name}: {row.worst:.3g}"),
    ]
    if row.own_error is not None:
        facts.append(("own SQNR", f"{decibels(row.own_sqnr)} dB"))
        facts.append(("own error", f"{row.own_error:.3g}" + ", diverges" * row.diverges))
    if row.apart:
        facts.append(("NaN or infinite on one side", str(row.apart)))
    shown = [f"the {MAPS} of {count} {what} that differ most"] * (count > MAPS)
    shown += [f"at {share:.0%} of its size"] * (share < 1)
    if shown:
        facts.append(("on this page", ", ".join(shown)))
    return tuple(facts)


def _cells(row: LayerDifference) -> tuple[str, ...]:
    return (
        row.name_b,
        row.kind,
        shape_text(row.shape),
        decibels(row.sqnr),
        f"{row.error:.3g}",
        f"{row.cosine:.5f}",
        f"{row.largest:.3g}",
        decibels(row.own_sqnr),
        "-" if row.own_error is None else f"{row.own_error:.3g}",
        "diverges" if row.diverges else "",
    )


def _grade(row: LayerDifference, tolerance: float) -> int | None:
    """Return how large a layer's own error is beside the tolerance: 0 (none) to 5."""
    error = row.error if row.number == 0 else row.own_error
    if row.own_apart or (error is not None and not isfinite(error)):
        return 5
    if error is None:
        return None
    share = error / tolerance if tolerance else float(error > 0) * 2
    return sum(share > bound for bound in (0, 0.1, 0.4, 1, 5))
