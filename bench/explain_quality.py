"""How good explanations are: insertion and deletion, sanity, contrast. Tables for docs/explain.md.

    python bench/explain_quality.py insertion PHOTOS [--model FILE.onnx] [--labels FILE]
    python bench/explain_quality.py sanity PHOTOS
    python bench/explain_quality.py contrast PHOTOS

PHOTOS is a folder of pictures, or one with a folder for each class (``contrast`` needs those).
Photos are drawn from it by a seed. ``insertion`` takes the class that comes first; ``sanity``
compares maps of the built-in network with those of copies whose weights are drawn anew, from the
last layer down (Adebayo et al. 2018, Sanity Checks for Saliency Maps); ``contrast`` pastes two
photos side by side and asks for the class of each.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

import cnntool
from cnntool.nets.attribution import insertion_deletion
from cnntool.nets.attribution.methods import METHODS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.api.explain import Explanation, Explanations

BUILT_IN = Path(__file__).parent.parent / "models" / "vgg16-mini.onnx"
CLASSES = (
    *("tench", "English_springer", "cassette_player", "chain_saw", "church", "French_horn"),
    *("garbage_truck", "gas_pump", "golf_ball", "parachute", "cat", "dog"),
)
"""Of large photos of single things."""

FIT: dict[str, Any] = {"preprocess": "imagenet", "resize": 144, "crop": 144}
"""How the built-in network takes its pictures: copies of it have no manifest to say so."""


def draw(folder: Path, count: int) -> list[Path]:
    """Draw photos, whatever their class is."""
    found = sorted(path for path in folder.rglob("*.*") if path.parent.name != "other")
    return [found[place] for place in np.random.default_rng(0).permutation(len(found))[:count]]


def table(head: Sequence[str], rows: dict[str, Sequence[str]]) -> None:
    """Print a table, a row for each method."""
    print("|", " | ".join(head), "|")
    print("|" + "---|" * len(head))
    for name, cells in rows.items():
        print("|", " | ".join([name, *cells]), "|", flush=True)


def insertion(options: argparse.Namespace) -> None:
    """Compare areas with those of random patches and of the distance from the centre."""
    photos = draw(options.photos, options.count or 200)
    insertion_deletion.DRAWS = 1  # a photo: the mean is over many
    areas: dict[str, list[list[float]]] = {name: [] for name in options.method}
    with cnntool.load_model(options.model, labels=options.labels) as net:
        for done, photo in enumerate(photos, 1):
            for one in net.explain(photo, method=options.method, score=True):
                if one.insertion is None or one.deletion is None:
                    raise AssertionError
                areas[one.method].append(
                    [
                        figure
                        for curve in (one.insertion, one.deletion)
                        for figure in (curve.area, curve.random, curve.centre)
                    ]
                )
            show(done, len(photos), {name: np.mean(rows, 0) for name, rows in areas.items()})
    means = {name: np.mean(rows, 0) for name, rows in areas.items()}
    _, *blind = next(iter(means.values())).reshape(2, 3).T
    rows: dict[str, Sequence[str]] = {
        name: [f"{float(value):.3f}" for value in (into, into - random, into - centre, out)]
        for name, (into, random, centre, out, *_) in means.items()
    }
    rows |= {
        name: [f"{float(into):.3f}", "", "", f"{float(out):.3f}"]
        for name, (into, out) in zip(("random patches", "centre"), blind, strict=True)
    }
    print(f"{len(photos)} photos, insertion and deletion of the first prediction:\n")
    table(["method", "insertion", "above random", "above the centre", "deletion"], rows)


def sanity(options: argparse.Namespace) -> None:
    """Compare maps with those of networks whose weights are drawn anew from the last layer down."""
    photos = draw(options.photos, options.count or 20)
    names = ("predictions", "block5", "block4", "block3", "block2", "block1")
    maps: list[list[Explanations]] = []
    with tempfile.TemporaryDirectory() as folder:
        for count in range(len(names) + 1):
            file = Path(folder) / f"{count}.onnx"
            randomised(names[:count], file)
            with cnntool.load_model(file, **FIT) as net:
                classes: list[int | str] = ["rank:1"] * len(photos)
                classes[:] = [found[0].index for found in maps[0]] if maps else classes
                maps.append(
                    [
                        net.explain(photo, method=options.method, target=target)
                        for photo, target in zip(photos, classes, strict=True)
                    ]
                )
            show(count, len(names), names[:count])
    first, *others = (list(zip(*found, strict=True)) for found in maps)
    rows: dict[str, Sequence[str]] = {
        method: [f"{np.mean(list(map(alike, first[place], other[place]))):.2f}" for other in others]
        for place, method in enumerate(options.method)
    }
    print(f"{len(photos)} photos, rank correlation with the map of the trained network:\n")
    table(["method", names[0], *(f"and {name}" for name in names[1:])], rows)


def randomised(parts: Sequence[str], file: Path) -> None:
    """Write the built-in network with new weights in some layers, of the same mean and spread."""
    import onnx
    from onnx import numpy_helper

    rng = np.random.default_rng(0)
    network = onnx.load(BUILT_IN)
    for weight in network.graph.initializer:
        old = numpy_helper.to_array(weight)
        new = rng.normal(old.mean(dtype=float), old.std(dtype=float), old.shape).astype(old.dtype)
        if any(weight.name.startswith(part) for part in parts):
            weight.CopyFrom(numpy_helper.from_array(new, weight.name))
    onnx.save(network, file)


def alike(one: Explanation, other: Explanation) -> float:
    """Return Spearman's rank correlation; 0 with a map that is the same everywhere."""
    from scipy.stats import spearmanr

    pair = [np.ravel(each.attribution) for each in (one, other)]
    return float(spearmanr(*pair).statistic) if all(map(np.ptp, pair)) else 0.0


