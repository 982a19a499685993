"""A manifest as text, so that `read_manifest` gives the same record back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cnntool.nets.spec import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cnntool.nets.labels import LabelSet
    from cnntool.nets.spec import InputSpec, ModelSpec, OutputSpec

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def manifest_text(spec: ModelSpec) -> str:
    """Return a manifest as TOML."""
    tables = [
        ("", _head(spec)),
        ("input", _input(spec.input)),
        ("output", _output(spec.output)),
        ("labels", _labels(spec.labels, spec.labels_file)),
        ("layers", spec.layers.items()),
        ("accuracy", [(k, v) for k, v in spec.accuracy._asdict().items() if v not in (None, "")]),
        ("training", spec.training.items()),
    ]
    return "\n".join(text for name, rows in tables if (text := _table(name, rows)))


def _head(spec: ModelSpec) -> Iterator[tuple[str, Any]]:
    yield "schema", SCHEMA
    for key in ("name", "title", "file", "sha256", "size"):
        if getattr(spec, key) is not None:
            yield key, getattr(spec, key)
    yield "urls", spec.urls
    yield "licence", spec.licence
    yield "source", spec.source
    if spec.date is not None:
        yield "date", _Literal(spec.date)
    if spec.note:
        yield "note", spec.note


def _input(spec: InputSpec) -> Iterator[tuple[str, Any]]:
    left_out = {"dynamic": False, "minimum": (1, 1)}
    for key, value in spec._asdict().items():
        if value is not None and left_out.get(key) != value:
            yield key, value


def _output(spec: OutputSpec) -> Iterator[tuple[str, Any]]:
    for key, value in spec._asdict().items():
        if key in {"white", "black"} and spec.kind != "image":
            continue
        if key == "black" and not value:
            continue
        if key == "background" and spec.kind not in {"probabilities", "logits"}:
            continue
        if value is not None:
            yield key, value


def _labels(labels: LabelSet | None, file: str | None) -> Iterator[tuple[str, Any]]:
    if file is not None:
        yield "file", file
    elif labels is not None:
        yield "names", labels.names
        if any(labels.wordnet):
            yield "wordnet", labels.wordnet
        if labels.colours:
            yield "colours", [f"#{bytes(colour).hex()}" for colour in labels.colours]


def _table(name: str, rows: Iterable[tuple[str, Any]]) -> str:
    lines = [f"{_key(key)} = {_value(value)}\n" for key, value in rows]
    if name and lines:
        lines.insert(0, f"[{name}]\n")
    return "".join(lines)


class _Literal(str):
    """Text that stands in the file without quotes."""

    __slots__ = ()


def _value(value: Any) -> str:
    if isinstance(value, _Literal):
        return str(value)
    if isinstance(value, str):
        # TOML's strings are JSON's, but for this one control code.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)


def _key(key: str) -> str:
    return key if key and set(key) <= _BARE else _value(key)
