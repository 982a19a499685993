"""Features: what a layer makes of pictures, a vector each, for whatever learns from them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.api import arguments
from cnntool.api.activations import LayerOutputs, choose_last, choose_layer
from cnntool.api.feature_files import Row, check_length, form_of, open_table
from cnntool.errors import CnntoolError, InputError, ModelError, system_errors_as
from cnntool.image.addresses import Address
from cnntool.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from cnntool.image.files import Item
    from cnntool.nets.inference.layer_outputs import T
    from cnntool.nets.network import Network

POOLS = ("mean", "max", "none")
"""What becomes of the places of a map."""


class FeatureExtractor:
    """Computes a vector for one picture after another.

    Parameters
    ----------
    model : Network
        The network.
    layer : str, optional
        A name; by default what the last layer with weights gets: in a classifier, what its classes
        are told by.
    pool : {'mean', 'max', 'none'}
        What becomes of the places of a map, or of a transformer's tokens: one number of each map,
        or channel, or all of them, map after map.

    Attributes
    ----------
    chosen : ChosenLayer
        The layer.

    Raises
    ------
    ModelError
        There is no such layer, or the name means several.
    """

    def __init__(self, model: Network, layer: str | None, pool: str) -> None:
        self._model, self._pool = model, pool
        self.chosen = choose_last(model) if layer is None else choose_layer(model, layer)
        self._outputs = LayerOutputs(model, [self.chosen])
        self._along_last = False
        if pool != "none":
            from cnntool.nets.inference.ablation import is_along_last

            self._along_last = is_along_last(model.read_layers().flow, self.chosen.tensor)

    def about(self) -> dict[str, str]:
        """Return what files of vectors say of where these come from."""
        found = self._model.found
        return {
            "cnntool": __version__,
            "model": found.spec.name if found.spec else found.file.name,
            "sha256": self._model.sha256,
            "layer": self.chosen.title,
            "tensor": self.chosen.tensor,
            "pool": self._pool,
        }

    def stream(
        self, pictures: Iterable[tuple[T, NDArray[Any]]], *, many: bool
    ) -> Iterator[tuple[T, NDArray[np.float32] | ModelError]]:
        """Compute the vectors of pictures, in order and in bounded memory.

        Parameters
        ----------
        pictures : iterable of (anything, ndarray)
            Tensors as `cnntool.nets.inference.preprocess.prepare` makes them, with what they are to
            be known by.
        many : bool
            Whether there may be more than one.

        Yields
        ------
        (anything, ndarray of float32 or ModelError)
            The vector, or that it has NaN or infinity.

        Raises
        ------
        ModelError
            The network fails.
        """
        fed = (((key, tensor), tensor) for key, tensor in pictures)
        for (key, tensor), made in self._outputs.stream(fed, many=many):
            ((_, raw),) = made
            vector = self._vector(raw, tensor.shape)
            bad = vector.size - int(np.isfinite(vector).sum())
            if bad:
                whence = self._model.whence(self._outputs.plan, tensor)
                reason = f"{bad:,} of its {vector.size:,} values are NaN or infinite{whence}"
                yield key, ModelError(reason, source=self._model.name)
            else:
                yield key, vector

    def _vector(self, raw: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
        from cnntool.nets.inference.ablation import maps_axis
        from cnntool.nets.inference.layer_outputs import dequantised, shown

        graph, tensor = self._model.graph, self.chosen.tensor
        field = self._outputs.fields(shape).get(tensor)
        if self._pool == "none" or raw.ndim < 2:
            return shown(graph, tensor, raw, field).values.reshape(-1).astype(np.float32)
        values = dequantised(graph, tensor, raw)[0]
        axis = maps_axis(raw.ndim + 1, field, last=self._along_last) - 1
        maps = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
        if not maps.shape[1]:
            return np.full(len(maps), np.nan, np.float32)
        pooled = maps.max(axis=1) if self._pool == "max" else maps.mean(axis=1, dtype=np.float64)
        return np.asarray(pooled, np.float32)


def row_of(item: Item, vector: NDArray[np.float32] | ModelError) -> Row:
    """Return a picture's vector with what is known of the picture.

    Raises
    ------
    ModelError
        There is no vector.
    InputError
        Its file cannot be read.
    """
    import hashlib

    if isinstance(vector, ModelError):
        vector.source = f"{item.name}: {vector.source}"
        raise vector
    name = os.fsencode(item.name).decode(errors="backslashreplace")
    label = os.fsencode(item.relative.parent.name).decode(errors="backslashreplace")
    if item.path is None or isinstance(item.path, Address):
        return Row(name, label, "", vector)
    with system_errors_as(InputError, item.name), item.path.open("rb") as file:
        return Row(name, label, hashlib.file_digest(file, "sha256").hexdigest(), vector)


class Features(NamedTuple):
    """Vectors of pictures.

    Attributes
    ----------
    vectors : ndarray of float32, shape (N, n)
        A row for each picture.
    paths, labels, sha256 : tuple of str
        The pictures; the folders that they lie in, empty without one; and what their files hash to.
    about : dict of str to str
        Where they come from: ``model``, its ``sha256``, ``layer``, ``tensor``, ``pool`` and the
        version of ``cnntool``.
    errors : tuple of CnntoolError
        Of each picture that was left out, what is wrong with it.
    """

    vectors: NDArray[np.float32]
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    sha256: tuple[str, ...]
    about: dict[str, str]
    errors: tuple[CnntoolError, ...] = ()

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write them as ``cnntool features`` does: ``.parquet``, ``.npz``, ``.npy`` or ``.csv``.

        Raises
        ------
        OutputError
            The suffix stands for no such format, or the file exists or cannot be written.
        """
        if not isinstance(path, (str, os.PathLike)):
            raise arguments.wrong_type("path", path, "a path")
        replace = arguments.flag("overwrite", overwrite)
        target = Path(path)
        with open_table(target, form_of(target), self.about, overwrite=replace) as table:
            for row in zip(self.paths, self.labels, self.sha256, self.vectors, strict=True):
                table.add(Row(*row))


