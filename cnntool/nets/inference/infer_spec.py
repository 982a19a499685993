"""Infer a network's specification: from its manifest, its graph and the user, in this order.

What goes in comes first, then what comes out: class scores, a picture or a map. Whatever neither
the manifest nor the graph tells is assumed, and every assumption is said.
"""

from __future__ import annotations

import shlex
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from cnntool.errors import ModelError, UsageError
from cnntool.nets.inference.presets import RECIPES, Overrides, fields
from cnntool.nets.inference.scaling import PASSING, keras_network, levels, opening
from cnntool.nets.models.labels import LabelSet, read_labels
from cnntool.nets.models.manifest import (
    CLASSES,
    DTYPES,
    PICTURES,
    InputSpec,
    OutputSpec,
    shipped_models,
)
from cnntool.shapes.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.nets.file.graph import Graph, TensorInfo
    from cnntool.nets.models.manifest import ModelSpec


SIDE = 224
"""Assumed where a graph takes any size."""

SMALL = 64
"""Pixels below which the whole picture is taken: digits fill theirs."""

LARGEST, MOST_PICTURES = 1 << 14, 1 << 12
"""Pixels of a side, and pictures of a batch, beyond which a graph asks for the impossible."""

SHARE = 0.875
"""Of the shorter side, how much the central cut keeps: 224 of 256."""

RANGES = {
    "NominalRange_0_255": "raw",
    "Normalized_0_1": "unit",
    "Normalized_1_1": "tf",
}
"""Recipes that ``Image.NominalPixelRange`` in a file's metadata stands for."""

DEVIATIONS, BYTES = 8, 100
"""How many times white a deviation may be, and the white from which on a scale is that of bytes."""

ROUNDING = 4
"""Levels of 256 by which what is folded into bytes may pass their ends: scales are rounded."""

SILENT = "the file does not say"
"""Why a recipe had to be assumed."""

_FLOATS = {"float32", "float16", "float64"}


class InferredSpec(NamedTuple):
    """A network, ready to be asked.

    Parameters
    ----------
    name : str
        What to call it.
    input : InputSpec
        What goes in.
    output : OutputSpec
        What comes out; ``name`` is a tensor of the graph.
    labels : LabelSet or None
        The names of its classes, if they are known.
    quantised : tuple of float
        Scale and zero point of the output: a value stands for ``(value - zero) * scale``.
    guessed : bool
        Whether there was no manifest to tell.
    assumed : tuple of str
        What had to be assumed, a few words each.
    unsure : bool
        Whether the white of the picture that comes out was assumed, to be checked by its values.
    """

    name: str
    input: InputSpec
    output: OutputSpec
    labels: LabelSet | None
    quantised: tuple[float, float] = (1.0, 0.0)
    guessed: bool = False
    assumed: tuple[str, ...] = ()
    unsure: bool = False

    @property
    def classifies(self) -> bool:
        """Whether class scores come out."""
        return self.output.kind in CLASSES

    @property
    def numbers(self) -> str:
        """Say how the output can be seen as it is."""
        return as_numbers(self.output.name or "")

    @property
    def taps(self) -> tuple[str, ...]:
        """Return the tensors to ask for: the output, and the logits where it has them apart."""
        names = (self.output.name, self.output.logits)
        return tuple(dict.fromkeys(name for name in names if name))


