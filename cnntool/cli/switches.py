"""Pooling switches as files: where in its map each pooled value stood."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cnntool.errors import InputError, OutputError
from cnntool.shapes.text import shape_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.image.atomic import Output


class Writer:
    """Begins a file of switches, and completes it when the values themselves are written.

    A context manager: leaving it without `commit` leaves nothing behind.

    Parameters
    ----------
    name : str
        A file that ends in ``.npy``: whole numbers, (H, W), or (C, H, W) for several maps; or in
        ``.csv``: the maps one under another.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        Another suffix, or a file that cannot be written.
    """

    def __init__(self, name: str, *, overwrite: bool) -> None:
        from cnntool.image.atomic import Output

        self._suffix = Path(name).suffix.lower()
        if self._suffix not in {".npy", ".csv"}:
            raise OutputError("switches are written as .npy or .csv", source=name)
        self._output: Output = Output(name, overwrite=overwrite)

    def write(self, switches: NDArray[Any]) -> None:
        """Write switches (H, W, C) of int64. This can be done once."""
        from io import BytesIO

        import numpy as np

        maps = np.ascontiguousarray(np.moveaxis(switches, 2, 0))
        body = BytesIO()
        if self._suffix == ".npy":
            np.save(body, maps[0] if len(maps) == 1 else maps)
        else:
            np.savetxt(body, maps.reshape(-1, maps.shape[2]), fmt="%d", delimiter=",")
        self._output.write(body.getvalue())

    def commit(self) -> None:
        """Complete the file."""
        self._output.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._output.discard()


def read(name: str, shape: tuple[int, int, int], *, max_pixels: int) -> NDArray[Any]:
    """Read the switches of pooled values.

    Parameters
    ----------
    name : str
        A file as `Writer` makes it.
    shape : (H, W, C)
        Of the pooled values.
    max_pixels : int
        See `cnntool.image.files.open_reader`.

    Returns
    -------
    ndarray (H, W, C)

    Raises
    ------
    InputError
        A file that cannot be read, or that holds switches for another shape.
    """
    import numpy as np

    from cnntool.image.files import read_image

    values, info = read_image(
        Path(name),
        name=name,
        max_pixels=max_pixels,
        allow_nan=True,  # NaN is no place
    )
    height, width, channels = shape
    # The reader guesses which axis the maps are on; here they come first.
    stored = np.moveaxis(values, 2, 0) if info.layout == "chw" else values
    if stored.shape not in {(channels, height, width), (channels * height, width, 1)}:
        have = shape_text(stored.shape, "x")
        want = shape_text((channels, height, width), "x")
        raise InputError(
            f"the switches are {have}, the pooled values {want} (maps, rows, columns)", source=name
        )
    return np.moveaxis(stored.reshape(channels, height, width), 0, 2)
