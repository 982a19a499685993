"""The types that the elements of an ONNX tensor can have, and what numpy makes of them.

Source: ``TensorProto`` in https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Element(NamedTuple):
    """A type of elements.

    Parameters
    ----------
    name : str
        numpy's name where it has one.
    bits : int
        Bits of one element; elements of less than 8 share bytes, the first in the low bits.
    field : int
        Number of the field of ``TensorProto`` that holds such elements one by one.
    dtype : str
        How numpy reads the bytes; empty where it cannot.
    """

    name: str
    bits: int
    field: int
    dtype: str


FLOAT_DATA, INT32_DATA, STRING_DATA, INT64_DATA, DOUBLE_DATA, UINT64_DATA = 4, 5, 6, 7, 10, 11

STRING = 8

ELEMENTS: dict[int, Element] = {
    1: Element("float32", 32, FLOAT_DATA, "<f4"),
    2: Element("uint8", 8, INT32_DATA, "u1"),
    3: Element("int8", 8, INT32_DATA, "i1"),
    4: Element("uint16", 16, INT32_DATA, "<u2"),
    5: Element("int16", 16, INT32_DATA, "<i2"),
    6: Element("int32", 32, INT32_DATA, "<i4"),
    7: Element("int64", 64, INT64_DATA, "<i8"),
    STRING: Element("string", 0, STRING_DATA, ""),
    9: Element("bool", 8, INT32_DATA, "?"),
    10: Element("float16", 16, INT32_DATA, "<f2"),
    11: Element("float64", 64, DOUBLE_DATA, "<f8"),
    12: Element("uint32", 32, UINT64_DATA, "<u4"),
    13: Element("uint64", 64, UINT64_DATA, "<u8"),
    14: Element("complex64", 64, FLOAT_DATA, "<c8"),
    15: Element("complex128", 128, DOUBLE_DATA, "<c16"),
    16: Element("bfloat16", 16, INT32_DATA, "<u2"),
    17: Element("float8e4m3fn", 8, INT32_DATA, ""),
    18: Element("float8e4m3fnuz", 8, INT32_DATA, ""),
    19: Element("float8e5m2", 8, INT32_DATA, ""),
    20: Element("float8e5m2fnuz", 8, INT32_DATA, ""),
    21: Element("uint4", 4, INT32_DATA, "u1"),
    22: Element("int4", 4, INT32_DATA, "u1"),
    23: Element("float4e2m1", 4, INT32_DATA, ""),
    24: Element("float8e8m0", 8, INT32_DATA, ""),
    25: Element("uint2", 2, INT32_DATA, "u1"),
    26: Element("int2", 2, INT32_DATA, "u1"),
}
"""Every type by its number in the file."""

NAMES = {element.name: number for number, element in ELEMENTS.items()}
"""The number of every type by its name."""


def stored_bytes(element: Element, count: int) -> int:
    """Bytes that `count` elements take when they are packed."""
    return (count * element.bits + 7) // 8


def decode(element: Element, stored: NDArray[Any], count: int) -> NDArray[Any]:
    """Turn stored numbers into elements.

    Parameters
    ----------
    element : Element
        A type with a dtype.
    stored : NDArray
        The bytes as ``element.dtype``.
    count : int
        Elements wanted.

    Returns
    -------
    NDArray
        One axis of `count` elements: `stored` itself where nothing is to be done, float32 for
        bfloat16, int8 or uint8 for integers of less than 8 bits.
    """
    if element.name == "bfloat16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    if element.bits >= 8:
        return stored
    per_byte = 8 // element.bits
    shifts = np.arange(per_byte, dtype=np.uint8) * element.bits
    mask = np.uint8((1 << element.bits) - 1)
    parts = ((stored[:, None] >> shifts) & mask).ravel()[:count]
    if element.name.startswith("u"):
        return parts
    sign = np.uint8(1 << (element.bits - 1))
    return ((parts ^ sign) - sign).view(np.int8)