def infer_spec(
    graph: Graph,
    spec: ModelSpec | None,
    overrides: Overrides,
    *,
    name: str = "",
    kinds: frozenset[str] = frozenset(),
) -> InferredSpec:
    """Infer the specification of a network: everything that must be known to ask it.

    Parameters
    ----------
    graph : Graph
        The network.
    spec : ModelSpec, optional
        Its manifest.
    overrides : Overrides
        What the user says.
    name : str
        What to call it, if not as its graph is called.
    kinds : frozenset of str
        The kinds of outputs that the command has a use for; empty if it has one for all.

    Raises
    ------
    ModelError
        When the graph does not take one picture, the manifest and the graph disagree, or no output
        suits.
    UsageError
        When an override does not suit.
    """
    name = name or graph.wire.name
    assumed: list[str] = []
    tensor = _picture_input(graph, spec, name)
    output = find_output(graph, spec, name, assumed, wanted=overrides.output, suits=kinds)
    told = spec is not None and output == spec.output._replace(name=output.name)
    scores = output.kind in CLASSES
    entry = (
        spec.input if spec else _guess_input(tensor, graph, assumed, given=overrides, output=output)
    )
    _check_size(tensor, name)
    entry = overridden(entry, overrides)._replace(name=tensor.name, batch=_batch(tensor))
    _agree(entry, tensor, name)
    entry = _folded(entry, graph, overrides, assumed)
    unsure = False
    if output.kind == "image" and not told:
        output, unsure = _scaled(output, entry, graph, assumed, given=overrides.white)
    elif overrides.white is not None and output.kind == "image":
        output = output._replace(white=overrides.white)
    labels = read_labels(overrides.labels) if overrides.labels else spec.labels if spec else None
    if scores:
        if labels is None:
            labels, background = guess_labels(graph, output, assumed)
            output = output._replace(background=background)
        elif not told and classes_of(graph, output) == labels.classes + 1:
            assumed.append("a background class before the labels (`labels`)")
            output = output._replace(background=True)
    return InferredSpec(
        name=name,
        input=entry,
        output=output,
        labels=labels,
        quantised=quantised(graph, output.name or ""),
        guessed=not told,
        assumed=tuple(assumed),
        unsure=unsure,
    )


def _picture_input(graph: Graph, spec: ModelSpec | None, name: str) -> TensorInfo:
    if spec:
        for tensor in graph.inputs:
            if tensor.name == spec.input.name:
                return tensor
        raise ModelError(
            f"it has no input {spec.input.name!r}, of which its manifest speaks", source=name
        )
    pictures = [t for t in graph.inputs if t.shape is not None and len(t.shape) == 4]
    if len(graph.inputs) != 1 or len(pictures) != 1:
        takes = ", ".join(f"{t.name} {tensor_shape(t)}" for t in graph.inputs) or "nothing"
        raise ModelError(f"it does not take one picture, but {takes}", source=name)
    return pictures[0]


def _batch(tensor: TensorInfo) -> int | None:
    batch = tensor.shape[0] if tensor.shape else None
    return batch if isinstance(batch, int) and batch > 0 else None


def _guess_input(
    tensor: TensorInfo, graph: Graph, assumed: list[str], *, given: Overrides, output: OutputSpec
) -> InputSpec:
    """Read from the graph what a manifest would say; what is not classified stays whole."""
    whole = output.kind not in CLASSES
    shape = tensor.shape or ()
    first, last = shape[1], shape[3]
    layout = "NHWC" if last in {1, 3} and first not in {1, 3} else "NCHW"
    channels = last if layout == "NHWC" else first
    if first not in {1, 3} and last not in {1, 3}:
        assumed.append("NCHW layout")
        channels = 3
    sides = tuple(known(side) for side in (shape[1:3] if layout == "NHWC" else shape[2:4]))
    dynamic = None in sides
    rows, columns = (side or SIDE for side in sides)
    if dynamic and not whole and not (given.crop or given.resize):
        assumed.append(f"size {rows} x {columns} (`crop`)")
    packed = layout == "NHWC"
    recipe, swapped, reason = _recipe(tensor, graph, output, grey=channels == 1, packed=packed)
    if given.preprocess:
        if not reason and tensor.dtype in _FLOATS and RECIPES[given.preprocess] != RECIPES[recipe]:
            assumed.append(
                f"`preprocess={given.preprocess}` is meant: the file itself suits {recipe}"
            )
        recipe, swapped, reason = given.preprocess, False, ""
    if reason:
        assumed.append(f"`preprocess={recipe}` ({reason})")
    if swapped and recipe != "caffe" and not given.channel_order:
        assumed.append("`channel_order=bgr`")
    fit, resize, crop = "stretch", None, None
    if whole:
        fit = "none" if dynamic else "stretch"
    elif rows == columns:
        fit, crop = "shorter", (rows, columns)
        resize = rows if rows < SMALL else round(rows / SHARE)
    if not whole and not (given.resize or given.crop):
        assumed.append(
            f"the shorter side resized to {resize}, the centre cut (`resize`, `crop`)"
            if crop
            else "stretched (`resize`)"
        )
    entry = InputSpec(
        name=tensor.name,
        layout=layout,
        dtype=tensor.dtype,
        size=None if whole and dynamic else (rows, columns),
        dynamic=dynamic,
        fit=fit,
        resize=resize,
        crop=crop,
        **fields(recipe, grey=channels == 1),
    )
    return overridden(entry, Overrides(channel_order="BGR")) if swapped else entry


