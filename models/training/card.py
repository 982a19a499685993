"""The measured part of the model card: tables between two marks in README.md."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from figures import Figures
from numpy.typing import NDArray

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


class Card(NamedTuple):
    """What the tables show.

    Attributes
    ----------
    result, earlier : Figures
        Of all classes; of those among them that the first edition knew, if they are told apart.
    counts : ndarray of shape (classes, classes)
        True class by answer; the last class is "something else".
    top5 : ndarray of shape (classes,)
        Share of each class that is among the first five answers.
    labels : tuple of str
        Of the classes.
    error : float
        Expected calibration error.
    bins : list of (probability, share right, photos)
        Of the photos with first answers of about that probability.
    steady : dict
        For each change, the share of answers left alone and the share right.
    changed : int
        Photos that were changed.
    """

    result: Figures
    earlier: Figures | None
    counts: NDArray[np.int64]
    top5: NDArray[np.float64]
    labels: tuple[str, ...]
    error: float
    bins: list[tuple[float, float, int]]
    steady: dict[str, tuple[float, float]]
    changed: int


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def tables(card: Card) -> str:
    """Return the figures and the tables as Markdown."""
    known, foreign = int(card.counts[:-1].sum()), int(card.counts[-1].sum())
    lines = [
        (
            f"{known:,} photos of {len(card.labels) - 1} classes, mean over the classes: top-1"
            f" **{_percent(card.result.top1)}**, top-5 **{_percent(card.result.top5)}**."
        ),
    ]
    if card.earlier:
        lines.append(
            f"The twelve classes of the first edition alone: top-1 {_percent(card.earlier.top1)}."
        )
    lines += [
        "",
        (
            f"{foreign} photos of none of them: **{_percent(card.result.found)}** are answered"
            f" `something else`, as are {_percent(card.result.mistaken)} of the photos of known"
            f" classes. Area under the ROC curve of that probability: {card.result.area:.3f}."
        ),
        "",
        "| class | photos | right | in the first five | most often taken for |",
        "|---|---:|---:|---:|---|",
    ]
    for row, label in enumerate(card.labels):
        total = card.counts[row].sum()
        if not total:
            continue
        others = np.where(np.arange(len(card.labels)) == row, 0, card.counts[row])
        worst = [one for one in np.argsort(-others, kind="stable")[:2] if others[one]]
        taken = ", ".join(f"{card.labels[one]} ({others[one]})" for one in worst) or "-"
        right = _percent(card.counts[row, row] / total)
        lines.append(f"| {label} | {total} | {right} | {_percent(card.top5[row])} | {taken} |")
    lines += [
        "",
        (
            "How often an answer of some probability is right, `something else` included; expected"
            f" calibration error {_percent(card.error)} (15 bins):"
        ),
        "",
        "| probability | right | photos |",
        "|---:|---:|---:|",
    ]
    lines += [
        f"| {_percent(said)} | {_percent(true)} | {count} |" for said, true, count in card.bins
    ]
    lines += [
        "",
        (
            f"The same {card.changed} photos of `val`, some of no class, changed before they are"
            " handed over:"
        ),
        "",
        "| change | same answer as before | right |",
        "|---|---:|---:|",
    ]
    lines += [
        f"| {name} | {_percent(kept)} | {_percent(right)} |"
        for name, (kept, right) in card.steady.items()
    ]
    return "\n".join(lines)


def insert(page: Path, measured: str) -> None:
    """Replace what stands between the marks of `page`; where there is no page, begin one."""
    if not page.exists():
        page.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n{measured}\n{END}{after}", encoding="utf-8")
