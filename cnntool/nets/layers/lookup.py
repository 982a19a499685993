"""Layer lookup: from a name, of any exporter, to a layer."""

from __future__ import annotations

import re
from fnmatch import filter as matching_names
from fnmatch import fnmatchcase
from functools import cached_property
from heapq import nlargest
from typing import TYPE_CHECKING, NamedTuple

from cnntool.errors import ModelError
from cnntool.nets.layers.dataflow import FACTORS, KERNEL, KINDS, Dataflow, result
from cnntool.nets.layers.keras_names import find_aliases
from cnntool.nets.layers.layer_list import (
    Layer,
    dequantised,
    kernel_of,
    list_operators,
    list_rows,
)
from cnntool.nets.layers.modules import Calls, Scopes
from cnntool.nets.layers.names import (
    common_scopes,
    components,
    owner,
    path_scopes,
    plain,
    shortened,
    split_count,
    uncounted,
)
from cnntool.nets.layers.receptive_field import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from cnntool.nets.file.graph import Graph, Node
    from cnntool.nets.layers.modules import FoundScope, ModuleOutput, Scope
    from cnntool.nets.models.manifest import ModelSpec

COUNTED = re.compile(r"(\w+):(-?\d{1,9})")
"""A layer by its place among those of its kind: ``conv:9``."""

_NUMBERED = re.compile(r"#(-?\d{1,9})")
_CALL = re.compile(r"(.+)#(\d{1,9})", re.DOTALL)


class Hit(NamedTuple):
    """A tensor that a name may mean.

    Parameters
    ----------
    tensor : str
        The tensor.
    row : Layer or None
        The layer that it belongs to, if to one.
    note : str
        What else is to be said of it.
    clear : bool
        Whether it is sure to be what the name means, should it be the only one.
    """

    tensor: str
    row: Layer | None
    note: str = ""
    clear: bool = True


