"""Manifests: what a network needs told, as records and as TOML files that are read strictly.

``models/README.md`` has the table of the keys.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.nets.models.labels import LabelSet, make_labels, read_labels
from cnntool.nets.models.strict_toml import (
    Wrong,
    among,
    entries,
    fields,
    flag,
    line,
    matching,
    number,
    pair,
    read_toml,
    rule,
    several,
    whole,
)
from cnntool.shapes.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnntool.nets.models.strict_toml import Rule


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

    def shape(self, size: tuple[int, int]) -> tuple[int, ...]:
        """Return the shape of a picture of a size as it goes in, without the batch."""
        return (self.channels, *size) if self.layout == "NCHW" else (*size, self.channels)


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


FOLDER_VARIABLE = "CNNTOOL_MODELS_DIR"


def shipped_models() -> Path:
    """Return the folder of the manifests that ship with the tool, and of the built-in network.

    It lies in the installed package; in a checkout, beside it.
    """
    return _shipped("models")


def shipped_sample() -> Path:
    """Return the photo that ships with the tool, to be looked at when no other is given."""
    return _shipped("samples") / "cat.png"


def _shipped(folder: str) -> Path:
    package = Path(__file__).parents[2]
    installed = package / folder
    return installed if installed.is_dir() else package.parent / folder


def user_models() -> Path:
    """Return the folder where networks are put, which may not exist yet.

    ``$CNNTOOL_MODELS_DIR``, else ``cnntool/models`` in the user's data folder
    (``$XDG_DATA_HOME`` or ``~/.local/share`` on Linux).
    """
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        return Path(given).absolute()
    import platformdirs

    return platformdirs.user_data_path("cnntool", appauthor=False) / "models"


NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PLAIN = r"[^./\\:\x00-\x1f\x7f][^/\\:\x00-\x1f\x7f]{0,250}"
_FILE = re.compile(_PLAIN + r"\.onnx")
_LABELS_FILE = re.compile(_PLAIN)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_URL = re.compile(r"https?://[^\s/?#]+/\S*")
_SIDE = 1 << 14
_DATE = rule(
    (lambda value: type(value) is dt.date, "is not a date such as 2026-01-31"),
    then=dt.date.isoformat,
)
_FIGURE = rule(
    (lambda value: isinstance(value, (str, int, float)), "is neither a text nor a number"),
    then=lambda value: number()(value) if isinstance(value, float) else value,
)


def read_manifest(path: Path) -> ModelSpec:
    """Read a manifest and check every key of it.

    Parameters
    ----------
    path : Path
        A TOML file.

    Raises
    ------
    ModelError
        It cannot be read, or a key is missing, unknown, of the wrong type or out of range. The
        line names the file, the key and the reason.
    """
    spec: ModelSpec = read_toml(path, lambda values: _spec(values, path))
    return spec


def _spec(values: Any, path: Path) -> ModelSpec:
    needed = {
        "schema": whole(SCHEMA, SCHEMA),
        "name": matching(NAME, "is {}, not a-z, 0-9, '.', '_' and '-'"),
        "title": line,
        "file": matching(_FILE, "is {}, not a plain file name that ends in .onnx"),
        "licence": line,
        "source": line,
        "input": _input,
        "output": _output,
    }
    optional = {
        "labels": lambda values: _labels(values, path),
        "sha256": matching(_SHA256, "is {}, not 64 hexadecimal digits"),
        "size": whole(),
        "urls": several(matching(_URL, "has {}, which is no http or https address")),
        "date": _DATE,
        "note": line,
        "layers": entries(line),
        "accuracy": _accuracy,
        "training": entries(_FIGURE),
    }
    found = {"sha256": None, "size": None, "urls": ()} | fields(values, needed, optional)
    del found["schema"]
    found["labels"], found["labels_file"] = found.get("labels", (None, None))
    if found["urls"] and None in (found["sha256"], found["size"]):
        raise Wrong("needs sha256 and size beside it", "urls")
    return ModelSpec(**found, manifest=path)


def _input(values: Any) -> InputSpec:
    needed = {
        "channel_order": among(tuple(CHANNELS)),
        "name": line,
        "layout": among(LAYOUTS),
        "dtype": among(DTYPES),
        "fit": among(FITS),
        "white": number(low=0.0),
        "mean": several(number()),
        "deviation": several(number(low=0.0)),
    }
    optional = {
        "size": pair(_SIDE),
        "dynamic": flag,
        "minimum": pair(_SIDE),
        "batch": whole(high=1 << 16),
        "resize": whole(high=_SIDE),
        "crop": pair(_SIDE),
        "interpolation": among(INTERPOLATIONS),
    }
    spec = InputSpec(**fields(values, needed, optional))
    for key in ("mean", "deviation"):
        if (count := len(getattr(spec, key))) != spec.channels:
            found = counted(count, "number")
            raise Wrong(f"has {found}, not {spec.channels}: one for each channel", key)
    _check_geometry(spec)
    return spec


def _check_geometry(spec: InputSpec) -> None:
    """See that the steps lead to the size that the network gets."""
    if spec.fit == "shorter" and spec.resize is None:
        raise Wrong("is missing: to what is the shorter side resized?", "resize")
    if spec.fit == "none" and spec.resize is not None:
        raise Wrong("has no meaning where fit is 'none'", "resize")
    if spec.fit == "stretch" and spec.resize is None and spec.size is None:
        raise Wrong("is missing: to what is the picture stretched?", "size")
    if spec.resize and spec.crop and max(spec.crop) > spec.resize:
        raise Wrong(f"is larger than the {spec.resize} pixels that resize leaves", "crop")
    if spec.size is None and not spec.dynamic:
        raise Wrong("is missing, and the network is not dynamic", "size")
    stretched = (spec.resize, spec.resize) if spec.resize else spec.size
    reached = spec.crop or (stretched if spec.fit == "stretch" else None)
    if spec.size and reached and reached != spec.size:
        raise Wrong(f"is {_by(spec.size)}, but the steps lead to {_by(reached)}", "size")
    if not reached and not spec.dynamic:
        raise Wrong("is missing, and the network takes one size", "crop")
    if reached and (reached[0] < spec.minimum[0] or reached[1] < spec.minimum[1]):
        raise Wrong(f"is {_by(spec.minimum)}, above the {_by(reached)} in use", "minimum")


def _by(pair: tuple[int, int]) -> str:
    return f"{pair[0]} x {pair[1]}"


def _output(values: Any) -> OutputSpec:
    kind = values.get("kind") if isinstance(values, dict) else None
    of_kind: dict[str, dict[str, Rule]] = {
        "probabilities": {"background": flag, "logits": line},
        "logits": {"background": flag},
        "image": {"black": number(high=0.0)},
    }
    needed = {"kind": among(KINDS)} | ({"white": number(low=0.0)} if kind == "image" else {})
    found = fields(values, needed, {"name": line, **of_kind.get(str(kind), {})})
    return OutputSpec(**{"name": None, **found})


def _labels(values: Any, path: Path) -> tuple[LabelSet, str | None]:
    if isinstance(values, dict) and "file" in values:
        file = fields(values, {"file": matching(_LABELS_FILE, "is {}, not a plain file name")}, {})[
            "file"
        ]
        for folder in (path.parent, shipped_models()):
            if (folder / "labels" / file).is_file():
                return _shared_labels(folder / "labels" / file), file
        raise Wrong(f"names {file!r}, which is not in {path.parent / 'labels'}", "file")
    wordnet = several(lambda text: text if text == "" else line(text))
    found = fields(values, {"names": several(line)}, {"wordnet": wordnet, "colours": several(line)})
    return make_labels(**{"wordnet": (), "colours": ()} | found, source=f"{path}: labels"), None


@lru_cache(maxsize=8)
def _shared_labels(path: Path) -> LabelSet:
    """Read the labels that many manifests name once."""
    return read_labels(path)


def _accuracy(values: Any) -> Accuracy:
    share = number(0.0, 1.0)
    figures = {"top1": share, "top5": share, "mean_iou": share, "photos": whole()}
    found = Accuracy(**fields(values, {"dataset": line, "measured": line}, figures))
    if found.top1 is not None and found.top5 is not None and found.top1 > found.top5:
        raise Wrong("is above top5", "top1")
    return found


def manifest_text(spec: ModelSpec) -> str:
    """Return a manifest as TOML, from which `read_manifest` gives the same record back."""
    plain = ("name", "title", "file", "sha256", "size", "urls", "licence", "source")
    head = {
        "schema": SCHEMA,
        **{key: getattr(spec, key) for key in plain},
        "date": spec.date and dt.date.fromisoformat(spec.date),
        "note": spec.note or None,
    }
    tables = {
        "": _stated(head),
        "input": _stated(spec.input._asdict(), dynamic=False, minimum=(1, 1)),
        "output": _stated_output(spec.output),
        "labels": _stated_labels(spec.labels, spec.labels_file),
        "layers": spec.layers,
        "accuracy": _stated(spec.accuracy._asdict(), dataset="", measured=""),
        "training": spec.training,
    }
    return "\n".join(
        (f"[{name}]\n" if name else "")
        + "".join(f"{_key(key)} = {_value(value)}\n" for key, value in rows.items())
        for name, rows in tables.items()
        if rows
    )


def _stated(values: Mapping[str, Any], **left_out: Any) -> dict[str, Any]:
    return {k: v for k, v in values.items() if v is not None and v != left_out.get(k)}


def _stated_output(spec: OutputSpec) -> dict[str, Any]:
    without = set() if spec.kind == "image" else {"white", "black"}
    without |= set() if spec.kind in CLASSES else {"background"}
    rows = _stated(spec._asdict(), black=0.0)
    return {key: value for key, value in rows.items() if key not in without}


def _stated_labels(labels: LabelSet | None, file: str | None) -> dict[str, Any]:
    if file is not None or labels is None:
        return _stated({"file": file})
    colours = [f"#{bytes(colour).hex()}" for colour in labels.colours]
    wordnet = labels.wordnet if any(labels.wordnet) else None
    return _stated({"names": labels.names, "wordnet": wordnet, "colours": colours or None})


def _key(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, dt.date):
        return value.isoformat()
    import json

    # TOML's texts, numbers and lists are JSON's, but for this one control code.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
