"""The measured part of the model card: tables between two marks in README.md."""

from pathlib import Path

import numpy as np
from manifest import Result
from numpy.typing import NDArray

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def tables(
    result: Result,
    counts: NDArray[np.int64],
    labels: tuple[str, ...],
    steady: dict[str, tuple[float, float]],
    checked: int,
) -> str:
    """Return the figures, the per-class table and the steadiness table as Markdown."""
    shares = f"top-1 **{100 * result.top1:.1f} %**, top-5 **{100 * result.top5:.1f} %**"
    lines = [
        f"{result.photos:,} photos: {shares}.",
        "",
        "| class | photos | right | most often taken for |",
        "|---|---:|---:|---|",
    ]
    for row, label in enumerate(labels):
        right, total = counts[row, row], counts[row].sum()
        others = np.where(np.arange(len(labels)) == row, -1, counts[row])
        wrong = int(others.argmax())
        taken = f"{labels[wrong]} ({others[wrong]})" if others[wrong] > 0 else "-"
        lines.append(f"| {label} | {total} | {100 * right / total:.1f} % | {taken} |")
    lines += [
        "",
        f"The same {checked} photos of `val`, changed before they are handed over:",
        "",
        "| change | same answer as before | top-1 |",
        "|---|---:|---:|",
    ]
    lines += [
        f"| {name} | {100 * kept:.1f} % | {100 * right:.1f} % |"
        for name, (kept, right) in steady.items()
    ]
    return "\n".join(lines)


def insert(card: Path, measured: str) -> None:
    """Replace what stands between the marks of `card`; where there is no card, begin one."""
    if not card.exists():
        card.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    before, rest = card.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    card.write_text(f"{before}{BEGIN}\n{measured}\n{END}{after}", encoding="utf-8")
