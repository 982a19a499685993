"""Class scores of pictures, in batches, with the next batch prepared while one is computed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from cnntool.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.runtime.session import Session

T = TypeVar("T")


class Scores(NamedTuple):
    """What a network says of one picture.

    Parameters
    ----------
    probabilities : ndarray of shape (classes,) of float64
        0..1, summing to 1 where the network ends in a softmax.
    logits : ndarray of shape (classes,) of float64, or None
        The numbers before the softmax, where they are known.
    seconds : float
        What running the network took, shared by the pictures of a batch.
    """

    probabilities: NDArray[np.float64]
    logits: NDArray[np.float64] | None
    seconds: float


class Prediction(NamedTuple):
    """One class with its scores.

    Parameters
    ----------
    index : int
        Its place among the labels, from 0; -1 for a background class, which has none.
    label : str
        Its name, or its number where no names are known.
    wordnet : str
        Its WordNet id; empty if there is none.
    probability : float
        0..1.
    logit : float or None
        The number before the softmax, where it is known.
    """

    index: int  # type: ignore[assignment]  # a number here, not tuple's method
    label: str
    wordnet: str
    probability: float
    logit: float | None


def stream(
    session: Session,
    plan: InferredSpec,
    pictures: Iterable[tuple[T, NDArray[Any]]],
    *,
    batch: int = 1,
) -> Iterator[tuple[T, Scores]]:
    """Ask a network about pictures, in order and in bounded memory.

    Parameters
    ----------
    session : Session
        It has ``plan.taps`` as its outputs.
    plan : InferredSpec
        What goes in and comes out.
    pictures : iterable of (anything, ndarray)
        Tensors as `preprocess.prepare` makes them, with what they are to be known by.
    batch : int
        How many go in at once; a network with a batch of its own keeps that.

    Raises
    ------
    ModelError
        When the network fails, or its answer is not a score for each class.
    """
    fed = batches(pictures, plan.input.batch or batch, padded=bool(plan.input.batch))
    runs = ((keys, {plan.input.name: feed}) for keys, feed in fed)
    for keys, results in pipelined(session, runs, plan.taps):
        yield from zip(keys, score(results, plan, len(keys), session.seconds), strict=True)


def pipelined(
    session: Session,
    runs: Iterable[tuple[T, Mapping[str, NDArray[Any]]]],
    outputs: Sequence[str],
) -> Iterator[tuple[T, dict[str, NDArray[Any]]]]:
    """Run a network again and again, with as many runs waiting as are computed at once.

    Parameters
    ----------
    session : Session
        It has these outputs.
    runs : iterable of (anything, mapping of str to ndarray)
        What goes in, with what it is to be known by.
    outputs : sequence of str
        What to compute.

    Yields
    ------
    (anything, dict of str to ndarray)
        The outputs, in the order of the runs; ``session.seconds`` tells how long each took.
    """
    waiting: deque[T] = deque()

    def collected() -> tuple[T, dict[str, NDArray[Any]]]:
        return waiting.popleft(), dict(zip(outputs, session.collect(), strict=True))

    for key, feeds in runs:
        session.submit(feeds, outputs)
        waiting.append(key)
        if len(waiting) == 2 * session.lanes:
            yield collected()
    while waiting:
        yield collected()


def batches(
    pictures: Iterable[tuple[T, NDArray[Any]]], size: int, *, padded: bool
) -> Iterator[tuple[list[T], NDArray[Any]]]:
    """Collect pictures of one shape; a graph of fixed batch gets the last one again to fill up."""
    keys: list[T] = []
    tensors: list[NDArray[Any]] = []

    def flush() -> tuple[list[T], NDArray[Any]]:
        filled = tensors + [tensors[-1]] * (size - len(tensors) if padded else 0)
        whole = keys.copy(), np.stack(filled)
        keys.clear()
        tensors.clear()
        return whole

    for key, tensor in pictures:
        if tensors and tensor.shape != tensors[0].shape:
            yield flush()
        keys.append(key)
        tensors.append(tensor)
        if len(keys) == size:
            yield flush()
    if keys:
        yield flush()


def score(
    results: Mapping[str, NDArray[Any]], plan: InferredSpec, pictures: int, seconds: float
) -> list[Scores]:
    """Turn a network's answer into class scores.

    Parameters
    ----------
    results : mapping of str to ndarray
        The tensors ``plan.taps``, pictures first.
    plan : InferredSpec
        What they mean.
    pictures : int
        How many they are of; what fills up a batch comes behind them.
    seconds : float
        That the run took.

    Raises
    ------
    ModelError
        When the answer is not a score for each class.
    """
    values = _table(results[plan.output.name or ""], pictures, plan)
    scale, zero = plan.quantised
    values = (values - zero) * scale
    apart = plan.output.logits
    logits = _table(results[apart], pictures, plan) if apart else None
    if plan.output.kind == "logits" and not _are_shares(values, plan):
        if plan.guessed and values.shape[1] == 1:
            raise ModelError(
                "its answer is one number, no class scores", source=plan.name, hint=plan.numbers
            )
        values, logits = softmax(values), values
    each = seconds / pictures
    return [
        Scores(values[row], None if logits is None else logits[row], each)
        for row in range(pictures)
    ]


def _table(values: NDArray[Any], pictures: int, plan: InferredSpec) -> NDArray[np.float64]:
    """Return (pictures, classes), whatever axes of length 1 the network leaves or leaves out."""
    fed = plan.input.batch or pictures
    if fed == 1 and values.ndim == 1:
        values = values[None]
    if not values.size:
        raise ModelError("its answer is empty", source=plan.name)
    is_map = sum(length > 1 for length in values.shape[1:]) > 1
    if values.dtype.kind not in "fiu" or values.ndim < 2 or is_map or len(values) != fed:
        raise ModelError(
            "its answer is not a score for each class", source=plan.name, hint=plan.numbers
        )
    table = values[:pictures].reshape(pictures, -1).astype(np.float64)
    expected = plan.labels.classes + plan.output.background if plan.labels else table.shape[1]
    if table.shape[1] != expected:
        raise ModelError(
            f"it answers with {table.shape[1]:,} scores, and {expected:,} classes have names",
            source=plan.name,
            hint="`labels=FILE` gives the names of its classes",
        )
    return table


def _are_shares(values: NDArray[np.float64], plan: InferredSpec) -> bool:
    """Tell whether a graph that nothing is known of gives probabilities all the same."""
    return bool(
        plan.guessed
        and values.shape[1] > 1
        and (values >= 0).all()
        and np.allclose(values.sum(axis=1), 1, atol=1e-2)
    )


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn logits (n, classes) into probabilities: ``exp(x) / sum(exp(x))`` of every row."""
    with np.errstate(invalid="ignore"):  # of infinity: NaN
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def check(scores: Scores, plan: InferredSpec, whence: Callable[[], str] = str) -> None:
    """Refuse scores that cannot be ranked.

    Parameters
    ----------
    scores : Scores
        Of one picture.
    plan : InferredSpec
        Knows the network's name.
    whence : callable
        Is asked where bad ones come from, see `cnntool.nets.network.Network.whence`.

    Raises
    ------
    ModelError
        When some are NaN or infinite.
    """
    good = np.isfinite(scores.probabilities)
    if not good.all():
        bad = int(good.size - good.sum())
        raise ModelError(
            f"{bad:,} of its {good.size:,} scores are NaN or infinite{whence()}", source=plan.name
        )


def top(scores: Scores, plan: InferredSpec, count: int) -> list[Prediction]:
    """Return the likeliest classes, the likeliest first; of equal ones the lower index.

    Parameters
    ----------
    scores : Scores
        Of one picture.
    plan : InferredSpec
        Knows the names.
    count : int
        How many; fewer where there are fewer classes.
    """
    best = np.argsort(-scores.probabilities, kind="stable")[:count]
    return [_predict(scores, plan, int(place)) for place in best]


def _predict(scores: Scores, plan: InferredSpec, place: int) -> Prediction:
    number = place - plan.output.background
    label, wordnet = name_of(plan, number)
    logit = None if scores.logits is None else float(scores.logits[place])
    return Prediction(number, label, wordnet, float(scores.probabilities[place]), logit)


def name_of(plan: InferredSpec, number: int) -> tuple[str, str]:
    """Return a class's label and WordNet id, see `Prediction`."""
    if number < 0:
        return "background", ""
    if plan.labels is None:
        return str(number), ""
    return plan.labels.names[number], plan.labels.wordnet[number]
