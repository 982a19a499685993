"""Evaluation: accuracy on pictures whose classes are known: top-1, top-5, per class, confusion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.errors import InputError, ModelError, UsageError, system_errors_as
from cnntool.image.files import Item, expand, is_folder
from cnntool.shapes.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from cnntool.nets.inference.classify import Scores
    from cnntool.nets.inference.infer_spec import InferredSpec


class Share(NamedTuple):
    """How many of some pictures were right.

    Parameters
    ----------
    pictures : int
        How many were looked at.
    top1, top5 : int
        Of how many the true class came first, or among the first five.
    """

    pictures: int
    top1: int
    top5: int

    @property
    def accuracy1(self) -> float:
        """Top-1 accuracy, 0..1; NaN of no pictures. The top-1 error is one minus this."""
        return self.top1 / self.pictures if self.pictures else float("nan")

    @property
    def accuracy5(self) -> float:
        """Top-5 accuracy, 0..1; NaN of no pictures. The top-5 error is one minus this."""
        return self.top5 / self.pictures if self.pictures else float("nan")

    def record(self) -> dict[str, Any]:
        """Return the figures, ready for JSON."""
        top1, top5 = self.accuracy1, self.accuracy5
        errors = {"top1_error": 1 - top1, "top5_error": 1 - top5}
        return {"pictures": self.pictures, "top1": top1, "top5": top5, **errors}


class Rest(NamedTuple):
    """How well a network knows what it does not know: shares, 0..1; NaN of no pictures.

    Parameters
    ----------
    found : float
        Pictures of no class that were answered so.
    mistaken : float
        Pictures of the other classes that were answered so, too.
    area : float
        Under the ROC curve: how often a picture of no class is given a higher probability of being
        one than a picture of a class; 0.5 is chance.
    """

    found: float
    mistaken: float
    area: float


class Answer(NamedTuple):
    """What counts of a network's answer to one picture.

    Attributes
    ----------
    truth, best : int
        The indices of the picture's class and of the one that was answered.
    rank : int
        How many classes came before the true one.
    rest : float or None
        The probability of the class that stands for none of the others, if there is one.
    classes : int
        How many the network tells apart.
    """

    truth: int
    best: int
    rank: int
    rest: float | None
    classes: int


class Tally:
    """Counts right and wrong answers.

    Parameters
    ----------
    classes : int
        How many classes the network tells apart.
    rest : int or None
        The class that stands for none of the others, if there is one.

    Attributes
    ----------
    confusion : ndarray of shape (classes, classes) of int64
        How many pictures of a class (row) were taken for a class (column).
    """

    def __init__(self, classes: int, rest: int | None = None) -> None:
        self._rest = rest
        self._of_rest: list[float] = []
        self._of_known: list[float] = []
        self.confusion: NDArray[np.int64] = np.zeros((classes, classes), np.int64)
        self._top5: NDArray[np.int64] = np.zeros(classes, np.int64)

    def add(self, truth: int, scores: NDArray[np.floating]) -> bool:
        """Count one picture; return whether it was right."""
        answer = self.compared(truth, scores)
        self.count(answer)
        return answer.best == truth

    def compared(self, truth: int, scores: NDArray[np.floating]) -> Answer:
        """Compare one answer with the truth.

        Parameters
        ----------
        truth : int
            The index of its class.
        scores : ndarray of shape (classes,)
            Probabilities or logits; of equal ones the lower index comes first.

        """
        own = scores[truth]
        rank = int((scores > own).sum() + (scores[:truth] == own).sum())
        rest = None if self._rest is None else float(scores[self._rest])
        return Answer(truth, int(np.argmax(scores)), rank, rest, len(scores))

    def count(self, answer: Answer) -> None:
        """Count one picture by its answer."""
        self.confusion[answer.truth, answer.best] += 1
        self._top5[answer.truth] += answer.rank < 5
        if answer.rest is not None:
            kind = self._of_rest if answer.truth == self._rest else self._of_known
            kind.append(answer.rest)

    @property
    def total(self) -> Share:
        """All pictures."""
        right = int(self.confusion.trace())
        return Share(int(self.confusion.sum()), right, int(self._top5.sum()))

    def of(self, label: int) -> Share:
        """Return the share of one class."""
        row = self.confusion[label]
        return Share(int(row.sum()), int(row[label]), int(self._top5[label]))

    @property
    def mean(self) -> tuple[float, float]:
        """Top-1 and top-5 accuracy as the mean over the classes, without that of the rest."""
        shares = [self.of(label) for label in self.present if label != self._rest]
        shares = [share for share in shares if share.pictures]
        if not shares:
            return float("nan"), float("nan")
        return (
            sum(share.accuracy1 for share in shares) / len(shares),
            sum(share.accuracy5 for share in shares) / len(shares),
        )

    @property
    def rest(self) -> Rest | None:
        """What became of the rest, if there is a class of it."""
        if self._rest is None:
            return None
        answered = self.confusion[:, self._rest]
        known = np.arange(len(self.confusion)) != self._rest
        pictures = int(self.confusion[known].sum())
        wrong = int(answered[known].sum())
        return Rest(
            self.of(self._rest).accuracy1,
            wrong / pictures if pictures else float("nan"),
            _roc_area(self._of_rest, self._of_known),
        )

    @property
    def present(self) -> list[int]:
        """Return the classes that pictures were of, or were taken for, in order."""
        seen = self.confusion.sum(0) + self.confusion.sum(1)
        return [int(index) for index in np.flatnonzero(seen)]


def _roc_area(positive: list[float], negative: list[float]) -> float:
    """Return how often one of the first is above one of the second; ties count half."""
    if not positive or not negative:
        return float("nan")
    ordered = np.sort(negative)
    lower = np.searchsorted(ordered, positive, "left")
    not_higher = np.searchsorted(ordered, positive, "right")
    return float((lower + not_higher).mean() / 2 / len(ordered))


HEADINGS = {"path", "file", "filename", "image", "picture", "photo", "name"}
"""First cells by which the heading of a table is told from its first picture."""

LARGEST = 64 << 20
"""Bytes of the largest table that is read: about a million pictures."""


class Evaluation(NamedTuple):
    """How often a network is right. Shares are 0..1; NaN of no pictures.

    Attributes
    ----------
    total : Share
        All pictures.
    classes : tuple of (str, Share)
        The classes that pictures were of, by their labels, in order.
    class_mean : (float, float)
        Top-1 and top-5 accuracy as the mean over the classes, without "something else".
    rest : Rest or None
        What became of the pictures of "something else", where the network has that class.
    confusion : ndarray of shape (n, n) of int64
        How many pictures of a class (row) were taken for a class (column).
    labels : tuple of str
        Of its rows and columns: the classes that pictures were of, or were taken for.
    """

    total: Share
    classes: tuple[tuple[str, Share], ...]
    class_mean: tuple[float, float]
    rest: Rest | None
    confusion: NDArray[Any]
    labels: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """Return all figures but the confusion matrix, ready for JSON."""
        return {
            **self.total.record(),
            "class_mean": dict(zip(("top1", "top5"), self.class_mean, strict=True)),
            "rest": self.rest and self.rest._asdict(),
            "classes": [{"label": label, **share.record()} for label, share in self.classes],
        }


class Judge:
    """Compares a network's answers with the truth, picture by picture.

    Parameters
    ----------
    plan : InferredSpec
        Knows the classes.
    truths : mapping of Item to int
        See `read_truths`.
    source : str
        What errors call the truths.
    """

    def __init__(self, plan: InferredSpec, truths: Mapping[Item, int], source: str) -> None:
        self._plan, self._truths, self._source = plan, truths, source
        self._tally: Tally | None = None

    def add(self, item: Item, scores: Scores) -> Answer:
        """Count an answer; return what was counted of it.

        Raises
        ------
        ModelError
            A class that the network does not have.
        """
        truth, values = self._truths[item] + self._plan.output.background, scores.probabilities
        answer = self._tally_of(len(values)).compared(truth, values)
        self.count(answer)
        return answer

    def count(self, answer: Answer) -> None:
        """Count an answer that `add` returned, now or in another run."""
        self._tally_of(answer.classes).count(answer)

    def _tally_of(self, classes: int) -> Tally:
        if self._tally is None:  # without labels, the first answer tells how many classes are
            background, highest = self._plan.output.background, max(self._truths.values())
            if highest + background >= classes:
                raise ModelError(
                    f"there is no class {highest}: the network tells {classes} apart, from 0",
                    source=self._source,
                )
            rest = self._plan.labels.rest if self._plan.labels else None
            self._tally = Tally(classes, None if rest is None else rest + background)
        return self._tally

    def evaluation(self) -> Evaluation | None:
        """Return all figures; None if there was no answer."""
        from cnntool.nets.inference.classify import name_of

        tally = self._tally
        if tally is None:
            return None
        places = tally.present
        background = self._plan.output.background
        labels = tuple(name_of(self._plan, place - background)[0] for place in places)
        shares = zip(labels, map(tally.of, places), strict=True)
        return Evaluation(
            tally.total,
            tuple((label, share) for label, share in shares if share.pictures),
            tally.mean,
            tally.rest,
            tally.confusion[places][:, places],
            labels,
        )


def evaluate(
    plan: InferredSpec,
    truths: Mapping[Item, int],
    answers: Iterable[tuple[Item, Scores]],
    source: str,
) -> Evaluation | None:
    """Compare a network's answers with the truth.

    Parameters
    ----------
    plan, truths, source
        See `Judge`.
    answers : iterable of (Item, Scores)
        For pictures among them.

    Returns
    -------
    Evaluation or None
        None if there was no answer.

    Raises
    ------
    ModelError
        A class that the network does not have.
    """
    judge = Judge(plan, truths, source)
    for item, scores in answers:
        judge.add(item, scores)
    return judge.evaluation()


class Truths(Mapping[Item, int]):
    """Pictures with the indices of their classes, in order.

    There may be many: names are kept, items are made when they are asked for.
    """

    def __init__(self) -> None:
        self._classes: dict[str, int] = {}
        self._faults: dict[str, Item] = {}

    def add(self, item: Item, truth: int) -> bool:
        """Add a picture; tell whether it has no other class already."""
        if item.error is not None:
            self._faults[item.name] = item
        return self._classes.setdefault(item.name, truth) == truth

    def __getitem__(self, item: Item) -> int:
        return self._classes[item.name]

    def __iter__(self) -> Iterator[Item]:
        for name in self._classes:
            path = Path(name)
            yield self._faults.get(name) or Item(path, name, Path(path.name))

    def __len__(self) -> int:
        return len(self._classes)


def drawn(truths: Truths, count: int) -> Truths:
    """Draw some of the pictures at random: of each class as many, as far as they go.

    The same pictures give the same draw.

    Parameters
    ----------
    truths : mapping of Item to int
        See `read_truths`.
    count : int
        How many.
    """
    order = np.random.default_rng(0).permutation(len(truths))
    taken: dict[int, int] = {}
    turns = []  # of each picture, how many of its class were drawn before
    classes = list(truths.values())
    for place in order.tolist():
        turn = taken[classes[place]] = taken.get(classes[place], -1) + 1
        turns.append((turn, place))
    chosen = {place for _, place in sorted(turns, key=lambda one: one[0])[:count]}
    found = Truths()
    for place, (item, truth) in enumerate(truths.items()):
        if place in chosen:
            found.add(item, truth)
    return found


def read_truths(photos: Path, plan: InferredSpec) -> Truths:
    """Return every picture with the index of its class.

    Parameters
    ----------
    photos : Path
        A folder of folders, each named as a class, or a CSV of pictures and classes; its paths are
        relative to it, and its first row may be a heading.
    plan : InferredSpec
        Knows the classes.

    Raises
    ------
    InputError
        It cannot be read, or names no picture.
    ModelError
        A class that the network does not have.
    UsageError
        A picture of two classes.
    """
    classes: dict[str, int] = {}
    truths = Truths()
    for item, text, source in _folders(photos) if is_folder(photos) else _table(photos):
        if text not in classes:
            classes[text] = class_index(text, plan, source)
        if not truths.add(item, classes[text]):
            raise UsageError(f"{item.name} is named twice, with different classes", source=source)
    return truths


def class_index(text: str, plan: InferredSpec, source: str) -> int:
    """Return the class that a text means: its label, its index or its WordNet id.

    Raises
    ------
    ModelError
        None, with the nearest names; or several.
    """
    if plan.labels is None:
        if text.isdecimal() and len(text) < 9:
            return int(text)
        raise ModelError(
            f"nothing tells which class {text!r} is", source=source, hint="give `labels=FILE`"
        )
    try:
        return plan.labels.find(text)
    except ModelError as error:
        raise ModelError(error.message, source=source, hint=error.hint) from None


def _folders(photos: Path) -> Iterator[tuple[Item, str, str]]:
    with system_errors_as(InputError, photos):
        inside = sorted(photos.iterdir())
    folders = [path for path in inside if is_folder(path) and not path.name.startswith(".")]
    if not folders:
        raise InputError(
            "no folders in it", source=str(photos), hint="each class has a folder of its name"
        )
    for folder in folders:
        for item in expand([folder], recursive=True, matrices=False):
            yield item, folder.name, str(folder)


def _table(photos: Path) -> Iterator[tuple[Item, str, str]]:
    import csv
    import io

    rows: list[list[str]] = []
    try:
        for row in filter(None, csv.reader(io.StringIO(_text(photos), newline=""))):
            if len(row) != 2:
                cells = f"row {len(rows) + 1} has {counted(len(row), 'cell')}"
                raise InputError(f"{cells}; a picture and its class are wanted", source=str(photos))
            rows.append(row)
    except csv.Error as error:
        raise InputError(str(error).lower(), source=str(photos)) from None
    if rows and rows[0][0].strip().lower() in HEADINGS:
        del rows[0]
    if not rows:
        raise InputError("no pictures are named in it", source=str(photos))
    for row in rows:
        path = photos.parent / row[0].strip()
        yield Item(path, str(path), Path(path.name)), row[1].strip(), str(photos)


def _text(path: Path) -> str:
    with system_errors_as(InputError, path), path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise InputError(f"is larger than {LARGEST >> 20} MB", source=str(path))
    if b"\0" in content[:512]:
        raise InputError("this is no table of pictures and their classes", source=str(path))
    return content.decode("utf-8-sig", errors="surrogateescape")
