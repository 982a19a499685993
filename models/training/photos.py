"""The photos: decoded once into an array of uint8, split by class and drawn with fixed seeds."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 160
FOREIGN = "other"  # the folder of photos that belong to none of the classes
SUFFIXES = {".jpg", ".jpeg", ".webp"}


@dataclass(frozen=True)
class Photos:
    """Pictures of one folder tree.

    Attributes
    ----------
    pixels : ndarray of uint8, (K, N, 160, 160, 3)
        RGB, mapped from a file; K versions of each photo: as it came and, where asked for, coded
        anew.
    targets : ndarray of int64, (N,)
        Index into `labels`.
    labels : tuple of str
        Folder names in alphabetical order, `FOREIGN` after all others.
    """

    pixels: NDArray[np.uint8]
    targets: NDArray[np.int64]
    labels: tuple[str, ...]

    @property
    def foreign(self) -> int:
        """The target of the photos that belong to no class."""
        return len(self.labels) - 1


def load(folder: Path, cache: Path, *, recoded: bool = False) -> Photos:
    """Return the photos of `folder`/<label>/*, decoded into `cache` on the first call.

    With `recoded` there is a second version of each photo, compressed once more at random: some of
    the sets are JPEG, some are WebP, and the network should not tell them apart by that.
    """
    names = {entry.name for entry in folder.iterdir() if entry.is_dir()}
    labels = (*sorted(names - {FOREIGN}), FOREIGN)
    files = [
        (path, index) for index, label in enumerate(labels) for path in _pictures(folder / label)
    ]
    targets = np.array([index for _, index in files], dtype=np.int64)
    shape = (1 + recoded, len(files), SIDE, SIDE, 3)
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        partial = cache.with_suffix(".partial")
        pixels = np.memmap(partial, np.uint8, "w+", shape=shape)
        generator = np.random.default_rng(0)
        for row, (path, _) in enumerate(files):
            with Image.open(path) as picture:
                for version, one in enumerate(_versions(picture, generator, count=shape[0])):
                    pixels[version, row] = np.asarray(one)
        pixels.flush()
        partial.rename(cache)
    return Photos(np.memmap(cache, np.uint8, "r", shape=shape), targets, labels)


def halved(photos: Photos, cache: Path) -> Photos:
    """Return `photos` at half their size, averaged over 2 x 2 pixels into `cache` once.

    Small views are cut from these: that takes a third of the time.
    """
    versions, count, side, _, _ = photos.pixels.shape
    shape = (versions, count, side // 2, side // 2, 3)
    if not cache.exists():
        partial = cache.with_suffix(".partial")
        pixels = np.memmap(partial, np.uint8, "w+", shape=shape)
        for version, row in np.ndindex(versions, count):
            pixels[version, row] = np.asarray(
                Image.fromarray(photos.pixels[version, row]).reduce(2)
            )
        pixels.flush()
        partial.rename(cache)
    return replace(photos, pixels=np.memmap(cache, np.uint8, "r", shape=shape))


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def _versions(
    picture: Image.Image, generator: np.random.Generator, *, count: int
) -> Iterator[Image.Image]:
    plain = picture.convert("RGB").resize((SIDE, SIDE))
    yield plain
    for _ in range(count - 1):
        coding = "JPEG" if generator.random() < 0.5 else "WEBP"
        file = io.BytesIO()
        plain.save(file, coding, quality=int(generator.integers(35, 90)), method=0)
        yield Image.open(file).convert("RGB")


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
