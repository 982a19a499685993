"""The graph as a column: lanes for what runs beside it."""

from __future__ import annotations

import re

from cnntool.views.page.graph import LANE, MARGIN, ROW, column


def lanes(parents):
    return [(x - MARGIN) // LANE for x, _ in column(parents).nodes]


def test_a_chain_is_one_line():
    found = column([[], [0], [1]])
    assert found.nodes == ((10, 14), (10, 42), (10, 70))
    assert found.paths == ("M10 14V42", "M10 42V70")
    assert (found.width, found.height) == (20, 3 * ROW)


def test_a_residual_runs_beside_what_it_skips():
    found = column([[], [0], [1], [0, 2]])
    assert lanes([[], [0], [1], [0, 2]]) == [0, 0, 0, 0]
    assert found.width == 20 + LANE
    (skip,) = [path for path in found.paths if "C" in path]
    assert skip == "M10 14C10 28 24 28 24 42V70C24 84 10 84 10 98"


def test_branches_have_lanes_of_their_own():
    # An inception block: four branches of one node, joined by a last one.
    assert lanes([[], [0], [0], [0], [1, 2, 3]]) == [0, 0, 2, 1, 0]


def test_no_line_runs_through_a_node_of_another():
    parents = [[], [0], [0], [1, 2], [0, 3], [], [4, 5], [3, 6]]
    found = column(parents)
    runs = [re.search(r"(\d+) (\d+)V(\d+)", path) for path in found.paths]
    for across, above, below in (map(int, run.groups()) for run in runs):
        assert not [y for x, y in found.nodes if x == across and above < y < below]
    assert len(runs) == 10


def test_nothing_to_lay_out():
    assert column([]).paths == ()
