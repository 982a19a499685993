"""Strips of rows through a pipeline, on several threads, in order and in bounded memory."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cnntool.filters.pipeline import Window
from cnntool.threads import apart, ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from cnntool.filters.pipeline import Pipeline

    Rows = Callable[[int, int], NDArray[Any]] | Iterable[NDArray[Any]]

R = TypeVar("R")

_VALUES_AT_ONCE = 1 << 26
"""Numbers in the windows of all threads together: very wide rows are worked on one by one."""


def run(
    pipeline: Pipeline, source: Rows, work: Callable[[Window], R], *, threads: int
) -> Iterator[R]:
    """Cut an input into windows and work on them, each on some thread, in order.

    Parameters
    ----------
    pipeline : Pipeline
        What is to be computed.
    source : callable or iterable
        Given lo and hi, returns rows [lo, hi) of the input (n, W, C [+ 1]), in any order and on any
        thread; or yields successive strips of it.
    work : callable
        Given the window for ``pipeline.strip_rows`` rows of the result, fewer at the end; what it
        returns is yielded. It calls ``pipeline.rows``.
    threads : int
        How many windows are worked on at once, fewer if they are very large. The results do not
        depend on it.
    """
    if not pipeline.streams:
        work = apart(work)
    height, rows = pipeline.out_shape[0], pipeline.strip_rows
    values = rows * pipeline.source.width * max(pipeline.source.channels, pipeline.out_shape[2])
    threads = max(1, min(threads, _VALUES_AT_ONCE // max(values, 1)))
    spans = [(start, min(start + rows, height)) for start in range(0, height, rows)]
    if not callable(source):
        yield from ordered_map(work, _windows(pipeline, spans, source), threads)
        return

    def fetch(span: tuple[int, int]) -> R:
        lo, hi = pipeline.needs(*span)
        return work(Window(source(lo, hi), lo, *span))

    yield from ordered_map(fetch, spans, threads)


def _windows(
    pipeline: Pipeline, spans: list[tuple[int, int]], strips: Iterable[NDArray[Any]]
) -> Iterator[Window]:
    """Collect successive strips of the input into the windows that spans of the result need."""
    needs = [pipeline.needs(*span) for span in spans]
    # A border may send a later strip back to earlier rows: keep all that is still to be asked for.
    keep = np.minimum.accumulate([lo for lo, _ in needs][::-1])[::-1].tolist()
    picture, source = pipeline.source, iter(strips)
    later = [*keep[1:], picture.height]
    samples = picture.channels + picture.alpha
    held: deque[tuple[int, NDArray[Any]]] = deque()
    end = 0
    for (start, stop), (lo, hi), oldest in zip(spans, needs, later, strict=True):
        pixels = np.empty((hi - lo, picture.width, samples), picture.dtype)
        # A strip is let go as soon as it has been copied, unless it is needed again.
        waiting, held = held, deque()
        while waiting or end < hi:
            first, strip = waiting.popleft() if waiting else (end, next(source))
            bottom = first + len(strip)
            end = max(end, bottom)
            pixels[max(first - lo, 0) : max(bottom - lo, 0)] = strip[
                max(lo - first, 0) : max(hi - first, 0)
            ]
            if bottom > oldest:
                held.append((first, strip))
            del strip
        yield Window(pixels, lo, start, stop)
