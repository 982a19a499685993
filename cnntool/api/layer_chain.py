"""Chains of layers on paper: shapes, parameters, multiply-adds and receptive fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnntool.api import arguments
from cnntool.filters.lessons.layer_chain import parse_chain, walk

if TYPE_CHECKING:
    from cnntool.filters.lessons.layer_chain import Chain


def layer_chain(*layers: str) -> Chain:
    """Compute shapes and costs of a chain of layers, none of which has to be there.

    Parameters
    ----------
    *layers : str
        The input's shape, ``"224x224x3"``, and the layers in order, as ``cnntool conv --help`` has
        them; each text may hold several, with spaces between.

    Returns
    -------
    Chain
        ``rows``, the input and each layer: ``name``, ``shape``, ``cost`` (``parameters``,
        ``formula``, ``multiply_adds``), ``fields`` (receptive fields) and more; their sum
        ``total``; in ``notes`` where a stride does not divide and the like. ``records()`` has all
        of it, ready for JSON.

    Raises
    ------
    UsageError
        A word that is not understood, or a layer that cannot follow.

    Examples
    --------
    >>> chain = cnntool.layer_chain("227x227x3", "conv:11,s4,f96 pool:3,s2")
    >>> [row.shape for row in chain.rows], chain.rows[1].cost.formula, chain.total.parameters
    ([(227, 227, 3), (55, 55, 96), (27, 27, 96)], '(11*11*3+1)*96', 34944)
    """
    return walk(*parse_chain([arguments.text("layers", one, "a layer as text") for one in layers]))
