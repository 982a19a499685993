"""Records that show themselves as a table in a notebook."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

R = TypeVar("R", bound=NamedTuple)


class Records(tuple[R, ...]):
    """A tuple of records, of one class of named tuples each.

    Examples
    --------
    >>> from typing import NamedTuple
    >>> class Point(NamedTuple):
    ...     x: int
    ...     y: float
    >>> points = Records([Point(1, 0.5)])
    >>> points[0].y
    0.5
    >>> points._repr_html_()
    '<table><tr><th>x</th><th>y</th></tr><tr><td>1</td><td>0.5</td></tr></table>'
    """

    __slots__ = ()

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in self[0]._fields) if self else ""
        rows = [head, *("".join(f"<td>{_cell(value)}</td>" for value in row) for row in self)]
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if hasattr(value, "shape"):
        value = value.shape
    if isinstance(value, tuple):
        return " x ".join(map(_cell, value))
    from html import escape

    return escape(str(value))
