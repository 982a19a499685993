"""Print the table of what cnntool answers to the names of real networks' modules.

Needs cnntool alone, and what `make.py` left. With ``--list`` every module is named whose answer is
not right.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from verdicts import COLUMNS, judge


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
        if not path.name.startswith(tuple(given.names or [""])):
            continue
        network, _, exporter = path.stem.rpartition(".")
        count: Counter[str] = Counter()
        for verdict in judge(path):
            kept = verdict.entry["fate"] == "kept"
            count.update([verdict.word, "modules", "kept" if kept else "gone"])
            if given.list and verdict.is_bad:
                print(f"{path.stem}: {verdict.text}")
        total += count
        _print_row(network, exporter, count)
    _print_row("all", "", total)
    if total["kept"]:
        print(f"\n{total['right'] / total['kept']:.2%} of {total['kept']} are right.")


def _print_row(network: str, exporter: str, count: Counter[str]) -> None:
    print(
        f"| {network} | {exporter} |", " | ".join(str(count[c]) for c in COLUMNS), "|", flush=True
    )


if __name__ == "__main__":
    main()
