"""What the exported file does with photos: accuracy, confusion, and how steady its answers are.

Works as a user's program would: onnxruntime and Pillow, the preprocessing of the manifest.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from augment import DEVIATION, MEAN
from numpy.typing import NDArray
from photos import Photos
from PIL import Image

Change = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True)
class Preprocessing:
    """Shorter side resized to `resize` pixels, then the central `crop` x `crop` pixels."""

    resize: int
    crop: int

    def apply(self, picture: Image.Image) -> NDArray[np.float32]:
        """Return `picture` as a normalised array (3, crop, crop)."""
        picture = picture.convert("RGB")
        scale = self.resize / min(picture.size)
        width, height = (max(self.resize, round(side * scale)) for side in picture.size)
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        left, top = (width - self.crop) // 2, (height - self.crop) // 2
        picture = picture.crop((left, top, left + self.crop, top + self.crop))
        values = np.asarray(picture, dtype=np.float32) / np.float32(255)
        values = (values - np.float32(MEAN)) / np.float32(DEVIATION)
        return np.ascontiguousarray(values.transpose(2, 0, 1))


class Classifier:
    """The exported network with its preprocessing."""

    def __init__(self, path: Path, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def __call__(self, pictures: Iterable[Image.Image]) -> NDArray[np.float32]:
        """Return probabilities (N, classes)."""
        batch = np.stack([self.preprocessing.apply(picture) for picture in pictures])
        (found,) = self.session.run(None, {"input": batch})
        return np.asarray(found)

    def all(
        self, photos: Photos, rows: NDArray[np.int64], change: Change | None = None
    ) -> NDArray[np.float32]:
        """Return probabilities of the photos in `rows`, each changed first."""
        found = []
        for start in range(0, len(rows), 64):
            pictures = (Image.fromarray(photos.pixels[row]) for row in rows[start : start + 64])
            found.append(self(map(change, pictures) if change else pictures))
        return np.concatenate(found)


def top(probabilities: NDArray[np.float32], targets: NDArray[np.int64], k: int) -> float:
    """Return the share of rows whose target is among the `k` most probable."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float(np.mean((best == targets[:, None]).any(axis=1)))


def confusion(probabilities: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return counts (classes, classes): a row for the true class, a column for the answer."""
    classes = probabilities.shape[1]
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (targets, probabilities.argmax(axis=1)), 1)
    return counts


CANDIDATES = (
    Preprocessing(128, 128),
    Preprocessing(144, 128),
    Preprocessing(144, 144),
    Preprocessing(160, 144),
    Preprocessing(160, 160),
    Preprocessing(176, 160),
    Preprocessing(176, 176),
    Preprocessing(192, 192),
)


def chosen(
    path: Path, photos: Photos, aside: NDArray[np.int64]
) -> tuple[Preprocessing, list[float]]:
    """Return the best of the candidates on the photos kept `aside`, and the top-1 of each."""
    targets = photos.targets[aside]
    scores = [top(Classifier(path, way).all(photos, aside), targets, 1) for way in CANDIDATES]
    return CANDIDATES[int(np.argmax(scores))], scores


def _scaled(side: int) -> Change:
    return lambda picture: picture.resize((side, side), Image.Resampling.BICUBIC)


def _cropped(left: float, right: float) -> Change:
    def crop(picture: Image.Image) -> Image.Image:
        width, height = picture.size
        return picture.crop((round(left * width), 0, round(right * width), height))

    return crop


CHANGES: dict[str, Change] = {
    "unchanged": lambda picture: picture,
    "100 pixels": _scaled(100),
    "224 pixels": _scaled(224),
    "640 pixels": _scaled(640),
    "2000 pixels": _scaled(2000),
    "grey": lambda picture: picture.convert("L"),
    "left 80 %": _cropped(0, 0.8),
    "right 80 %": _cropped(0.2, 1),
}


def steadiness(
    classifier: Classifier, photos: Photos, rows: NDArray[np.int64]
) -> dict[str, tuple[float, float]]:
    """Return for each change the share of answers that it leaves alone, and the top-1 after it."""
    before = classifier.all(photos, rows).argmax(axis=1)
    shares = {}
    for name, change in CHANGES.items():
        after = classifier.all(photos, rows, change)
        kept = float(np.mean(after.argmax(axis=1) == before))
        shares[name] = kept, top(after, photos.targets[rows], 1)
    return shares
