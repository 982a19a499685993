"""Pictures of layers on the page: encoded, no larger than what they were made of, within a room."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.views.page import tiles as drawn
from cnntool.views.page.render import PagePicture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cnntool.views.drawing import Drawing
    from cnntool.views.page.tiles import Tiles

    Spot = tuple[int, int]


class LayerPicture(NamedTuple):
    """The picture of a layer, and what the script must know to read it.

    Attributes
    ----------
    picture : PagePicture
        What all see.
    levels : PagePicture or None
        Its maps in shades of grey, where the picture has colours.
    spots : mapping
        Where maps are in it, see `cnntool.views.page.tiles.sheet`, and what their levels mean.
    words : str
        What is not shown of the layer.
    room : float
        See `cnntool.views.page.render.View`.
    """

    picture: PagePicture
    levels: PagePicture | None = None
    spots: Mapping[str, Any] = {}
    words: str = ""
    room: float = 0

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.picture.body) + (len(self.levels.body) if self.levels else 0)

    def record(self) -> dict[str, Any]:
        """Return what the script must know, ready for JSON."""
        return {**self.spots, **({"levels": self.levels.uri} if self.levels else {})}


class LayerPictures:
    """Draws the layers of some photos, each by its place: (layer, photo).

    Parameters
    ----------
    photos : sequence of ndarray of uint8, shape (h, w, 3)
        What the network saw.
    maps : dict of (int, int) to Tiles
        The layers that have maps, in the order of the network.
    strips : dict of (int, int) to ndarray of uint8
        The others, drawn.
    parents : sequence of sequence of int
        For each layer those that it is made of.
    look : Drawing
    """

    def __init__(
        self,
        photos: Sequence[NDArray[np.uint8]],
        maps: dict[Spot, Tiles],
        strips: dict[Spot, NDArray[np.uint8]],
        parents: Sequence[Sequence[int]],
        look: Drawing,
    ) -> None:
        self._photos, self._maps, self._parents, self._look = photos, dict(maps), parents, look
        self._made = {spot: LayerPicture(encoded(pixels)) for spot, pixels in strips.items()}
        for spot in maps:
            self._made[spot] = self._draw(spot)

    def fitted(self, budget: int) -> dict[Spot, LayerPicture]:
        """Make the largest smaller until all take no more bytes than they may; return all."""
        maps, made = self._maps, self._made
        total = sum(one.size for one in made.values())
        shrinking = set(maps)
        while total > budget and shrinking:
            spot = max(sorted(shrinking), key=lambda spot: made[spot].size)
            smaller = maps[spot].smaller()
            if smaller.levels.shape == maps[spot].levels.shape:  # one small map is left
                shrinking.remove(spot)
                continue
            maps[spot] = smaller
            before, made[spot] = made[spot], self._draw(spot)
            total += made[spot].size - before.size
        for spot in maps:
            rooms = [
                made[source].room * self._side(spot) / self._side(source)
                for source in self._sources(spot)
            ]
            made[spot] = made[spot]._replace(room=max([made[spot].picture.width, *rooms]))
        return dict(made)

    def _sources(self, spot: Spot) -> list[Spot]:
        """List what maps were made of, where that has larger ones."""
        layer, photo = spot
        own = self._maps[spot].shape[1:]
        spots = [(other, photo) for other in self._parents[layer]]
        return [one for one in spots if one in self._maps and self._maps[one].shape[1:] > own]

    def _side(self, spot: Spot) -> int:
        """Return the pixels of the page that a map takes on a wide one."""
        return self._maps[spot].side * int(self._made[spot].spots["factor"])

    def _draw(self, spot: Spot) -> LayerPicture:
        found, look, sources = self._maps[spot], self._look, self._sources(spot)
        alike = [one for one in sources if self._maps[one].shape[0] == found.shape[0]]
        if alike and not look.columns:  # each map stands where that stands which it is made of
            look = look._replace(columns=self._made[alike[0]].spots["columns"])
        by = drawn.factor(found, look, min(map(self._side, sources), default=None))
        pixels, spots = drawn.sheet(found, look, by, self._photos[spot[1]])
        levels = None
        if (look.style or "gray") != "gray":
            shades, spots = drawn.sheet(found, look._replace(style="gray"), by)
            levels = encoded(shades)
        picture = encoded(pixels)
        picture = picture._replace(  # what was shrunk for want of room is shown no smaller
            height=picture.height * found.reduction, width=picture.width * found.reduction
        )
        return LayerPicture(picture, levels, spots | drawn.scale_record(found), found.words)


def encoded(pixels: NDArray[np.uint8]) -> PagePicture:
    """Encode a picture as PNG, for size rather than for speed."""
    from cnntool.image.files import write_image
    from cnntool.image.source import ImageInfo

    height, width, channels = pixels.shape
    file = BytesIO()
    info = ImageInfo(height, width, channels)
    write_image(file, pixels, info, name="a picture of the page", format="png", compression=6)
    return PagePicture(file.getvalue(), height, width)
