"""``cnntool trace --layer``: one unit of a layer of a network."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntool.cli import console, sliding
from cnntool.cli.looking import title_of
from cnntool.cli.paths import is_folder
from cnntool.cli.unit_text import text, verdict
from cnntool.errors import InputError, ModelError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.cli.network import Network
    from cnntool.cli.pictures import Loaded
    from cnntool.cli.unit_values import Finding
    from cnntool.filters.tracing import Trace
    from cnntool.nets.layers import Layers
    from cnntool.nets.receptive_field import Box
    from cnntool.nets.rows import Layer
    from cnntool.nets.unit import Unit

TF32 = 2.0**-9
"""Precision of accelerators, which may multiply float32 with ten binary digits."""

COLOURS = {"R": "red", "G": "green", "B": "blue", "L": "grey", "Y": "grey"}


def run(path: Path | None, settings: dict[str, Any]) -> int:
    """Take a unit apart, and print or draw it.

    Parameters
    ----------
    path : Path, optional
        The picture; by default what is piped in, else the sample.
    settings : dict
        The command's options.

    Returns
    -------
    int
        1 if the network computed something else.
    """
    query, at = settings["query"], settings["unit"]
    output, as_json = settings["output"], settings["as_json"]
    if query is None or at is None:
        raise _incomplete(settings["model"], query)
    _check(output, as_json=as_json)
    from cnntool.cli.activations import inputs_or_sample
    from cnntool.cli.network import Network
    from cnntool.cli.preprocessing import wishes
    from cnntool.cli.running import session_settings

    (path,) = inputs_or_sample([path] if path else [])
    if is_folder(path):
        raise InputError("this is a folder, one file is needed", source=str(path))
    with Network(settings["model"], wishes(settings), session_settings(settings)) as network:
        target = _Target(network, query)
        network.open()
        loaded = _picture(network, path, settings, photo=output is not None)
        found = target.find(loaded.made.tensor, at)
        agrees = found.agrees(0.0 if network.placement.granted == "cpu" else TF32)
        if output is not None:
            from cnntool.cli.unit_drawing import draw

            name = loaded.item.relative.name
            slide = draw(found, loaded.made.photo, name, agrees=agrees)
            sliding.write_bytes(sliding.png(slide), output, overwrite=settings["overwrite"])
        if as_json:
            facts = {"input": loaded.item.name, **network.facts}
            sliding.print_record({**facts, **found.record(agrees=agrees), "output": output})
        elif output is None:
            console.result("\n".join(text(found, agrees=agrees)))
        elif not agrees:
            console.note(verdict(found, agrees=agrees))
    return 0 if agrees else 1


def _incomplete(model: str, query: str | None) -> UsageError:
    if query is None:
        return UsageError(
            "no layer", hint=f"--layer NAME; 'cnntool layers {model}' lists the names"
        )
    return UsageError("no unit", hint="--unit C,ROW,COLUMN, or one number in a dense layer")


def _check(output: str | None, *, as_json: bool) -> None:
    """Refuse what cannot be drawn or printed."""
    if as_json and output == "-":
        raise UsageError("--json and -o - both want stdout")
    suffix = Path(output or "").suffix.lower()
    if output not in (None, "-") and suffix != ".png":
        hint = "an animation is of a --kernel" if suffix == ".gif" else ""
        raise UsageError("a unit is drawn as FILE.png", source=output or "--output", hint=hint)


def _picture(network: Network, path: Path, settings: dict[str, Any], *, photo: bool) -> Loaded:
    """Read the one picture, and make it ready."""
    from cnntool.cli.paths import expand
    from cnntool.cli.pictures import Pictures
    from cnntool.cli.prepared import prepared

    pictures = Pictures(
        expand([path], recursive=False),
        partial(prepared, entry=network.plan.input, photo=photo),
        threads=1,
        max_pixels=settings["max_pixels"],
        strict=settings["strict"],
        fail_fast=True,
    )
    return next(iter(pictures))


class _Target:
    """The layer that was asked for; the network is told what to compute.

    Parameters
    ----------
    network : Network
        Not opened yet.
    query : str
        The layer's name.
    """

    def __init__(self, network: Network, query: str) -> None:
        from cnntool.nets.activations import exactly
        from cnntool.nets.formula import formula
        from cnntool.nets.learned import learned

        self._network = network
        graph = network.graph
        layers = network.layers()
        self._flow = layers.flow
        self._layer = _only(layers, query)
        self._learned = learned(graph, self._flow, self._layer, network.settings)
        self._formula = formula(graph, self._flow, self._layer)
        network.taps = self._formula.tensors
        network.settings = network.settings._replace(optimise=exactly(graph))
        if self._learned.dequantised or self._formula.scale:
            console.note("the network is quantised: its numbers are shown dequantised")

    def find(self, tensor: NDArray[Any], at: tuple[int, ...]) -> Finding:
        """Run the network on a picture and take a unit apart."""
        import numpy as np

        from cnntool.cli.unit_values import Finding
        from cnntool.nets.layers import describe
        from cnntool.nets.unit import unit

        entry = self._network.plan.input
        batch = entry.batch or 1
        feed = np.stack([tensor] * batch)
        taps = self._formula.tensors
        arrays = dict(zip(taps, self._network.session.run({entry.name: feed}, taps), strict=True))
        found = unit(self._formula, self._learned.values, arrays, at, batch=batch)
        rows = 2 if entry.layout == "NCHW" else 1
        picture = (feed.shape[rows], feed.shape[rows + 1])
        return Finding(
            title_of(self._layer.post, self._layer),
            describe(self._layer, self._formula.pre),
            self._formula,
            found,
            take_apart(found),
            names=self._names(found),
            box=self._box(feed.shape, found, picture),
            picture=picture,
        )

    def _names(self, found: Unit) -> list[str]:
        """Return the colours that the maps are, if they are colours."""
        if not self._learned.colours or len(found.maps) != 3:
            return []
        return [COLOURS[letter] for letter in self._network.plan.input.channel_order]

    def _box(self, shape: tuple[int, ...], found: Unit, picture: tuple[int, int]) -> Box | None:
        """Find out what the unit sees of the picture."""
        from cnntool.nets.receptive_field import fields_of, sight

        graph, name = self._network.graph, self._network.plan.input.name
        fields = fields_of(graph, self._flow, name, shape)
        seen = sight(fields.get(self._formula.pre))
        return seen and seen.box(found.at[1], found.at[2], picture)


def _only(layers: Layers, query: str) -> Layer:
    """Find the one layer that a name means, and say which one it is."""
    name = layers.flow.graph.wire.name
    meant = layers.resolve(query, at="pre")
    if len(meant) > 1:
        raise ModelError(f"{query!r} means {len(meant)} layers, and one is wanted", source=name)
    console.note(meant[0].text)
    if meant[0].layer is None:
        raise ModelError(f"{query!r} is no layer: it has no weights", source=name)
    return meant[0].layer


def take_apart(found: Unit) -> Trace:
    """Take a unit apart; zeros that a transposed convolution puts in lie outside, too."""
    import numpy as np

    from cnntool.filters.sliding import Sliding
    from cnntool.filters.tracing import trace

    _, height, width = found.maps.shape
    _, rows, columns = found.weights.shape
    slide = Sliding((height, width), (rows, columns), found.stride, found.dilation, found.pads)
    one = trace(found.maps, found.weights, slide, found.at[1:], bias=found.bias)
    there = [
        line % step == 0 for line, step in zip((one.rows, one.columns), found.spread, strict=True)
    ]
    return one._replace(inside=one.inside & np.logical_and.outer(*there))