def listed(images: str | Path | Sequence[str | Path], *, recursive: bool) -> list[Item]:
    """List the pictures that files and folders stand for; some may carry an error."""
    from cnntool.image.files import expand

    named = [images] if isinstance(images, (str, os.PathLike)) else images
    if not isinstance(named, Sequence) or not all(isinstance(n, (str, os.PathLike)) for n in named):
        raise arguments.wrong_type("images", images, "a path or a list of paths")
    if not all(map(os.fspath, named)):
        raise InputError("no such file", source="''")  # and not the working directory
    return list(expand([Path(name) for name in named], recursive=recursive, matrices=False))


def collect(
    extractor: FeatureExtractor,
    pictures: Iterable[tuple[Item, NDArray[Any] | CnntoolError]],
    *,
    many: bool,
    fail_fast: bool,
) -> Features:
    """Compute the vectors of pictures and keep them in memory.

    Parameters
    ----------
    extractor : FeatureExtractor
    pictures : iterable of (Item, ndarray or CnntoolError)
        Tensors, or why there is none.
    many : bool
        Whether there may be more than one.
    fail_fast : bool
        Whether what is wrong with a picture is raised.

    Raises
    ------
    InputError
        There is no picture, or vectors have different lengths.
    ModelError
        The network fails, or gives NaN or infinity.
    """
    rows: list[Row] = []
    errors: list[CnntoolError] = []

    def fail(error: CnntoolError) -> None:
        if fail_fast:
            raise error
        errors.append(error)

    def sound() -> Iterator[tuple[Item, NDArray[Any]]]:
        for item, tensor in pictures:
            if isinstance(tensor, CnntoolError):
                fail(tensor)
            else:
                yield item, tensor

    for item, found in extractor.stream(sound(), many=many):
        try:
            row = row_of(item, found)
            check_length(row, len(rows[0].vector) if rows else len(row.vector))
            rows.append(row)
        except CnntoolError as error:
            fail(error)
    if not rows:
        raise InputError("no picture could be read")
    paths, labels, hashes, vectors = zip(*rows, strict=True)
    about = extractor.about()
    return Features(np.stack(vectors), paths, labels, hashes, about, tuple(errors))
