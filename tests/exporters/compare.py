"""Hold cnntool's names of layers against what real exporters made of real networks.

See README.md. ``python compare.py --zoo DIR [--list] [FILE...]`` prints the table; with ``--list``
every module whose name is not right, too.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from cnntool.errors import ModelError
from cnntool.nets.graph import read_graph
from cnntool.nets.layers import Layers

COLUMNS = ("modules", "kept", "right", "refused", "another", "folded", "said", "unsaid", "wrong")


def judge(layers: Layers, name: str, entry: dict[str, Any]) -> tuple[str, str]:
    """Say what comes of asking for a module: the verdict, and the answer or reason."""
    kept = entry["fate"] == "kept"
    try:
        found = layers.resolve(name)
    except ModelError as error:
        return ("refused" if kept else "unnamed"), str(error)
    answer = ", ".join(item.text for item in found)
    meant = entry["calls"][0]
    if len(found) == 1 and found[0].tensor in meant:
        return "right" if kept else "said", answer
    if kept:
        return "another", answer
    if len(found) == 1 and found[0].tensor in entry.get("into", ()):
        return ("said" if "batch norm" in found[0].words else "unsaid"), answer
    return "wrong", answer


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zoo", type=Path, required=True, help="where the networks are")
    parser.add_argument("--list", action="store_true", help="name what is not right")
    parser.add_argument("names", nargs="*", help="what the files' names begin with")
    given = parser.parse_args()
    print("| network | exporter |", " | ".join(COLUMNS), "|")
    print("|---|---|" + "--:|" * len(COLUMNS))
    total: Counter[str] = Counter()
    for path in sorted(given.zoo.glob("*.json")):
        if given.names and not any(path.name.startswith(name) for name in given.names):
            continue
        network, _, exporter = path.stem.rpartition(".")
        layers = Layers(read_graph(path.with_suffix(".onnx")))
        count: Counter[str] = Counter()
        for name, entry in json.loads(path.read_text()).items():
            verdict, answer = judge(layers, name, entry)
            count[verdict] += 1
            count["modules"] += 1
            count["kept"] += entry["fate"] == "kept"
            count["folded"] += entry["fate"] != "kept"
            if given.list and verdict in {"refused", "another", "unsaid", "wrong"}:
                print(f"{path.stem}: {name} ({entry['kind']}): {verdict}: {answer}")
                print(f"    meant: {entry['fate']} {entry['calls'][0] or entry.get('into')}")
        total += count
        print(f"| {network} | {exporter} |", " | ".join(str(count[c]) for c in COLUMNS), "|", flush=True)
    print("| all | |", " | ".join(str(total[c]) for c in COLUMNS), "|")
    if total["kept"]:
        print(f"\nright: {total['right'] / total['kept']:.2%} of {total['kept']}")


if __name__ == "__main__":
    main()
