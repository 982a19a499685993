"""The function `features`: vectors of pictures, of a network that is opened for them or is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnntool.nets.models import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cnntool.api.feature_extraction import Features
    from cnntool.api.model import Model


def features(
    images: str | Path | Sequence[str | Path],
    layer: str | None = None,
    *,
    model: str | Path | Model = BUILT_IN,
    pool: str = "mean",
    recursive: bool = False,
    fail_fast: bool = True,
) -> Features:
    """Compute a vector for each of several pictures: what a layer makes of it.

    Parameters
    ----------
    images : path, or list of paths
        Files and folders.
    layer : str, optional
        A name, see `Model.layers`; by default what the last layer with weights gets, which in a
        classifier is what the classes are told by.
    model : str, path or Model
        A name, a file, or what `load_model` returns.
    pool : {'mean', 'max', 'none'}
        What becomes of the places of a map, or of a transformer's tokens: their mean or maximum, so
        that each map gives one number; ``"none"`` keeps all of them, map after map.
    recursive : bool
        Whether to look into the folders of a folder; a picture's label is the name of its folder.
    fail_fast : bool
        Whether what is wrong with a picture is raised; else it stands in ``errors``, and the others
        go on.

    Returns
    -------
    Features
        ``vectors`` (N, n), ``paths``, ``labels``, ``sha256``, ``about`` and ``errors``; ``save``
        writes them as Parquet, ``.npz``, ``.npy`` or CSV. All are held in memory, which
        ``cnntool features`` does not need.

    Raises
    ------
    InputError
        A picture cannot be read, or its vector has another length; or none could be read.
    ModelError
        There is no such network or layer, or it gives NaN or infinity.

    Examples
    --------
    >>> found = cnntool.features("samples")
    >>> found.vectors.shape, found.about["layer"]
    ((3, 320), 'flatten')
    """
    from cnntool.api.model import open_model

    with open_model(model) as opened:
        return opened.features(images, layer, pool=pool, recursive=recursive, fail_fast=fail_fast)