class Index:
    """All names of a network's layers.

    Parameters
    ----------
    graph, flow : Graph, Dataflow
        The network.
    rows : sequence of Layer
        Its layers.
    stated : mapping of str to str
        Tensors that its manifest has names for.

    Attributes
    ----------
    aliases : dict of str to Layer
        Names by place, to be filled in.
    """

    def __init__(
        self, graph: Graph, flow: Dataflow, rows: Sequence[Layer], stated: Mapping[str, str]
    ) -> None:
        self._graph = graph
        self._flow = flow
        self._rows = rows
        self._stated = stated
        self._inputs = {info.name for info in graph.inputs}
        self._results = {info.name for info in graph.outputs}
        self.aliases: dict[str, Layer] = {}
        self._by_node: dict[str, list[Node]] = {}
        self._by_plain: dict[str, list[Layer]] = {}
        self._by_version: dict[str, list[Layer]] = {}
        self._by_part: dict[str, list[Layer]] = {}
        self._by_weight: dict[str, list[Layer]] = {}
        self._by_owner: dict[str, list[Layer]] = {}
        self._by_kind: dict[str, list[Layer]] = {}
        self._row_of: dict[int, Layer] = {}
        self._holder: dict[str, Layer] = {}
        self._ends: dict[str, list[Layer]] = {}
        self._scopes = Scopes(graph, flow, rows)
        self._calls = Calls(graph, flow, self._scopes)
        self._enter_nodes()
        self._enter_names()
        self._enter_weights()
        self.steps: tuple[Callable[[str, str], Iterable[Hit]], ...] = (
            self._manifest,
            self._module,
            self._tensor,
            self._node,
            self._scope,
            self._normalised,
            self._part,
            self._weight,
            self._ordinal,
        )

    def _enter_nodes(self) -> None:
        for node in self._graph.nodes:
            if node.name:
                self._by_node.setdefault(node.name, []).append(node)
        for row in self._rows:
            self._by_kind.setdefault(row.kind, []).append(row)
            if row.op.lower() not in KINDS:
                self._by_kind.setdefault(row.op.lower(), []).append(row)
            for index in row.members:
                self._row_of[index] = row
                self._holder[result(self._graph.nodes[index])] = row
            self._ends.setdefault(result(self._graph.nodes[row.last]), []).append(row)
        for row in self._rows:
            self._holder.setdefault(row.post, row)

    def _enter_names(self) -> None:
        names = [(plain(name), row, bare) for row in self._rows for name, bare in self._names(row)]
        of_layers = (name for name, row, _ in names if row.kind in {"conv", "dense"})
        prefix = common_scopes(of_layers)
        renamed = self._scopes.renamed
        for name, row, bare in names:
            spelt = f"{uncounted(name.rpartition('/')[0])}/{name.rpartition('/')[2]}"
            for short in shortened(spelt if renamed and "/" in name else name, prefix):
                if "/" in short or not renamed:  # the last part alone is TensorFlow's own name
                    _enter(self._by_plain, short, row)
            if renamed:
                _enter(self._by_version, name, row)
            elif bare:  # Caffe2 counts what it does in place
                _enter(self._by_version, uncounted(name), row)
            if not (renamed or self._scopes.torch) and "/" in name:
                _enter(self._by_part, components(name)[-1], row)

    def _names(self, row: Layer) -> Iterator[tuple[str, bool]]:
        """Yield what the nodes of a layer are called or make, and whether the node has no name."""
        for index in row.members:
            node = self._graph.nodes[index]
            for name in dict.fromkeys(filter(None, (node.name, result(node)))):
                yield name, not node.name

    def _enter_weights(self) -> None:
        others = self._flow.data | self._layers_of_constants()
        for row in self._rows:
            for index in row.members:
                node = self._graph.nodes[index]
                for tensor in node.inputs:
                    behind = () if tensor in others else self._flow.weights_behind(tensor) or ()
                    for name in behind:
                        _enter(self._by_weight, name, row)
                        module = owner(plain(name))
                        if module and self._is_near(module, row, index):
                            _enter(self._by_owner, module, row)
            for module in self._owners(row):
                _enter(self._by_owner, module, row)

    def _layers_of_constants(self) -> set[str]:
        """List what convolutions and products make of constants alone: their weights are theirs."""
        found: set[str] = set()
        for node in self._graph.nodes:
            works = node.op in KERNEL or node.op in FACTORS
            if (works or not found.isdisjoint(node.inputs)) and result(node) not in self._flow.data:
                found.update(node.outputs)
        return found

    def _is_near(self, module: str, row: Layer, index: int) -> bool:
        """Tell whether a weight's module can be the one of a node, where PyTorch notes it.

        Equal weights may have become one, under one name. A batch norm takes the node along.
        """
        place = self._scopes.places[index]
        if not self._scopes.noted or place is None or row.folded:
            return True
        return (place.modules or ("",))[-1] in {module, module.rpartition(".")[0]}

    def _owners(self, row: Layer) -> Iterator[str]:
        """Name the layers of Keras that the path of a kernel's name leads through."""
        if row.kind in {"conv", "dense"}:
            path = path_scopes(kernel_of(self._graph.nodes[row.members[0]]))
            if self._scopes.renamed:
                path = tuple(split_count(part)[0] for part in path)
            for end in range(2, len(path) + 1):
                yield "/".join(path[:end])
                yield path[end - 1]

    def _manifest(self, query: str, at: str) -> Iterable[Hit]:
        tensor = self._stated.get(query)
        if tensor is None:
            return
        row = next((row for row in self._rows if row.post == tensor), self._holder.get(tensor))
        yield Hit(row.pre if row and at == "pre" else tensor, row)

    def _tensor(self, query: str, at: str) -> Iterable[Hit]:
        made = query in self._graph.producer_of and query not in self._graph.weights
        if made or query in self._inputs:
            yield Hit(query, self._holder.get(query))
            if self._scopes.renamed and query in self._inputs | self._results:
                yield from self._scope(query, at)  # whoever named it may have meant the layer

    def _node(self, query: str, at: str) -> Iterable[Hit]:
        for node in self._by_node.get(query, ()):
            row = self._row_of.get(node.index)
            if row is not None:
                yield Hit(row.at(at), row)
            elif result(node):
                yield Hit(result(node), None)

    def _normalised(self, query: str, at: str) -> Iterable[Hit]:
        counted = COUNTED.fullmatch(query)
        if counted and int(counted[2]):  # relu:3 is no third output of something called relu
            return
        short = plain(query)
        for row in self._by_plain.get(short) or self._by_version.get(short) or ():
            yield Hit(row.at(at), row)

    def _part(self, query: str, at: str) -> Iterable[Hit]:
        """Find nodes by the last part of their names."""
        for row in self._by_part.get(query, ()):
            yield Hit(row.at(at), row)

    def _module(self, query: str, at: str) -> Iterable[Hit]:
        """Find a module of PyTorch by its whole name."""
        hits = self._outputs(self._scopes.complete, query, at)
        literal = list(self._tensor(query, at)) if hits else []
        if literal and literal[0].tensor not in {hit.tensor for hit in hits}:
            if query in self._inputs or query in self._results:
                return [*hits, *literal]
            note = f"not the tensor {query}"
            return [hit._replace(note=_joined(hit.note, note)) for hit in hits]
        return hits

    def _scope(self, query: str, at: str) -> Iterable[Hit]:
        return self._outputs(self._scopes.find, query, at)

    def _outputs(
        self, search: Callable[[str], Sequence[FoundScope]], query: str, at: str
    ) -> list[Hit]:
        """Find what leaves the modules that a name means; of several calls the first."""
        found = search(query)
        if found:
            return [hit for one in found for hit in self._call(one, at)]
        number = _CALL.fullmatch(query)
        if number is None:
            return []
        return [
            hit
            for one in search(number[1])
            if one.call is None
            for hit in self._of_call(one.scope, int(number[2]), at)
        ]

    def _call(self, found: FoundScope, at: str) -> list[Hit]:
        if found.call is None:
            return self._of_call(found.scope, 1, at)
        return self._of_call(found.scope, self._calls.place_of(found.scope, found.call), at)

    def _of_call(self, scope: Scope, number: int, at: str) -> list[Hit]:
        outputs = self._calls.of(scope)
        if not 0 < number <= len(outputs):
            return []
        output = outputs[number - 1]
        note = f"call {number} of {output.total}" if output.total > 1 else ""
        if at == "pre" and output.number:
            row = self._operator(output)
            if row is not None:
                return [Hit(row.pre, row, note)]
        return [
            Hit(*self._shown(tensor, output), note, clear=output.clear) for tensor in output.tensors
        ]

    def _operator(self, output: ModuleOutput) -> Layer | None:
        """Find the last convolution or dense layer of a module, or its last layer."""
        rows = [self._row_of[index] for index in output.members if index in self._row_of]
        works = [row for row in rows if row.kind in {"conv", "dense"}]
        return next(reversed(works or rows), None)

    def _shown(self, tensor: str, output: ModuleOutput) -> tuple[str, Layer | None]:
        """Name the tensor to look at, dequantised if need be, and the layer that it is of."""
        inside = set(output.members)
        ending = [row for row in self._ends.get(tensor, ()) if row.members[0] in inside]
        if ending:
            works = [row for row in ending if row.kind in {"conv", "dense"}]
            row = (works or ending)[-1]
            return row.post, row
        held = self._holder.get(tensor)
        if held is not None and tensor == held.pre and held.after:
            return tensor, held
        return dequantised(self._flow, tensor) or tensor, held

    def _weight(self, query: str, at: str) -> Iterable[Hit]:
        if query in self._by_weight:
            for row in self._by_weight[query]:
                yield Hit(row.at(at), row)
            return
        for row in self._by_owner.get(query, ()):  # a module's own output
            yield Hit(row.pre, row)

    def _ordinal(self, query: str, at: str) -> Iterable[Hit]:
        numbered, counted = _NUMBERED.fullmatch(query), COUNTED.fullmatch(query)
        rows: Sequence[Layer]
        if numbered:
            rows, number = self._rows, int(numbered[1])
        elif counted:
            rows, number = self._by_kind.get(counted[1].lower(), ()), int(counted[2])
        else:
            return
        if 0 < abs(number) <= len(rows):
            row = rows[number - (number > 0)]
            yield Hit(row.at(at), row)

    def is_constant(self, module: str) -> bool:
        """Tell whether a module works on constants alone."""
        return any(
            place is not None and module in place.modules and result(node) not in self._flow.data
            for node, place in zip(self._graph.nodes, self._scopes.places, strict=True)
        )

    def hides(self, tensor: str) -> bool:
        """Tell whether the name of a tensor means another one, of a module that is called so."""
        return any(hit.tensor != tensor for hit in self._module(tensor, "post"))

    def calls(self, query: str) -> int:
        """Count the calls of the module that ``relu#5`` is of; 0 if it is of none."""
        number = _CALL.fullmatch(query)
        found = self._scopes.complete(number[1]) or self._scopes.find(number[1]) if number else []
        outputs = self._calls.of(found[0].scope) if len(found) == 1 else ()
        return len(outputs) if outputs and outputs[0].number else 0

    def count(self, kind: str) -> int:
        """Count the layers of a kind, or with an operator."""
        return len(self._by_kind.get(kind, ()))

    def alias(self, query: str, at: str) -> Iterable[Hit]:
        """Find a layer by its place; ``input`` is what the network is given."""
        if query in self.aliases:
            yield Hit(self.aliases[query].at(at), self.aliases[query])
        elif query == "input":
            for info in self._graph.inputs:
                yield Hit(info.name, None)

    def glob(self, pattern: str, at: str) -> list[Hit]:
        """Find all that a pattern matches: of names by place if it does, else of scopes, of names.

        Sorted as the network runs.
        """

        def matching(names: Iterable[str]) -> list[str]:
            return [name for name in names if fnmatchcase(name, pattern)]

        hits = [hit for name in matching(self._stated) for hit in self._manifest(name, at)]
        aliases = [name for name in matching(self.aliases) if name not in self._stated]
        hits += [Hit(self.aliases[name].at(at), self.aliases[name]) for name in aliases]
        groups: tuple[Callable[[], list[Hit]], ...] = (
            lambda: self._modules(pattern, at),
            lambda: [Hit(name, self._holder[name]) for name in matching(self._holder)],
            lambda: [hit for name in matching(self._by_node) for hit in self._node(name, at)],
            lambda: [hit for name in matching(self._by_part) for hit in self._part(name, at)],
        )
        for group in groups:
            hits = hits or group()
        unique = {hit.tensor: hit for hit in reversed(hits)}
        place = {node: index for index, node in enumerate(self._graph.producer_of)}
        return sorted(unique.values(), key=lambda hit: place.get(hit.tensor, -1))

    def _modules(self, pattern: str, at: str) -> list[Hit]:
        """Find what leaves the modules that a pattern matches, those included whose weights do."""
        number = _CALL.fullmatch(pattern)
        pattern, call = (number[1], int(number[2])) if number else (pattern, 1)
        names = set(matching_names(self._by_owner, pattern)) if self._scopes.torch else set()
        hits: list[Hit] = []
        for scope in self._scopes:
            last = scope.name if self._scopes.torch else scope.name.rpartition("/")[2]
            if fnmatchcase(scope.name, pattern) or fnmatchcase(last, pattern):
                hits += self._of_call(scope, call, at)
            names.discard(scope.name)
        hits += [hit for name in names for hit in self._weight(name, at) if call == 1]
        return [hit for hit in hits if hit.clear]

    def clear_names(self) -> Iterator[str]:
        """Yield the names that mean one layer each."""
        yield from self.aliases
        yield from self._stated
        for scope in self._scopes:
            outputs = self._calls.of(scope)
            if len(outputs[0].tensors) == 1 and outputs[0].clear:
                yield self._scopes.short(scope)
        yield from self._holder
        yield from (name for name, rows in self._by_plain.items() if len(rows) == 1)


