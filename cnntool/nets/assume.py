"""What a network wants and says: from its manifest, from its graph, from the user, in this order.

Whatever neither the manifest nor the graph tells is assumed, and every assumption is said.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from cnntool.errors import ModelError
from cnntool.nets.labels import LabelSet, read_labels
from cnntool.nets.meaning import PASSING, classes_of, find_output, guess_labels, known, quantised
from cnntool.nets.recipes import CAFFE_MEAN, Wishes, fields, wished
from cnntool.nets.spec import DTYPES, InputSpec, OutputSpec

if TYPE_CHECKING:
    from cnntool.nets.graph import Graph, Node, TensorInfo
    from cnntool.nets.spec import ModelSpec

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

_INSIDE = {"Sub", "Mul", "Div", "Add", "ImageScaler", "BatchNormalization"}


class Plan(NamedTuple):
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
    """

    name: str
    input: InputSpec
    output: OutputSpec
    labels: LabelSet | None
    quantised: tuple[float, float] = (1.0, 0.0)
    guessed: bool = False
    assumed: tuple[str, ...] = ()

    @property
    def classifies(self) -> bool:
        """Whether class scores come out."""
        return self.output.kind in {"probabilities", "logits"}

    @property
    def taps(self) -> tuple[str, ...]:
        """Return the tensors to ask for: the output, and the logits where it has them apart."""
        names = (self.output.name, self.output.logits)
        return tuple(dict.fromkeys(name for name in names if name))


def plan_for(name: str, graph: Graph, spec: ModelSpec | None, wishes: Wishes) -> Plan:
    """Settle everything that must be known to ask a network.

    Parameters
    ----------
    name : str
        What to call it.
    graph : Graph
        The network.
    spec : ModelSpec, optional
        Its manifest.
    wishes : Wishes
        What the user overrides.

    Raises
    ------
    ModelError
        When the graph does not take one picture, or the manifest and the graph disagree.
    UsageError
        When a wish does not suit.
    """
    assumed: list[str] = []
    tensor = _picture_input(graph, spec, name)
    output = find_output(graph, spec, name, assumed)
    scores = output.kind in {"probabilities", "logits"}
    entry = (
        spec.input if spec else _guess_input(tensor, graph, assumed, given=wishes, whole=not scores)
    )
    _check_size(tensor, name)
    entry = wished(entry, wishes)._replace(name=tensor.name, batch=_batch(tensor))
    _agree(entry, tensor, name)
    labels = read_labels(wishes.labels) if wishes.labels else spec.labels if spec else None
    if scores:
        if labels is None:
            labels, background = guess_labels(graph, output, assumed)
            output = output._replace(background=background)
        elif not spec and classes_of(graph, output) == labels.classes + 1:
            assumed.append("a background class before the labels")
            output = output._replace(background=True)
    return Plan(
        name=name,
        input=entry,
        output=output,
        labels=labels,
        quantised=quantised(graph, output.name or ""),
        guessed=spec is None,
        assumed=tuple(assumed),
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
        takes = ", ".join(f"{t.name} {_shape(t)}" for t in graph.inputs) or "nothing"
        raise ModelError(f"it does not take one picture, but {takes}", source=name)
    return pictures[0]


def _shape(tensor: TensorInfo) -> str:
    if tensor.shape is None:
        return "of unknown shape"
    return "(" + ", ".join("?" if side is None else str(side) for side in tensor.shape) + ")"


def _batch(tensor: TensorInfo) -> int | None:
    batch = tensor.shape[0] if tensor.shape else None
    return batch if isinstance(batch, int) and batch > 0 else None


def _guess_input(
    tensor: TensorInfo, graph: Graph, assumed: list[str], *, given: Wishes, whole: bool
) -> InputSpec:
    """Read from the graph what a manifest would say; ``whole`` pictures are not cut."""
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
        assumed.append(f"size {rows} x {columns}")
    recipe, swapped = _recipe(tensor, graph, grey=channels == 1)
    recipe = given.preprocess or recipe
    if not given.preprocess and recipe != "raw":
        assumed.append(f"--preprocess {recipe}")
    if swapped and not (given.preprocess or given.channel_order):
        assumed.append("--channel-order bgr")
    fit, resize, crop = "stretch", None, None
    if whole:
        fit = "none" if dynamic else "stretch"
    elif rows == columns:
        fit, crop = "shorter", (rows, columns)
        resize = rows if rows < SMALL else round(rows / SHARE)
    if not whole and not (given.resize or given.crop):
        assumed.append(
            f"the shorter side resized to {resize}, the centre cut" if crop else "stretched"
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
    return wished(entry, Wishes(channel_order="BGR")) if swapped and not given.preprocess else entry


def _recipe(tensor: TensorInfo, graph: Graph, *, grey: bool) -> tuple[str, bool]:
    """Return the recipe that the graph suggests, and whether it wants blue first.

    Numbers stay raw where they are whole, where the file's metadata say so (Windows ML's keys), or
    where the graph itself begins to scale them; the mean that it takes off tells the order.
    """
    metadata = graph.metadata
    swapped = metadata.get("Image.BitmapPixelFormat", "").lower().startswith("bgr")
    told = metadata.get("Image.NominalPixelRange", "")
    if told in RANGES:
        return RANGES[told], swapped
    if tensor.dtype not in {"float32", "float16", "float64"}:
        return "raw", swapped
    name = tensor.name
    for _ in range(8):
        nodes = graph.consumers.get(name, ())
        if len(nodes) != 1:
            break
        node = nodes[0]
        if node.op in _INSIDE:
            return "raw", swapped or _takes_blue_first(node, graph)
        if node.op not in PASSING and node.op != "Pad":
            break
        name = node.outputs[0]
    return "unit" if grey else "imagenet", swapped


def _takes_blue_first(node: Node, graph: Graph) -> bool:
    """Tell by the mean that a node takes off: of ImageNet's colours blue has the lowest."""
    numbers = list(node.attribute("bias", ()))
    for name in node.inputs[1:2]:
        if name in graph.weights and prod(graph.weights[name].shape) == 3:
            numbers = graph.weights[name].read().ravel().tolist()
    near = [abs(abs(number) - mean) < 1 for number, mean in zip(numbers, CAFFE_MEAN, strict=False)]
    return len(near) == 3 and all(near)


def _check_size(tensor: TensorInfo, name: str) -> None:
    """Refuse what no picture is: other channels than 1 or 3, sides and batches without end."""
    if tensor.shape is None or len(tensor.shape) != 4:
        return
    batch, first, middle, last = (known(side) or 1 for side in tensor.shape)
    odd = first not in {1, 3} and last not in {1, 3}
    if odd or batch > MOST_PICTURES or max(first, middle, last) > LARGEST:
        raise ModelError(
            f"its input {tensor.name!r} {_shape(tensor)} is no picture that it could be given",
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
            raise ModelError(f"its input takes {_shape(tensor)}, and the manifest says "
                             f"{entry.layout} with {wanted}", source=name)  # fmt: skip
