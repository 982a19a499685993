"""The graph as a column: a row for every layer, lanes for what runs beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

ROW, LANE, MARGIN = 28, 14, 10
"""Pixels of a row, between two lanes, and beside the first one."""


class Column(NamedTuple):
    """A graph, laid out.

    Parameters
    ----------
    width, height : int
        Pixels.
    nodes : tuple of (int, int)
        The middle of each node: from the left, from above.
    paths : tuple of str
        The edges as SVG paths.
    """

    width: int
    height: int
    nodes: tuple[tuple[int, int], ...]
    paths: tuple[str, ...]


def column(parents: Sequence[Sequence[int]]) -> Column:
    """Lay a graph out.

    A node's line runs down to the next node that takes it. For all later ones a second line
    branches off, which ends at the last of them.

    Parameters
    ----------
    parents : sequence of sequences of int
        For each node those before it that it takes from, by their places.

    Returns
    -------
    Column
        No line crosses a node that it does not belong to.
    """
    children: list[list[int]] = [[] for _ in parents]
    for node, sources in enumerate(parents):
        for source in sorted(set(sources)):
            children[source].append(node)
    taken: set[int] = set()
    lane: list[int] = []
    branch: dict[int, int] = {}
    for node, sources in enumerate(parents):
        ended = [lane[one] for one in sources if children[one][0] == node]
        ended += [branch[one] for one in sources if one in branch and children[one][-1] == node]
        taken.difference_update(ended)
        lane.append(min(ended) if ended else _free(taken))
        if children[node]:
            taken.add(lane[node])
        if len(children[node]) > 1:
            branch[node] = _free(taken | {lane[node]})
            taken.add(branch[node])
    width = 2 * MARGIN + LANE * max([*lane, *branch.values()], default=0)
    spots = [(MARGIN + LANE * one, ROW * row + ROW // 2) for row, one in enumerate(lane)]
    paths = []
    for node, sources in enumerate(parents):
        for source in sorted(set(sources)):
            first = children[source][0] == node
            own = spots[source][0] if first else MARGIN + LANE * branch[source]
            paths.append(_path(spots[source], own, spots[node]))
    return Column(width, ROW * len(parents), tuple(spots), tuple(paths))


def _free(taken: set[int]) -> int:
    return next(lane for lane in range(len(taken) + 1) if lane not in taken)


def _path(start: tuple[int, int], across: int, end: tuple[int, int]) -> str:
    """Draw an edge: into its lane, down, and out of it."""
    left, line = start
    path = f"M{left} {line}"
    if across != left:
        path += f"C{left} {line + ROW // 2} {across} {line + ROW // 2} {across} {line + ROW}"
    if across == end[0]:
        return f"{path}V{end[1]}"
    above, half = end[1] - ROW, end[1] - ROW // 2
    return f"{path}V{above}C{across} {half} {end[0]} {half} {end[0]} {end[1]}"
