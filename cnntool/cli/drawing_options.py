"""The options that say how maps are drawn, and the drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cnntool.cli.options import gathered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cnntool.cli.options import F
    from cnntool.views.contact_sheet import Caption
    from cnntool.views.display_list import DisplayList
    from cnntool.views.feature_maps import Sort
    from cnntool.views.scale import Scale

STYLES = ("gray", "viridis", "magma", "diverging", "overlay")
SCALES = ("channel", "layer", "percentile", "signed")
SORTS = ("mean", "max", "sparsity")
"""The keys of the registries of these names in `cnntool.views`, which would load numpy."""

FOR_VECTORS = "viridis"
"""The style of a strip of cells, unless another one is asked for."""


def drawing(*, styles: Sequence[str] = STYLES) -> Callable[[F], F]:
    """Add --maps, --sort, --style, --scale, --cols, --gap and --upscale; together: ``drawing``."""
    return gathered(
        "drawing",
        Drawing,
        click.option(
            "--upscale",
            type=click.IntRange(1, 512),
            help="Pixels for each value, both ways.  [default: small maps grow]",
        ),
        click.option(
            "--gap", type=click.IntRange(0, 256), help="Pixels between tiles.  [default: 3]"
        ),
        click.option(
            "--cols",
            "columns",
            type=click.IntRange(min=1),
            help="Tiles in a row.  [default: nearly a square]",
        ),
        click.option(
            "--scale",
            type=click.Choice(SCALES),
            help="What becomes the darkest and the brightest: the ends of each map (channel), of"
            " all (layer), of all but 2 % (percentile), or equally far from 0 (signed).",
        ),
        click.option("--style", type=click.Choice(styles), help="How numbers become colours."),
        click.option(
            "--sort", type=click.Choice(SORTS), help="Which come first: the largest of these."
        ),
        click.option(
            "--maps",
            default="",
            metavar="WHICH",
            help="Only these: 3,7, 0-15, or top:16 of --sort (or mean).",
        ),
    )


class Drawing(NamedTuple):
    """How maps are drawn.

    Attributes
    ----------
    maps : str
        Which ones, see `cnntool.views.feature_maps.choose`.
    sort, style, scale, columns, gap, upscale
        As in `cnntool.views.feature_maps.sheet`; None where the tool decides.
    numbered : bool
        Whether each tile shows which map it is.
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
    def shared(self) -> str:
        """What has a scale of its own, in words."""
        from cnntool.views.scale import SHARED
        from cnntool.views.styles import find

        return SHARED[self.scale or find(self.style or "gray").scale]

    def picture(
        self,
        values: NDArray[Any],
        caption: Caption,
        *,
        photo: NDArray[Any] | None = None,
        labels: Sequence[str] | None = None,
        columns: int | None = None,
        unit: str = "activation",
        bar: bool | None = None,
    ) -> DisplayList:
        """Draw a layer.

        Parameters
        ----------
        values : ndarray of shape (C, H, W) or (n,)
            Maps become tiles; of a vector all cells are shown, and its largest values as bars.
        caption : Caption
            What stands above.
        photo : ndarray of uint8, shape (H', W', 3), optional
            What the network saw.
        labels : sequence of str, optional
            What the places of a vector mean.
        columns : int, optional
            Tiles in a row, unless the user said how many.
        unit : str
            What is counted, beside a colour bar.
        bar : bool, optional
            Whether there is one; by default where there is a caption.

        Returns
        -------
        DisplayList
        """
        from cnntool.views.contact_sheet import GAP
        from cnntool.views.feature_maps import choose, sheet
        from cnntool.views.vectors import vector_sheet

        if values.ndim == 1:
            style = FOR_VECTORS if self.needs_photo or not self.style else self.style
            return vector_sheet(
                values, style=style, scale=self.scale, labels=labels, caption=caption, unit=unit
            )
        chosen = choose(values, self.maps, self.sort) if self.maps or self.sort else None
        return sheet(
            values,
            chosen=chosen,
            style=self.style or "gray",
            scale=self.scale,
            columns=self.columns or columns,
            upscale=self.upscale,
            gap=GAP if self.gap is None else self.gap,
            numbered=self.numbered,
            caption=caption,
            unit=unit,
            bar=bar,
            photo=photo,
        )
