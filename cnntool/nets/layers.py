"""The layers of a network, and what a user's name for one of them means."""

from __future__ import annotations

import re
from heapq import nlargest
from typing import TYPE_CHECKING, NamedTuple

from cnntool.errors import ModelError
from cnntool.nets.alias import find_aliases
from cnntool.nets.flow import Flow
from cnntool.nets.lookup import COUNTED, Hit, Index
from cnntool.nets.receptive_field import trace
from cnntool.nets.rows import Layer, list_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnntool.nets.graph import Graph
    from cnntool.nets.spec import ModelSpec

__all__ = ["Layer", "Layers", "Resolved", "layers_of", "resolve"]

_LISTED = 6
_DENSE = re.compile(r"(fc|dense)_?\d*|predictions|logits")
_COMPARED, _TOO_LONG = 60, 80
"""Names that are compared with an unknown one letter by letter."""


class Resolved(NamedTuple):
    """What a name means.

    Parameters
    ----------
    query : str
        The name, as given.
    tensor : str
        The tensor.
    layer : Layer or None
        The layer that it belongs to; None for what is no layer, such as an input.
    words : str
        Which tensor of the layer it is: ``conv 9, after ReLU``; empty for what is no layer.
    is_name : bool
        Whether the query means this alone; a pattern may mean more.
    """

    query: str
    tensor: str
    layer: Layer | None
    words: str
    is_name: bool = True

    @property
    def text(self) -> str:
        """All of it for people: ``block4_conv2 -> vgg0_relu8_fwd (conv 9, after ReLU)``."""
        return f"{self.query} -> {self.tensor}" + (f" ({self.words})" if self.words else "")


class Layers:
    """The layers of a network under all their names.

    Parameters
    ----------
    graph : Graph
        The network.
    spec : ModelSpec, optional
        Its manifest, which may name layers.

    Attributes
    ----------
    rows : tuple of Layer
        The layers, in the order in which they run.
    flow : Flow
        What depends on what in the network.

    Raises
    ------
    ModelError
        When an attribute is damaged, or the manifest names a tensor that the network has not.
    """

    def __init__(self, graph: Graph, spec: ModelSpec | None = None) -> None:
        self._name = graph.wire.name
        self.flow = Flow(graph)
        stated = dict(spec.layers) if spec else {}
        for name, tensor in stated.items():
            if tensor not in self.flow.data:
                raise ModelError(
                    f"its manifest calls a tensor {tensor!r} {name!r}; the network has none",
                    source=self._name,
                )
        rows = list_rows(graph, self.flow)
        aliases = find_aliases(graph, self.flow, rows, trace(graph, self.flow))
        aliases |= _stated_names(rows, stated)
        self._index = Index(graph, self.flow, rows, stated)
        free = {
            number: name
            for number, name in aliases.items()
            if self._reaches(name, rows[number - 1])
        }
        self._index.aliases = {name: rows[number - 1] for number, name in free.items()}
        self.rows = tuple(
            row._replace(alias=free.get(row.number, ""), hidden=self._index.hides(row.post))
            for row in rows
        )

    def _reaches(self, alias: str, row: Layer) -> bool:
        """Tell whether a name by place is not the name of something else already."""
        for step in self._index.steps:
            hits = list(step(alias, "post"))
            if hits:
                return all(hit.row is row or hit.tensor in {row.pre, row.post} for hit in hits)
        return True

    def resolve(self, query: str, *, at: str = "post") -> tuple[Resolved, ...]:
        """Find out what a name means.

        The first of these that finds something decides: a name that the manifest gives, the whole
        name of a PyTorch module, an exact tensor, an exact node, a layer of Keras or another
        module by the end of its path, a name without the exporter's decoration, a weight or the
        module that it belongs to, ``conv:9`` or ``#42``, a name by place such as
        ``block4_conv2``, a pattern.

        What a module means is the tensor that leaves it: that is used outside of it. Of one that is
        called several times it is the first; ``relu#2`` is the second. Where Keras 3 has put
        a number behind every name, names are those without.

        Parameters
        ----------
        query : str
            The name; with ``*``, ``?`` or ``[`` a pattern, which may mean several tensors.
        at : {'post', 'pre'}
            Whether a layer means its tensor after the batch norm and activation that follow, or
            its operator's own. Exact tensors are what they are.

        Returns
        -------
        tuple of Resolved
            One; of a pattern one or more, in the order in which they run.

        Raises
        ------
        ModelError
            When the name means nothing, or several things.
        """
        for step in (*self._index.steps, self._index.alias):
            hits = {hit.tensor: hit for hit in step(query, at)}
            if len(hits) > 1:
                raise self._ambiguous(query, hits.values())
            for hit in hits.values():
                if not hit.clear:
                    raise self._unclear(query, hit)
                return (self._resolved(query, hit),)
        if set(query) & set("*?["):
            found = self._index.glob(query, at)
            if found:
                return tuple(self._resolved(query, hit)._replace(is_name=False) for hit in found)
        if self._index.is_constant(query):
            raise ModelError(
                f"{query!r} is made of constants alone: it is no layer that an input reaches",
                source=self._name,
                hint=self._see(),
            )
        raise ModelError(f"no layer is called {query!r}", source=self._name, hint=self._hint(query))

    def _resolved(self, query: str, hit: Hit) -> Resolved:
        row = self.rows[hit.row.number - 1] if hit.row else None
        words = describe(row, hit.tensor) if row else "the input" if self._is_input(hit) else ""
        return Resolved(query, hit.tensor, row, ", ".join(filter(None, (words, hit.note))))

    def _is_input(self, hit: Hit) -> bool:
        return any(info.name == hit.tensor for info in self.flow.graph.inputs)

    def _ambiguous(self, query: str, hits: Iterable[Hit]) -> ModelError:
        names = [hit.tensor for hit in hits]
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        listed = ", ".join(names[:_LISTED])
        return ModelError(
            f"{query!r} may mean {len(names)} tensors: {listed}{more}",
            source=self._name,
            hint=f"name one of them exactly; {self._see()}",
        )

    def _unclear(self, query: str, hit: Hit) -> ModelError:
        return ModelError(
            f"what {query!r} gives cannot be told: what follows {hit.tensor!r} may be part of it",
            source=self._name,
            hint=f"name a tensor exactly; {self._see()}",
        )

    def _hint(self, query: str) -> str:
        """Say what there is instead of what there is not."""
        counted = COUNTED.fullmatch(query)
        count = self._index.count(counted[1].lower()) if counted else 0
        if counted and count:
            kind = counted[1].lower()
            return f"it has {kind}:1" + (f" to {kind}:{count}" if count > 1 else "")
        calls = self._index.calls(query)
        if calls:
            times = "once" if calls == 1 else f"{calls} times"
            return f"{query.rpartition('#')[0]!r} is called {times}"
        dense = [row.alias for row in self.rows if row.kind == "dense" and row.alias]
        if _DENSE.fullmatch(query) and dense:
            are = "layer is" if len(dense) == 1 else "layers are"
            return f"its dense {are} {', '.join(dense)}; {self._see()}"
        near = ", ".join(self._nearest(query))
        return f"the nearest: {near}; {self._see()}" if near else "it has no layers"

    def _see(self) -> str:
        return f"see 'cnntool layers {self._name}'"

    def _nearest(self, query: str) -> list[str]:
        """Find the three names that are most like an unknown one.

        Of the very many names that a network may have, those that share most pairs of letters are
        compared.
        """
        from difflib import SequenceMatcher

        pairs = _pairs(query)
        names = dict.fromkeys(name for name in self._index.clear_names() if len(name) < _TOO_LONG)
        near = nlargest(_COMPARED, names, key=lambda name: len(pairs & _pairs(name)))
        matcher = SequenceMatcher(b=query)

        def likeness(name: str) -> tuple[bool, float]:
            matcher.set_seq1(name)
            return name.endswith((f".{query}", f"/{query}")), matcher.ratio()

        return nlargest(3, near, key=likeness)