def _recipe(
    tensor: TensorInfo, graph: Graph, output: OutputSpec, *, grey: bool, packed: bool
) -> tuple[str, bool, str]:
    """Return the recipe that suits, whether blue comes first, and why, if that had to be assumed.

    Whole numbers stay raw. Else what counts is the file's metadata (Windows ML's keys), then what
    the graph itself does to its input, then on which scale the pictures are that come out of it,
    then whose network it is.
    """
    metadata = graph.metadata
    swapped = metadata.get("Image.BitmapPixelFormat", "").lower().startswith("bgr")
    noted = metadata.get("Image.NominalPixelRange", "")
    if noted in RANGES:
        return RANGES[noted], swapped, ""
    start = opening(graph, tensor.name)
    told = start.recipe if tensor.dtype in _FLOATS else "raw"
    if told:
        return told, swapped or start.blue_first, ""
    if output.kind == "image":
        made = {(0.0, 1.0): "unit", (-1.0, 1.0): "tf", None: ""}.get(
            levels(graph, output.name or "")
        )
        return made or "raw", swapped, "as the pictures that it makes" if made else SILENT
    customs = graph.producer.lower() if not grey else "grey"
    if packed and not grey:
        customs = "keras"
    if customs.startswith(("tf2onnx", "keras")):
        family, recipe = keras_network(graph) or ("", "unit")
        reason = f"as Keras' {family} wants; {SILENT}" if family else f"{SILENT}; Keras' own differ"
    elif customs.startswith("pytorch"):
        recipe, reason = "imagenet", f"as torchvision's networks want; {SILENT}"
    elif "caffe" in customs:
        recipe, reason = "caffe", f"as Caffe's networks want; {SILENT}"
    elif not grey and output.kind in CLASSES and classes_of(graph, output) in IMAGENET:
        recipe, reason = "imagenet", f"as most networks of 1,000 classes want; {SILENT}"
    else:
        recipe, reason = "unit", SILENT
    return recipe, swapped, reason


