"""A network whose weights are looked at; it is not run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnntool.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.nets.layers import Resolved
    from cnntool.nets.learned import Learned
    from cnntool.nets.rows import Layer


class Trained:
    """A network as a command line names it.

    Parameters
    ----------
    model : str
        A name or a file.
    order : {'RGB', 'BGR'}, optional
        The colours that it takes, where the user says so.

    Attributes
    ----------
    found : Found
        The file, and the manifest if there is one.
    graph : Graph
        What is in the file.
    layers : Layers
        Its layers.
    assumed : bool
        Whether nothing tells which colour comes first.
    blue_first : bool
        Whether blue does, or is assumed to.

    Raises
    ------
    ModelError
        When there is none, or it cannot be read.
    """

    def __init__(self, model: str, order: str | None = None) -> None:
        from cnntool.cli.opening import open_layers

        self.found, self.graph, self.layers = open_layers(model)
        told, self.assumed = (order, False) if order else self._order()
        self.blue_first = told == "BGR"

    def _order(self) -> tuple[str, bool]:
        """Read the order from the manifest or the graph, and say whether it is a guess."""
        from cnntool.nets.assume import plan_for
        from cnntool.nets.recipes import Overrides

        if self.found.spec is not None:
            return self.found.spec.input.channel_order, False
        try:
            plan = plan_for(self.graph.wire.name, self.graph, None, Overrides())
        except ModelError:  # it takes no picture, or several
            return "RGB", True
        order = plan.input.channel_order
        # What a recipe says that had to be assumed is assumed, too.
        return order, order != "BGR" or any(t.startswith("--preprocess") for t in plan.assumed)

    def layer(self, query: str) -> Layer:
        """Find the one layer that a name means.

        Raises
        ------
        ModelError
            When it means none, or several.
        """
        meant = self.layers.resolve(query)
        if len(meant) > 1:
            raise ModelError(
                f"{query!r} means {len(meant)} layers, and one is wanted",
                source=self.graph.wire.name,
            )
        return self.of(meant[0])

    def of(self, meant: Resolved) -> Layer:
        """Return the layer that a name means; a tensor that is none has no weights."""
        if meant.layer is None:
            raise ModelError(
                f"{meant.query!r} is no layer: it has no weights",
                source=self.graph.wire.name,
            )
        return meant.layer

    def weights(self, layer: Layer) -> Learned:
        """Read the weights of one of its layers, see `cnntool.nets.learned.learned`."""
        from cnntool.nets.learned import learned
        from cnntool.nets.session import Settings

        return learned(self.graph, self.layers.flow, layer, Settings())

    def in_red_green_blue(self, kernels: NDArray[Any]) -> NDArray[Any]:
        """Put the colours of kernels (..., 3, kH, kW) in order: red first."""
        return kernels[..., ::-1, :, :] if self.blue_first else kernels
