"""What a network needs told: the records of a manifest.

``models/README.md`` has the table of the keys.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cnntool.nets.models.labels import LabelSet

SCHEMA = 1
LAYOUTS = ("NCHW", "NHWC")
DTYPES = ("float32", "float16", "uint8")
CHANNELS = {"RGB": 3, "BGR": 3, "L": 1, "Y": 1}
"""Channel orders with their number of channels. ``L`` is grey. ``Y`` is the same luma, but the
chroma is kept aside, to be joined to the picture that the network answers."""

FITS = ("shorter", "stretch", "none")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
KINDS = ("probabilities", "logits", "image", "map", "other")
"""Outputs: two forms of class scores, a picture, a class for every pixel (or a score for each), and
numbers that are none of these: boxes, a code, a single value."""

CLASSES = frozenset({"probabilities", "logits"})
"""Kinds of outputs that are class scores."""

PICTURES = frozenset({"image", "map"})
"""Kinds of outputs that can be seen."""


class InputSpec(NamedTuple):
    """How a picture becomes the input tensor. Pairs are (rows, columns).

    Attributes
    ----------
    name : str
        The tensor.
    size : (int, int) or None
        What the network gets; None where it takes any.
    batch : int or None
        The only batch that the graph takes; None where it takes any.
    resize : int or None
        Of the shorter side, or of both sides when stretching (None: to ``size``).
    crop : (int, int) or None
        Cut from the centre afterwards.
    white : float
        The value of white before mean and deviation.
    mean, deviation : tuple of float
        A number per channel, in ``channel_order``: (value - mean) / deviation.
    """

    name: str
    layout: str = "NCHW"
    dtype: str = "float32"
    channel_order: str = "RGB"
    size: tuple[int, int] | None = None
    dynamic: bool = False
    minimum: tuple[int, int] = (1, 1)
    batch: int | None = None
    fit: str = "stretch"
    resize: int | None = None
    crop: tuple[int, int] | None = None
    interpolation: str = "bilinear"
    white: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    deviation: tuple[float, ...] = (1.0, 1.0, 1.0)

    @property
    def channels(self) -> int:
        """How many channels the network gets."""
        return CHANNELS[self.channel_order]


class OutputSpec(NamedTuple):
    """What the answer means.

    Attributes
    ----------
    name : str or None
        The tensor; None stands for the graph's first output.
    kind : str
        One of `KINDS`.
    logits : str or None
        The tensor before the softmax, where the graph is known to have one.
    background : bool
        Whether class 0 means "nothing of these" and comes before the first label.
    white, black : float
        Of a picture: the values of white and black. What lies outside of them is clipped.
    """

    name: str | None
    kind: str
    logits: str | None = None
    background: bool = False
    white: float = 1.0
    black: float = 0.0


class Accuracy(NamedTuple):
    """How well it does, as shares from 0 to 1, on what, and who says so."""

    top1: float | None = None
    top5: float | None = None
    mean_iou: float | None = None
    photos: int | None = None
    dataset: str = ""
    measured: str = ""


class ModelSpec(NamedTuple):
    """All that a manifest says of a network.

    Attributes
    ----------
    sha256 : str or None
        Lower-case hexadecimal; None in a manifest that somebody wrote for a file of his own.
    size : int or None
        Bytes.
    labels : LabelSet or None
        None where the answer has no classes.
    layers : mapping
        Layer name: tensor.
    manifest : Path or None
        The file that this was read from.
    """

    name: str
    title: str
    file: str
    sha256: str | None
    size: int | None
    urls: tuple[str, ...]
    licence: str
    source: str
    input: InputSpec
    output: OutputSpec
    labels: LabelSet | None = None
    labels_file: str | None = None
    date: str | None = None
    note: str = ""
    layers: Mapping[str, str] = MappingProxyType({})
    accuracy: Accuracy = Accuracy()
    training: Mapping[str, str | float] = MappingProxyType({})
    manifest: Path | None = None