def _pairs(text: str) -> set[str]:
    return {text[at : at + 2] for at in range(len(text) - 1)}


def _stated_names(rows: list[Layer], stated: dict[str, str]) -> dict[int, str]:
    """Find the layers that a manifest names."""
    names: dict[int, str] = {}
    for name, tensor in stated.items():
        for row in rows:
            if tensor in {row.pre, row.post}:
                names.setdefault(row.number, name)
                break
    return names


def describe(layer: Layer, tensor: str) -> str:
    """Say which tensor of a layer this is: ``conv 9, after batch norm and ReLU``."""
    words = f"{layer.kind} {layer.ordinal}"
    if layer.folded:
        words += " with its batch norm"
    if layer.after and tensor == layer.post:
        words += f", after {layer.after}"
    elif layer.after and tensor == layer.pre:
        words += f", before {layer.after}"
    elif tensor not in {layer.pre, layer.post}:
        words += ", without its bias"
    elif layer.cut:
        side = "after" if tensor == layer.post else "before"
        words += f", {side} the ReLU in its quantisation"
    if layer.dequantised and tensor == layer.post:
        return words + ", dequantised"
    return words + (", quantised" if layer.op.startswith("QLinear") else "")


def layers_of(graph: Graph, spec: ModelSpec | None = None) -> tuple[Layer, ...]:
    """List the layers of a network, see `Layers`."""
    return Layers(graph, spec).rows


def resolve(
    graph: Graph, query: str, *, at: str = "post", spec: ModelSpec | None = None
) -> tuple[Resolved, ...]:
    """Find out what one name means, see `Layers.resolve`."""
    return Layers(graph, spec).resolve(query, at=at)
