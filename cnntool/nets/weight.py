"""Weights: constant tensors, whose numbers stay in their file until they are read."""

from __future__ import annotations

import math
import mmap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .elements import ELEMENTS, NAMES, decode
from .typed import gather, gather_texts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cnntool.errors import ModelError

    from .wire import Wire


class Weight(NamedTuple):
    """A constant tensor of a network. Its numbers stay in the file until `read`.

    Parameters
    ----------
    name : str
        The tensor.
    dtype : str
        Type of its elements, see `cnntool.nets.elements.ELEMENTS`.
    shape : tuple of int
        Length of every axis.
    file : Path
        The file that holds its numbers.
    offset : int or None
        Where in the file they begin, packed and little-endian. None when they are spelt in
        another way.
    nbytes : int
        Bytes that they take when packed (of strings: of their text).
    wire : Wire
        The model.
    start, stop : int
        Where in the model the message lies that describes it.
    values : NDArray, optional
        The numbers themselves, where a Constant node states them without a tensor.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int | None
    nbytes: int
    wire: Wire
    start: int
    stop: int
    values: NDArray[Any] | None = None

    def read(self) -> NDArray[Any]:
        """Read the numbers.

        Returns
        -------
        NDArray
            `shape`; read-only and memory-mapped where the file has the numbers as numpy wants
            them. bfloat16 becomes float32, int4 and int2 become int8, uint4 and uint2 uint8,
            strings objects of type str.

        Raises
        ------
        ModelError
            When numpy has no such type (float8, float4), or the file is damaged or has changed.
        """
        if self.values is not None:
            return self.values
        element = ELEMENTS[NAMES[self.dtype]]
        count = math.prod(self.shape)
        place = self.wire, self.start, self.stop, element, count
        if self.dtype == "string":
            return gather_texts(*place).reshape(self.shape)
        if not element.dtype:
            raise self.wire.error(f"weight {self.name!r} has type {self.dtype}, which is not read")
        stored = gather(*place) if self.offset is None else self._flat(np.dtype(element.dtype))
        return decode(element, stored, count).reshape(self.shape)

    def stored(self) -> bytes:
        """Read the bytes of numbers that lie in a row, or are stated by a Constant node."""
        if self.values is not None:
            return self.values.tobytes()
        return self._flat(np.dtype(np.uint8)).tobytes()

    def _flat(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Map numbers that lie in a row."""
        if not self.nbytes:
            return np.empty(0, dtype)
        try:
            count = self.nbytes // dtype.itemsize
            return np.frombuffer(self._bytes(), dtype, count, self.offset or 0)
        except ValueError as error:
            raise self._changed() from error

    def _bytes(self) -> mmap.mmap:
        """Map the file that holds the numbers."""
        if self.file == self.wire.file:
            return self.wire.data
        try:
            with self.file.open("rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise self._changed() from error

    def _changed(self) -> ModelError:
        return self.wire.error(f"weight {self.name!r}: the file {self.file.name!r} has changed")
