"""Which node makes what for whom, and an order in which they can run."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .nodes import Body, Node
    from .wire import Wire


def put_in_order(wire: Wire, body: Body) -> tuple[Node, ...]:
    """Check that the graph hangs together, and sort its nodes where the file has not.

    Parameters
    ----------
    wire : Wire
        The file, for errors.
    body : Body
        The graph.

    Returns
    -------
    tuple of Node
        Every node after those whose results it uses, else in the order of the file.

    Raises
    ------
    ModelError
        When a tensor is made twice or never, when nodes wait for each other, or when there
        is no output.
    """
    made = _producers(wire, body)
    given = body.inputs.keys() | body.weights.keys()
    for node in body.nodes:
        for tensor in needs(node):
            if tensor not in made and tensor not in given:
                raise wire.error(f"node {node.label} needs {tensor!r}, which nothing makes")
    for tensor in body.outputs:
        if tensor not in made and tensor not in given:
            raise wire.error(f"its output {tensor!r} is made by nothing")
    if not body.outputs:
        raise wire.error("the network has no output")
    nodes = _sorted(wire, body, made)
    for index, node in enumerate(nodes):
        node.index = index
    return nodes


def needs(node: Node) -> list[str]:
    """List the tensors that a node uses, itself or in the bodies of If, Loop and Scan."""
    return [tensor for tensor in (*node.inputs, *sorted(node.captures)) if tensor]


def link(
    nodes: Iterable[Node],
) -> tuple[dict[str, Node], dict[str, tuple[Node, ...]]]:
    """Index nodes by the tensors that they make, and by those that they use."""
    producer_of = {tensor: node for node in nodes for tensor in node.outputs if tensor}
    consumers: dict[str, list[Node]] = {}
    for node in nodes:
        for tensor in dict.fromkeys(needs(node)):
            consumers.setdefault(tensor, []).append(node)
    return producer_of, {tensor: tuple(users) for tensor, users in consumers.items()}


def _producers(wire: Wire, body: Body) -> dict[str, Node]:
    made: dict[str, Node] = {}
    for node in body.nodes:
        for tensor in filter(None, node.outputs):
            weight = body.weights.get(tensor)
            given = weight is not None and not node.states(weight)
            if given or tensor in made or tensor in body.inputs:
                raise wire.error(f"damaged: tensor {tensor!r} is made twice")
            made[tensor] = node
    return made


def _sorted(wire: Wire, body: Body, made: dict[str, Node]) -> tuple[Node, ...]:
    """Sort stably: of the nodes that could be next, the first of the file is (Kahn, 1962)."""
    waiting: dict[int, int] = {}
    users: dict[int, list[Node]] = {}
    for node in body.nodes:
        before = {made[tensor].index for tensor in needs(node) if tensor in made}
        waiting[node.index] = len(before)
        for index in before:
            users.setdefault(index, []).append(node)
    ready = [index for index, count in waiting.items() if not count]
    order = []
    while ready:
        node = body.nodes[heapq.heappop(ready)]
        order.append(node)
        for user in users.get(node.index, ()):
            waiting[user.index] -= 1
            if not waiting[user.index]:
                heapq.heappush(ready, user.index)
    if len(order) < len(body.nodes):
        stuck = next(node for node in body.nodes if waiting[node.index])
        raise wire.error(f"the graph is cyclic: node {stuck.label} waits for its own result")
    return tuple(order)
