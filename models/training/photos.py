"""The photos: decoded once into one uint8 array, and split by class with a fixed seed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 160


@dataclass(frozen=True)
class Photos:
    """Pictures of one folder tree.

    Attributes
    ----------
    pixels : ndarray of uint8, (N, 160, 160, 3)
        RGB as encoded, mapped from a file.
    targets : ndarray of int64, (N,)
        Index into `labels`.
    labels : tuple of str
        Folder names, sorted as the folders are listed.
    """

    pixels: NDArray[np.uint8]
    targets: NDArray[np.int64]
    labels: tuple[str, ...]


def load(folder: Path, cache: Path) -> Photos:
    """Return the photos of `folder`/<label>/*, decoded into `cache` on the first call."""
    labels = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))
    files = [
        (path, index) for index, label in enumerate(labels) for path in _pictures(folder / label)
    ]
    targets = np.array([index for _, index in files], dtype=np.int64)
    shape = (len(files), SIDE, SIDE, 3)
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        partial = cache.with_suffix(".partial")
        pixels = np.memmap(partial, np.uint8, "w+", shape=shape)
        for row, (path, _) in enumerate(files):
            with Image.open(path) as picture:
                pixels[row] = np.asarray(picture.convert("RGB").resize((SIDE, SIDE)))
        pixels.flush()
        partial.rename(cache)
    return Photos(np.memmap(cache, np.uint8, "r", shape=shape), targets, labels)


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in {".jpg", ".jpeg"})


def split(
    targets: NDArray[np.int64], *, share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows to train on and the rows kept aside: `share` of each class, 0..1."""
    generator = np.random.default_rng(seed)
    aside = []
    for label in np.unique(targets):
        rows = generator.permutation(np.flatnonzero(targets == label))
        aside.append(rows[: round(share * len(rows))])
    kept = np.sort(np.concatenate(aside))
    return np.setdiff1d(np.arange(len(targets)), kept), kept