def _folded(entry: InputSpec, graph: Graph, overrides: Overrides, assumed: list[str]) -> InputSpec:
    """Turn mean and deviation that the user wants of bytes into such that bytes can hold.

    Where the graph scales its bytes, what is wanted is meant for what it makes of them.
    """
    wanted = {key: getattr(overrides, key) for key in ("preprocess", "mean", "deviation")}
    said = " ".join(
        f"`{key}={value if isinstance(value, str) else ','.join(map(str, value))}`"
        for key, value in wanted.items()
        if value is not None
    )
    numbers = zip(entry.mean, entry.deviation, strict=True)
    if entry.dtype in _FLOATS or not said or (entry.white == 255 and set(numbers) == {(0, 1)}):
        return entry
    start = opening(graph, entry.name)
    scales = list(zip(entry.mean, entry.deviation, start.factor, start.offset, strict=False))
    mean = tuple(float(m + offset * d) for m, d, _, offset in scales)
    deviation = tuple(float(d * factor) for _, d, factor, _ in scales)
    ends = [(-m / d, (entry.white - m) / d) for m, d in zip(mean, deviation, strict=True)]
    low, high = min(first for first, _ in ends), max(last for _, last in ends)
    narrow = min(last - first for first, last in ends) < BYTES
    if narrow or low < -ROUNDING or high > 255 + ROUNDING:
        raise UsageError(
            f"the network takes bytes of 0..255, and would get numbers from {low:.4g} to"
            f" {high:.4g}, rounded",
            source=said,
            hint="leave it away: such networks scale bytes inside; `channel_order` may be said",
        )
    if all(abs(first) < 1.5 and abs(last - 255) < 1.5 for first, last in ends):
        assumed.append(f"{said} is what the network makes of its bytes: they go in as they are")
        return entry._replace(
            **fields("raw", grey=entry.channels == 1) | {"channel_order": entry.channel_order}
        )
    assumed.append(f"{said} holds for what the network makes of its bytes")
    return entry._replace(mean=mean, deviation=deviation)


def _scaled(
    output: OutputSpec, entry: InputSpec, graph: Graph, assumed: list[str], *, given: float | None
) -> tuple[OutputSpec, bool]:
    """Find out what is white in a picture that comes out, and whether that is but assumed.

    Where the last operators do not bound it, it is taken to be on the scale of what goes in.
    """
    found = levels(graph, output.name or "")
    whole = any(t.name == output.name and t.dtype == "uint8" for t in graph.outputs)
    if found is None and whole and quantised(graph, output.name or "") == (1.0, 0.0):
        found = (0.0, 255.0)
    if given is not None:
        return output._replace(white=given, black=found[0] * given if found else 0.0), False
    if found is not None:
        return output._replace(black=found[0], white=found[1]), False
    plain = {(0.0, 1.0): (0.0, 1.0), (0.5, 0.5): (-1.0, 1.0)} if entry.white == 1 else {}
    black, white = plain.get((entry.mean[0], entry.deviation[0]), (0.0, 255.0))
    assumed.append(f"a picture as output, white {white:g} (`white`)")
    return output._replace(black=black, white=white), True


def _check_size(tensor: TensorInfo, name: str) -> None:
    """Refuse what no picture is: other channels than 1 or 3, sides and batches without end."""
    if tensor.shape is None or len(tensor.shape) != 4:
        return
    batch, first, middle, last = (known(side) or 1 for side in tensor.shape)
    odd = first not in {1, 3} and last not in {1, 3}
    if odd or batch > MOST_PICTURES or max(first, middle, last) > LARGEST:
        raise ModelError(
            f"its input {tensor.name!r} {tensor_shape(tensor)} is no picture"
            " that it could be given",
            source=name,
        )


def _agree(entry: InputSpec, tensor: TensorInfo, name: str) -> None:
    """See that what is to go in is what the graph takes."""
    if entry.dtype not in DTYPES or entry.dtype != tensor.dtype:
        wanted_type = entry.dtype if entry.dtype in DTYPES else " or ".join(DTYPES)
        raise ModelError(
            f"its input {tensor.name!r} is of type {tensor.dtype or 'unknown'}, not {wanted_type}",
            source=name,
        )
    sides = entry.size or (None, None)
    planar = entry.layout == "NCHW"
    wanted = (entry.channels, *sides) if planar else (*sides, entry.channels)
    for have, want in zip((tensor.shape or ())[1:], wanted, strict=False):
        if known(have) and want and have != want:
            raise ModelError(f"its input takes {tensor_shape(tensor)}, and the manifest says "
                             f"{entry.layout} with {wanted}", source=name)  # fmt: skip


