"""Reading manifests, strictly."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cnntool.nets.labels import LabelSet, make_labels, read_labels
from cnntool.nets.places import shipped_models
from cnntool.nets.spec import (
    CHANNELS,
    DTYPES,
    FITS,
    INTERPOLATIONS,
    KINDS,
    LAYOUTS,
    SCHEMA,
    Accuracy,
    InputSpec,
    ModelSpec,
    OutputSpec,
)
from cnntool.nets.table import read_table

if TYPE_CHECKING:
    from pathlib import Path

    from cnntool.nets.table import Table

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PLAIN = r"[^./\\:\x00-\x1f\x7f][^/\\:\x00-\x1f\x7f]{0,250}"
_FILE = re.compile(_PLAIN + r"\.onnx")
_LABELS_FILE = re.compile(_PLAIN)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_URL = re.compile(r"https?://[^\s/?#]+/\S*")
_LARGEST_SIDE = 1 << 14


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
    table = read_table(path)
    table.whole("schema", low=SCHEMA, high=SCHEMA)
    labels, labels_file = _labels(table, path)
    spec = ModelSpec(
        name=_matching(table, "name", NAME, "a-z, 0-9, '.', '_' and '-'"),
        title=table.text("title"),
        file=_matching(table, "file", _FILE, "a plain file name that ends in .onnx"),
        sha256=_sha256(table),
        size=table.whole("size", None),
        urls=_urls(table),
        licence=table.text("licence"),
        source=table.text("source"),
        input=_input(table),
        output=_output(table),
        labels=labels,
        labels_file=labels_file,
        date=_date(table),
        note=table.text("note", ""),
        layers=_layers(table),
        accuracy=_accuracy(table),
        training=_training(table),
        manifest=path,
    )
    table.close()
    if spec.urls and (spec.sha256 is None or spec.size is None):
        raise table.fail("urls", "needs sha256 and size beside it")
    return spec


def _matching(table: Table, key: str, form: re.Pattern[str], words: str) -> str:
    value: str = table.text(key)
    if not form.fullmatch(value):
        raise table.fail(key, f"is {value!r}, not {words}")
    return value


def _sha256(table: Table) -> str | None:
    if table.text("sha256", None) is None:
        return None
    return _matching(table, "sha256", _SHA256, "64 hexadecimal digits")


def _urls(table: Table) -> tuple[str, ...]:
    urls: tuple[str, ...] = table.texts("urls", ())
    for url in urls:
        if not _URL.fullmatch(url):
            raise table.fail("urls", f"has {url!r}, which is no http or https address")
    return urls


def _date(table: Table) -> str | None:
    value = table.raw("date", None)
    if value is None:
        return None
    import datetime as dt

    if type(value) is not dt.date:
        raise table.fail("date", "is not a date such as 2026-01-31")
    return value.isoformat()


def _input(outer: Table) -> InputSpec:
    table = outer.table("input", needed=True)
    assert table is not None  # noqa: S101
    order = table.text("channel_order", among=tuple(CHANNELS))
    count = CHANNELS[order]
    spec = InputSpec(
        name=table.text("name"),
        layout=table.text("layout", among=LAYOUTS),
        dtype=table.text("dtype", among=DTYPES),
        channel_order=order,
        size=table.pair("size", None, high=_LARGEST_SIDE),
        dynamic=table.flag("dynamic", default=False),
        minimum=table.pair("minimum", (1, 1), high=_LARGEST_SIDE),
        batch=table.whole("batch", None, high=1 << 16),
        fit=table.text("fit", among=FITS),
        resize=table.whole("resize", None, high=_LARGEST_SIDE),
        crop=table.pair("crop", None, high=_LARGEST_SIDE),
        interpolation=table.text("interpolation", "bilinear", among=INTERPOLATIONS),
        white=table.number("white", low=0.0),
        mean=table.numbers("mean", count=count),
        deviation=table.numbers("deviation", count=count, low=0.0),
    )
    table.close()
    _check_geometry(table, spec)
    return spec


def _check_geometry(table: Table, spec: InputSpec) -> None:
    """See that the steps lead to the size that the network gets."""
    if spec.fit == "shorter" and spec.resize is None:
        raise table.fail("resize", "is missing: to what is the shorter side resized?")
    if spec.fit == "none" and spec.resize is not None:
        raise table.fail("resize", "has no meaning where fit is 'none'")
    if spec.fit == "stretch" and spec.resize is None and spec.size is None:
        raise table.fail("size", "is missing: to what is the picture stretched?")
    if spec.resize and spec.crop and max(spec.crop) > spec.resize:
        raise table.fail("crop", f"is larger than the {spec.resize} pixels that resize leaves")
    if spec.size is None and not spec.dynamic:
        raise table.fail("size", "is missing, and the network is not dynamic")
    stretched = (spec.resize, spec.resize) if spec.resize else spec.size
    reached = spec.crop or (stretched if spec.fit == "stretch" else None)
    if spec.size and reached and reached != spec.size:
        raise table.fail("size", f"is {_by(spec.size)}, but the steps lead to {_by(reached)}")
    if not reached and not spec.dynamic:
        raise table.fail("crop", "is missing, and the network takes one size")
    if reached and (reached[0] < spec.minimum[0] or reached[1] < spec.minimum[1]):
        raise table.fail("minimum", f"is {_by(spec.minimum)}, above the {_by(reached)} in use")


def _by(pair: tuple[Any, ...]) -> str:
    return f"{pair[0]} x {pair[1]}"


def _output(outer: Table) -> OutputSpec:
    table = outer.table("output", needed=True)
    assert table is not None  # noqa: S101
    kind = table.text("kind", among=KINDS)
    classes = kind in {"probabilities", "logits"}
    spec = OutputSpec(
        name=table.text("name", None),
        kind=kind,
        logits=table.text("logits", None) if kind == "probabilities" else None,
        background=table.flag("background", default=False) if classes else False,
        white=table.number("white", low=0.0) if kind == "image" else 1.0,
        black=table.number("black", 0.0, high=0.0) if kind == "image" else 0.0,
    )
    table.close()
    return spec


def _labels(outer: Table, path: Path) -> tuple[LabelSet | None, str | None]:
    table = outer.table("labels")
    if table is None:
        return None, None
    if "file" in table:
        file = _matching(table, "file", _LABELS_FILE, "a plain file name")
        table.close()
        for folder in (path.parent, shipped_models()):
            if (folder / "labels" / file).is_file():
                return _shared_labels(folder / "labels" / file), file
        raise table.fail("file", f"names {file!r}, which is not in {path.parent / 'labels'}")
    names = table.texts("names")
    wordnet = table.texts("wordnet", (), empty=True)
    colours = table.texts("colours", ())
    table.close()
    return make_labels(names, wordnet, colours, source=f"{path}: labels"), None


@lru_cache(maxsize=8)
def _shared_labels(path: Path) -> LabelSet:
    """Read the labels that many manifests name once."""
    return read_labels(path)


def _layers(outer: Table) -> dict[str, str]:
    table = outer.table("layers")
    return {} if table is None else {key: table.text(key) for key in table}


def _accuracy(outer: Table) -> Accuracy:
    table = outer.table("accuracy")
    if table is None:
        return Accuracy()
    found = Accuracy(
        top1=table.number("top1", None, low=0.0, high=1.0),
        top5=table.number("top5", None, low=0.0, high=1.0),
        mean_iou=table.number("mean_iou", None, low=0.0, high=1.0),
        photos=table.whole("photos", None),
        dataset=table.text("dataset"),
        measured=table.text("measured"),
    )
    table.close()
    if found.top1 is not None and found.top5 is not None and found.top1 > found.top5:
        raise table.fail("top1", "is above top5")
    return found


def _training(outer: Table) -> dict[str, str | float]:
    table = outer.table("training")
    if table is None:
        return {}
    found = {}
    for key in table:
        value = table.raw(key)
        if not isinstance(value, (str, int, float)):
            raise table.fail(key, "is neither a text nor a number")
        found[key] = table.number(key) if isinstance(value, float) else value
    return found
