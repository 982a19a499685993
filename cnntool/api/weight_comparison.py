"""Comparisons of what two networks have learned, without a run: for a changed file."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.api.comparison import plain
from cnntool.api.model import open_model
from cnntool.api.records import Records
from cnntool.errors import ModelError
from cnntool.nets.comparison.alignment import Side, align
from cnntool.nets.comparison.parameters import Learned, compare_parameters
from cnntool.nets.layers.shapes import find_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cnntool.api.model import Model
    from cnntool.nets.comparison.parameters import ParameterPair
    from cnntool.nets.network import Network


class ParameterDifference(NamedTuple):
    """How a parameter of a layer differs from that of its partner.

    Attributes
    ----------
    name_a, name_b : str
        What the layers are called.
    parameter : str
        ``weights``, ``bias``; of a batch norm ``scale``, ``bias``, ``mean``, ``variance``.
    shape_a, shape_b : tuple of int, or None
        Output channels first. None where a layer has no such parameter.
    sqnr, error, cosine, largest, where
        As of a `cnntool.api.comparison.LayerDifference`; None where the shapes differ.
    """

    name_a: str
    name_b: str
    parameter: str
    shape_a: tuple[int, ...] | None
    shape_b: tuple[int, ...] | None
    sqnr: float | None
    error: float | None
    cosine: float | None
    largest: float | None
    where: tuple[int, ...] | None


class WeightComparison(NamedTuple):
    """What a comparison of weights has found.

    Attributes
    ----------
    parameters : Records of ParameterDifference
        In the order of the first network.
    only_a, only_b : tuple of str
        Layers without a partner: removed ones and added ones.
    same_file : bool
        Whether the files are the same, byte by byte.
    """

    parameters: Records[ParameterDifference]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    same_file: bool

    @property
    def equal(self) -> bool:
        """Whether no parameter differs and no layer was added or removed."""
        return self.sqnr == inf

    @property
    def sqnr(self) -> float:
        """Of the worst parameter; minus infinity where something has no counterpart."""
        if self.only_a or self.only_b:
            return -inf
        return min((-inf if one.sqnr is None else one.sqnr for one in self.parameters), default=inf)

    def record(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {
            "parameters": [plain(row) for row in self.parameters],
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "equal": self.equal,
            "same_file": self.same_file,
        }


def compare_weights(
    a: Model | str | Path, b: Model | str | Path, *, by_hand: Mapping[str, str] | None = None
) -> WeightComparison:
    """Compare what two networks have learned, without a run.

    Parameters
    ----------
    a, b : Model, str or path
        The networks, see `load_model`.
    by_hand : mapping of str to str, optional
        Names of layers of `a`, and of their partners in `b`.

    Returns
    -------
    WeightComparison
        ``parameters``, a record for each: names, shapes, SQNR in decibels, largest difference and
        where; ``only_a``, ``only_b``; ``same_file``; ``sqnr`` of the worst.

    Raises
    ------
    ModelError
        No layer of one has a partner in the other.

    Examples
    --------
    >>> found = cnntool.compare_weights("vgg16-mini", "vgg16-mini")
    >>> found.same_file, found.sqnr
    (True, inf)
    """
    with open_model(a) as ours, open_model(b) as theirs:
        return weight_comparison(ours, theirs, by_hand)


def weight_comparison(
    a: Network, b: Network, by_hand: Mapping[str, str] | None = None
) -> WeightComparison:
    """Compare what two networks that are read have learned, see `compare_weights`."""
    sides = [
        Side(network.graph, network.read_layers(), find_shapes(network.graph, {}, ()))
        for network in (a, b)
    ]
    found = align(sides[0], sides[1], by_hand)
    if found.is_empty:
        name, hint = f"{a.name} and {b.name}", "`map=FILE` names partners"
        raise ModelError("no layer of one has a partner in the other", source=name, hint=hint)
    learned = [
        Learned(side.graph, side.layers.flow, layers, network.settings)
        for side, network, layers in zip(
            sides,
            (a, b),
            ([pair.a for pair in found.pairs], [pair.b for pair in found.pairs]),
            strict=True,
        )
    ]
    return WeightComparison(
        Records(map(_difference, compare_parameters(learned[0], learned[1], found.pairs))),
        tuple(layer.short_name for layer in found.only_a),
        tuple(layer.short_name for layer in found.only_b),
        a.sha256 == b.sha256,
    )


def _difference(found: ParameterPair) -> ParameterDifference:
    figures = found.figures
    # What is NaN on one side only is no share of anything.
    apart = bool(figures and figures.apart)
    return ParameterDifference(
        found.pair.a.short_name,
        found.pair.b.short_name,
        found.parameter,
        *found.shapes,
        *((-inf, inf) if apart else (figures and figures.sqnr, figures and figures.error)),
        figures and figures.cosine,
        figures and figures.largest,
        figures and figures.where,
    )