def _joined(*words: str) -> str:
    return ", ".join(filter(None, words))


def _enter(names: dict[str, list[Layer]], name: str, row: Layer) -> None:
    """Note that a name may mean a layer, once."""
    rows = names.setdefault(name, [])
    if not rows or rows[-1] is not row:
        rows.append(row)


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
    flow : Dataflow
        What depends on what in the network.

    Raises
    ------
    ModelError
        When an attribute is damaged, or the manifest names a tensor that the network has not.
    """

    def __init__(self, graph: Graph, spec: ModelSpec | None = None) -> None:
        self._name = graph.wire.name
        self.flow = Dataflow(graph)
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

    @cached_property
    def operators(self) -> tuple[Layer, ...]:
        """The layers and what is part of none, see `cnntool.nets.layers.layer_list`."""
        return tuple(list_operators(self.flow, self.rows))

    def one(self, query: str, *, at: str = "post") -> Resolved:
        """Find out what a name means that is to mean one thing, see `resolve`.

        Raises
        ------
        ModelError
            When it means nothing, or several things.
        """
        meant = self.resolve(query, at=at)
        if len(meant) > 1:
            raise ModelError(
                f"{query!r} means {len(meant)} layers, and one is wanted", source=self._name
            )
        return meant[0]

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

    def vocabulary(self) -> dict[str, list[str]]:
        """List the names that mean one tensor each, by the tensors after norm and activation.

        Patterns, and counted names such as ``conv:9``, are left out.
        """
        found: dict[str, list[str]] = {}
        for name in dict.fromkeys(self._index.clear_names()):
            try:
                (meant,) = self.resolve(name)
            except ModelError:  # spelt like several
                continue
            found.setdefault(meant.tensor, []).append(name)
        return found

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
    if not layer.number:
        return layer.op
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
