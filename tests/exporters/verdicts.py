"""What cnntool answers to the names of a network's modules, held against what they computed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.errors import ModelError
from cnntool.nets.file.graph import read_graph
from cnntool.nets.layers.lookup import Layers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS = {
    "modules": "modules that ran",
    "kept": "some tensor of the file is the module's output",
    "right": "of these: the name answers with it",
    "refused": "the name is unknown, or may mean several things",
    "another": "the name answers with another tensor",
    "gone": "removed, or folded into another module",
    "said": "of these: the name answers with what took its place, and the words say so",
    "unsaid": "the same without the words",
    "wrong": "the name answers with something else; the rest is refused",
}
BAD = {"refused", "another", "unsaid", "wrong"}


class Verdict(NamedTuple):
    """What came of one name.

    Parameters
    ----------
    word : str
        One of `COLUMNS`, or ``unnamed``: refused, and rightly.
    name : str
        The module.
    answer : str
        What cnntool said.
    entry : dict
        What is noted for the module, see `oracle.write_record`.
    """

    word: str
    name: str
    answer: str
    entry: dict[str, Any]

    @property
    def is_bad(self) -> bool:
        """Tell whether somebody should look at it."""
        return self.word in BAD or (self.word == "unnamed" and "into" in self.entry)

    @property
    def text(self) -> str:
        """All of it, with what was meant."""
        meant = self.entry["calls"][0] or self.entry.get("into", [])
        return (
            f"{self.name} ({self.entry['kind']}): {self.word}: {self.answer}; "
            f"meant: {self.entry['fate']} {', '.join(meant)}"
        )


def judge(record: Path) -> Iterator[Verdict]:
    """Ask for all modules of a network.

    Parameters
    ----------
    record : Path
        The note; the network lies beside it.
    """
    layers = Layers(read_graph(record.with_suffix(".onnx")))
    for name, entry in json.loads(record.read_text()).items():
        yield Verdict(*_judged(layers, name, entry), entry)


def _judged(layers: Layers, name: str, entry: dict[str, Any]) -> tuple[str, str, str]:
    kept = entry["fate"] == "kept"
    try:
        found = layers.resolve(name)
    except ModelError as error:
        return "refused" if kept else "unnamed", name, str(error)
    answer = ", ".join(item.text for item in found)
    tensor, words = (found[0].tensor, found[0].words) if len(found) == 1 else ("", "")
    if tensor in entry["calls"][0]:
        return "right" if kept else "said", name, answer
    if kept:
        return "another", name, answer
    if tensor in entry.get("into", ()):
        return "said" if "batch norm" in words else "unsaid", name, answer
    return "wrong", name, answer
