"""What the exported file does with photos: accuracy, confusion, and how steady its answers are.

Works as a user's program would: onnxruntime and Pillow, the preprocessing of the manifest.
"""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from augment import DEVIATION, MEAN
from figures import Figures
from machine import together
from numpy.typing import NDArray
from photos import Photos
from PIL import Image, ImageFilter

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
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, pictures: Iterable[Image.Image]) -> NDArray[np.float32]:
        """Return probabilities (N, classes)."""
        batch = np.stack([self.preprocessing.apply(picture) for picture in pictures])
        (found,) = self.session.run(None, {"input": batch})
        return np.asarray(found)

    def all(
        self, photos: Photos, rows: NDArray[np.int64], change: Change | None = None
    ) -> NDArray[np.float32]:
        """Return probabilities of the photos in `rows`, each changed first."""

        def some(part: NDArray[np.int64]) -> NDArray[np.float32]:
            pictures = (Image.fromarray(photos.pixels[0, row]) for row in part)
            return self(map(change, pictures) if change else pictures)

        parts = np.array_split(rows, -(-len(rows) // 16))
        return np.concatenate(together(some, parts))


def confusion(probabilities: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return counts (classes, classes): a row for the true class, a column for the answer."""
    classes = probabilities.shape[1]
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (targets, probabilities.argmax(axis=1)), 1)
    return counts


CANDIDATES = (
    Preprocessing(144, 144),
    Preprocessing(160, 144),
)  # 144 pixels take as long as the first edition did


def chosen(
    path: Path, photos: Photos, rows: NDArray[np.int64]
) -> tuple[Preprocessing, list[Figures]]:
    """Return the candidate with the best top-1 on `rows`, and the figures of each."""
    targets = photos.targets[rows]
    found = [Figures.of(Classifier(path, way).all(photos, rows), targets) for way in CANDIDATES]
    return CANDIDATES[int(np.argmax([figures.top1 for figures in found]))], found


def _scaled(side: int) -> Change:
    return lambda picture: picture.resize((side, side), Image.Resampling.BICUBIC)


def _cropped(left: float, right: float) -> Change:
    def crop(picture: Image.Image) -> Image.Image:
        width, height = picture.size
        return picture.crop((round(left * width), 0, round(right * width), height))

    return crop


def _blurred(sigma: float) -> Change:
    return lambda picture: picture.filter(ImageFilter.GaussianBlur(sigma))


def _noisy(deviation: float) -> Change:
    def add(picture: Image.Image) -> Image.Image:
        values = np.asarray(picture, dtype=np.float64)
        noise = np.random.default_rng(0).normal(0, deviation, values.shape)
        return Image.fromarray(np.clip(np.round(values + noise), 0, 255).astype(np.uint8))

    return add


def _turned(degrees: float) -> Change:
    """Turn and cut away the corners that have no picture; the largest square within stays."""

    def turn(picture: Image.Image) -> Image.Image:
        angle = np.radians(degrees)
        side = int(picture.width / (abs(np.cos(angle)) + abs(np.sin(angle))))
        edge = (picture.width - side) // 2
        turned = picture.rotate(degrees, Image.Resampling.BILINEAR)
        return turned.crop((edge, edge, edge + side, edge + side))

    return turn


def _compressed(quality: int) -> Change:
    def code(picture: Image.Image) -> Image.Image:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return code


CHANGES: dict[str, Change] = {
    "unchanged": lambda picture: picture,
    "smaller: 80 pixels": _scaled(80),
    "smaller: 48 pixels": _scaled(48),
    "larger: 640 pixels": _scaled(640),
    "grey": lambda picture: picture.convert("L"),
    "blur, sigma 2 pixels": _blurred(2),
    "noise, deviation 20 of 255": _noisy(20),
    "JPEG, quality 20": _compressed(20),
    "turned by 15 degrees": _turned(15),
    "left 80 %": _cropped(0, 0.8),
    "right 80 %": _cropped(0.2, 1),
}


def steadiness(
    classifier: Classifier, photos: Photos, rows: NDArray[np.int64]
) -> dict[str, tuple[float, float]]:
    """Return for each change the share of answers that it leaves alone, and the share right."""
    before = classifier.all(photos, rows).argmax(axis=1)
    shares = {}
    for name, change in CHANGES.items():
        after = classifier.all(photos, rows, change).argmax(axis=1)
        shares[name] = (
            float(np.mean(after == before)),
            float(np.mean(after == photos.targets[rows])),
        )
    return shares