def overridden(entry: InputSpec, overrides: Overrides) -> InputSpec:
    """Let the user override what the manifest or the graph says."""
    grey = entry.channels == 1
    if overrides.preprocess:
        entry = entry._replace(**fields(overrides.preprocess, grey=grey))
    if overrides.channel_order and not grey:
        if overrides.channel_order != entry.channel_order:
            # The recipe's numbers belong to the colours, wherever they go.
            entry = entry._replace(mean=entry.mean[::-1], deviation=entry.deviation[::-1])
        entry = entry._replace(channel_order=overrides.channel_order)
    for key in ("mean", "deviation"):
        values = getattr(overrides, key)
        if values is not None:
            if len(values) not in {1, entry.channels}:
                raise UsageError(
                    f"{counted(len(values), 'number')} for {counted(entry.channels, 'channel')}",
                    source=f"`{key}`",
                )
            _check_scale(values, entry.white, key)
            entry = entry._replace(**{key: values * (entry.channels // len(values))})
    if overrides.resize or overrides.crop:
        entry = _resized(entry, overrides)
    return entry


def _check_scale(values: tuple[float, ...], white: float, key: str) -> None:
    """Refuse a mean or a deviation that belongs to the other of the scales 0..1 and 0..255."""
    most = max(map(abs, values))
    if key == "mean":
        too_large, too_small = most > white, 0 < most <= 1
    else:
        too_large, too_small = most > DEVIATIONS * white, min(values) < 1
    if too_large or (too_small and white > BYTES):
        what = "the mean" if key == "mean" else "the deviation"
        raise UsageError(
            f"{', '.join(f'{value:g}' for value in values)} cannot be {what} of colours that go"
            f" from 0 to {white:g}",
            source=f"`{key}`",
            hint="`preprocess=raw` makes them 0..255 (caffe: blue first, too)"
            if too_large
            else "`preprocess=unit` makes them 0..1",
        )


def _resized(entry: InputSpec, overrides: Overrides) -> InputSpec:
    size = overrides.crop or entry.crop or entry.size
    if overrides.crop is None and overrides.resize and entry.dynamic:
        size = (overrides.resize, overrides.resize)
    resize = overrides.resize or (max(size) if size else None)
    if entry.size and not entry.dynamic and size != entry.size:
        raise UsageError(
            f"the network takes {entry.size[0]} x {entry.size[1]} pixels", source="`crop`"
        )
    if size and resize and resize < max(size):
        raise UsageError(
            f"{resize} pixels are too few to cut {size[0]} x {size[1]} from", source="`resize`"
        )
    return entry._replace(fit="shorter", resize=resize, crop=size, size=size)


IMAGENET = {1000, 1001}
"""ImageNet's classes, without and with one before them for what is none."""

COARSEST = 8
"""How many times smaller than the input a map of classes may be; features are smaller still."""

ASPECT = 0.8
"""How far the proportions of a picture that comes out may be from those of what goes in."""


def known(side: int | str | None) -> int | None:
    """Return the length of an axis, or None where the graph leaves it open."""
    return side if isinstance(side, int) and side > 0 else None


def find_output(
    graph: Graph,
    spec: ModelSpec | None,
    name: str,
    assumed: list[str],
    *,
    wanted: str | None = None,
    suits: frozenset[str] = frozenset(),
) -> OutputSpec:
    """Find the tensor that answers, and what it means.

    Parameters
    ----------
    graph : Graph
        The network.
    spec : ModelSpec, optional
        Its manifest, which settles it unless another output is wanted.
    name : str
        What errors call the network.
    assumed : list of str
        Gets what had to be assumed.
    wanted : str, optional
        The output that the user names.
    suits : frozenset of str
        The kinds that the command has a use for; empty if it has one for all.

    Raises
    ------
    ModelError
        When there is no such output, or none that suits. What the outputs are is said, and the
        command that can show one.
    """
    if not graph.outputs:
        raise ModelError("it has no output", source=name)
    names = [tensor.name for tensor in graph.outputs]
    if wanted is not None and wanted not in names:
        raise ModelError(
            f"it has no output {wanted!r}", source=name, hint=f"it has {', '.join(names)}"
        )
    told = spec.output._replace(name=spec.output.name or names[0]) if spec else None
    if told and wanted in {None, told.name}:
        found = [told]
    else:
        found = [meaning(graph, tensor) for tensor in graph.outputs]
    if wanted is not None and len(found) > 1:
        found = [found[names.index(wanted)]]
    place = _choose(graph, found, suits)
    if place is None:
        raise _unsuited(graph, found, suits, name)
    output = found[place]
    if len(found) > 1:
        assumed.append(f"output {output.name}, of {len(found)} (`output_name`)")
    if output.kind == "map" and not told and _behind(graph, output.name or "")[0] != "ArgMax":
        assumed.append("a map of classes as output")
    return output


def meaning(graph: Graph, tensor: TensorInfo) -> OutputSpec:
    """Tell what an output is by its shape and the operator that makes it.

    Parameters
    ----------
    graph : Graph
        The network.
    tensor : TensorInfo
        One of its outputs.
    """
    shape = tensor.shape or ()
    sides = [known(side) for side in shape[1:]]
    op, logits = _behind(graph, tensor.name)
    if tensor.dtype in {"int64", "int32"}:
        op = "ArgMax"
    if sum(side != 1 for side in sides) > 1:
        return OutputSpec(tensor.name, _seen(graph, tensor, op))
    if op == "ArgMax":
        return OutputSpec(tensor.name, "other" if shape else "map")
    if op == "Softmax":
        return OutputSpec(tensor.name, "probabilities", logits=logits)
    if op in {"Sigmoid", "QLinearSoftmax", "QLinearSigmoid"}:
        return OutputSpec(tensor.name, "probabilities")
    one = bool(sides or shape == (1,)) and prod(side or 2 for side in sides) == 1
    return OutputSpec(tensor.name, "other" if one else "logits")


def _behind(graph: Graph, name: str) -> tuple[str, str | None]:
    """Return the operator that gives a tensor its meaning, and what goes into it."""
    node = graph.producer_of.get(name)
    while node is not None and node.op in PASSING and node.inputs:
        node = graph.producer_of.get(node.inputs[0])
    return (node.op, node.inputs[0] if node.inputs else None) if node is not None else ("", None)


def _seen(graph: Graph, tensor: TensorInfo, op: str) -> str:
    """Tell what has sides: a picture, classes or scores for every pixel, or mere numbers.

    Whatever is to be seen has two sides like the picture's that goes in.
    """
    shape = tensor.shape or ()
    planar, packed = _are_sides(graph, shape[-2:]), _are_sides(graph, shape[1:3])
    if len(shape) == 3 and planar:
        if op == "ArgMax" or tensor.dtype == "uint8":
            return "map"
        return "image" if levels(graph, tensor.name) else "other"
    if len(shape) != 4:
        return "other"
    coloured = (planar and shape[1] in {1, 3}) or (packed and shape[3] in {1, 3})
    if coloured and op not in {"ArgMax", "Softmax"}:
        return "image"
    return "map" if planar or packed else "other"


def _are_sides(graph: Graph, sides: Sequence[int | str | None]) -> bool:
    """Tell whether two axes may be rows and columns of what is made of the first picture."""
    for tensor in graph.inputs:
        if tensor.shape is not None and len(tensor.shape) == 4:
            packed = tensor.shape[3] in {1, 3} and tensor.shape[1] not in {1, 3}
            whole = tensor.shape[1:3] if packed else tensor.shape[2:4]
            pairs = zip(map(known, sides), map(known, whole), strict=True)
            scales = [side / length for side, length in pairs if side and length]
            return not scales or min(scales) >= max(1 / COARSEST, ASPECT * max(scales))
    return True


def _choose(graph: Graph, found: Sequence[OutputSpec], suits: frozenset[str]) -> int | None:
    """Choose the output that a command can use: the first, but probabilities before logits.

    Among outputs of other kinds a flat one is not class scores for being flat, unless it scores
    ImageNet's classes: boxes have scores of their own, an autoencoder its code.
    """
    wanted = suits or CLASSES
    places = [place for place, output in enumerate(found) if output.kind in wanted]
    sure = [
        place
        for place in places
        if found[place].kind != "logits" or classes_of(graph, found[place]) in IMAGENET
    ]
    alone = all(output.kind in CLASSES for output in found)
    if sure or (places and (alone or not suits)):
        return (sure or places)[0]
    return None if suits else 0


def _unsuited(
    graph: Graph, found: Sequence[OutputSpec], suits: frozenset[str], name: str
) -> ModelError:
    """Say what the outputs are, and which command can show one."""
    shapes = {tensor.name: f" {tensor_shape(tensor)}" for tensor in graph.outputs}
    what = ", ".join(
        f"{output.name}{shapes.get(output.name or '', '')}: {WORDS[output.kind]}"
        for output in found
    )
    wanted = "class scores" if suits == CLASSES else "picture"
    choose = ""
    if suits == CLASSES and any(output.kind == "logits" for output in found):
        wanted, choose = "sure class scores", "; `output_name=NAME` takes one for class scores"
    if suits != CLASSES and _choose(graph, found, CLASSES) is not None:
        hint = "try 'cnntool classify'"
    elif suits != PICTURES and _choose(graph, found, PICTURES) is not None:
        hint = "try 'cnntool run'"
    else:
        hint = as_numbers(found[0].name or "")
    return ModelError(f"it gives no {wanted}, but {what}", source=name, hint=hint + choose)


def as_numbers(output: str) -> str:
    """Name the command that shows any output."""
    return f"'cnntool activations `layer={shlex.quote(output)}`' shows its numbers"


WORDS = {
    "probabilities": "class scores",
    "logits": "numbers that may be class scores",
    "image": "a picture",
    "map": "a map of classes",
    "other": "numbers of its own kind",
}
"""What the kinds of outputs are, for people."""


def tensor_shape(tensor: TensorInfo) -> str:
    """Return a shape for people, with the names of its axes: ``(batch x 3 x ? x ?)``."""
    if tensor.shape is None:
        return "of unknown shape"
    return "(" + " x ".join("?" if side is None else str(side) for side in tensor.shape) + ")"


def classes_of(graph: Graph, output: OutputSpec) -> int | None:
    """Return how many classes an output scores, as far as the graph says."""
    for tensor in graph.outputs:
        if tensor.name == output.name and tensor.shape:
            sides = [known(side) for side in tensor.shape[1:]]
            return None if None in sides else prod(side for side in sides if side)
    return None


def guess_labels(
    graph: Graph, output: OutputSpec, assumed: list[str]
) -> tuple[LabelSet | None, bool]:
    """Return the labels that the number of classes suggests, and whether class 0 is background."""
    classes = classes_of(graph, output)
    if classes in IMAGENET:
        after = " after a background class" if classes == 1001 else ""
        assumed.append(f"ImageNet labels{after} (`labels`)")
        return read_labels(shipped_models() / "labels" / "imagenet-1k.tsv"), classes == 1001
    return None, False


def quantised(graph: Graph, name: str) -> tuple[float, float]:
    """Return scale and zero point of an output of whole numbers that stand for others."""
    if any(info.name == name and info.dtype.startswith("float") for info in graph.outputs):
        return 1.0, 0.0
    from cnntool.nets.inference.layer_outputs import quantisation

    return quantisation(graph, name) or (1.0, 0.0)