def contrast(options: argparse.Namespace) -> None:
    """Ask for the left and the right class of two photos side by side; all of both is seen."""
    rng = np.random.default_rng(0)
    count = options.count or 100
    couples = list(permutations(CLASSES, 2))
    photos = {name: sorted((options.photos / name).iterdir()) for name in CLASSES}
    apart: dict[str, list[tuple[float, float]]] = {name: [] for name in options.method}
    with cnntool.load_model(resize=288, crop=288) as net:
        for done, couple in enumerate(rng.choice(couples, count).tolist(), 1):
            halves = [pixels(photos[name][rng.integers(len(photos[name]))]) for name in couple]
            found = net.explain(beside(*halves), method=options.method, target=couple)
            for left, right in zip(found[: len(found) // 2], found[len(found) // 2 :], strict=True):
                apart[left.method].append((centre(left), centre(right)))
            show(done, count, {name: summed(pairs) for name, pairs in apart.items()})
    rows: dict[str, Sequence[str]] = {
        name: [str(number) for number in summed(pairs)] for name, pairs in apart.items()
    }
    print(f"{count} pairs of photos side by side:\n")
    table(["method", "both in the half asked for", "moved towards it", "mean distance"], rows)


def pixels(file: Path) -> NDArray[np.uint8]:
    """Read a photo, as a square of 160 pixels."""
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB").resize((160, 160)))


def beside(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Paste two photos into a square, with their mean colour above and below."""
    pair = np.concatenate([left, right], axis=1)
    square = np.empty((320, 320, 3), np.uint8)
    square[:] = pair.mean((0, 1)).round()
    square[80:240] = pair
    return square


def centre(one: Explanation) -> float:
    """Return the centre of mass of what speaks for the class, from 0 (left) to 1 (right)."""
    mass = one.attribution.clip(0).sum(0, np.float64)
    places = (np.arange(len(mass)) + 0.5) / len(mass)
    return float(mass @ places / mass.sum()) if mass.any() else 0.5


def summed(pairs: Sequence[tuple[float, float]]) -> tuple[int, int, float]:
    """Count pairs whose centres lie in their halves, and in the right order; mean distance."""
    left, right = np.transpose(pairs)
    inside, towards = (left < 0.5) & (right > 0.5), left < right
    return int(inside.sum()), int(towards.sum()), round(float((right - left).mean()), 3)


def show(done: int, total: int, what: object) -> None:
    """Tell how far it is, and what is known so far."""
    if done % 10 == 0 or total < 10:
        print(f"{done} of {total}: {what}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["insertion", "sanity", "contrast"])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", default="vgg16-mini", help="a classifier, for insertion")
    parser.add_argument("--labels", type=Path, help="its classes")
    parser.add_argument("--count", type=int, help="photos or pairs")
    parser.add_argument("--method", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args()
    {"insertion": insertion, "sanity": sanity, "contrast": contrast}[options.what](options)


if __name__ == "__main__":
    main()
