"""How the values of a layer are drawn: which maps, scale, style and grid, as one record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.views.contact_sheet import Caption
    from cnntool.views.display_list import DisplayList
    from cnntool.views.feature_maps import Sort
    from cnntool.views.scale import Scale

FOR_VECTORS = "viridis"
"""The style of a strip of cells, unless another one is asked for."""


class Drawing(NamedTuple):
    """How maps are drawn; None where the tool decides.

    Attributes
    ----------
    maps : str
        Which ones, see `cnntool.views.feature_maps.choose`.
    sort, style, scale, columns, gap, upscale, numbered
        As in `cnntool.views.feature_maps.sheet`.
    """

    maps: str = ""
    sort: Sort | None = None
    style: str | None = None
    scale: Scale | None = None
    columns: int | None = None
    gap: int | None = None
    upscale: int | None = None
    numbered: bool = True

    @property
    def needs_photo(self) -> bool:
        """Whether maps are laid over the photo."""
        return self.style == "overlay"

    @property
    def of_vectors(self) -> str:
        """The style of what has no places."""
        return FOR_VECTORS if self.needs_photo or not self.style else self.style

    @property
    def shared(self) -> str:
        """What has a scale of its own, in words."""
        from cnntool.views.scale import SHARED
        from cnntool.views.styles import find

        return SHARED[self.scale or find(self.style or "gray").scale]

    def picture(
        self,
        values: NDArray[Any],
        caption: Caption | None = None,
        *,
        photo: NDArray[Any] | None = None,
        labels: Sequence[str] | None = None,
        unit: str = "activation",
        bar: bool | None = None,
        margin: int | None = None,
    ) -> DisplayList:
        """Draw a layer.

        Parameters
        ----------
        values : ndarray of shape (C, H, W) or (n,)
            Maps become tiles; of a vector all cells are shown, and its largest values as bars.
        caption : Caption, optional
            What stands above.
        photo : ndarray of uint8, shape (H', W', 3), optional
            What the network saw.
        labels : sequence of str, optional
            What the places of a vector mean.
        unit : str
            What is counted, beside a colour bar.
        bar : bool, optional
            Whether there is one; by default where there is a caption.
        margin : int, optional
            Pixels around everything.
        """
        from cnntool.views.contact_sheet import BLANK, GAP, MARGIN
        from cnntool.views.feature_maps import choose, sheet
        from cnntool.views.vectors import vector_sheet

        caption = caption or BLANK
        margin = MARGIN if margin is None else margin
        if values.ndim == 1:
            return vector_sheet(
                values,
                style=self.of_vectors,
                scale=self.scale,
                labels=labels,
                caption=caption,
                unit=unit,
                bar=bar,
                margin=margin,
            )
        chosen = choose(values, self.maps, self.sort) if self.maps or self.sort else None
        return sheet(
            values,
            chosen=chosen,
            style=self.style or "gray",
            scale=self.scale,
            columns=self.columns,
            upscale=self.upscale,
            gap=GAP if self.gap is None else self.gap,
            numbered=self.numbered,
            caption=caption,
            unit=unit,
            bar=bar,
            margin=margin,
            photo=photo,
        )
