"""From trained weights to files: export, preprocessing, calibration, figures, manifest, card."""

import logging
from pathlib import Path

import calibrate
import card
import export
import manifest
import measure
import numpy as np
import pictures
from export import Layers
from figures import EARLIER, Figures
from labels import name
from photos import Photos, split
from PIL import Image
from recipe import Recipe

LOG = logging.getLogger("training")

TOLERANCE = 1e-4
STEADY_STEP = 16


def exported(layers: Layers, recipe: Recipe, photos: Photos, path: Path) -> measure.Preprocessing:
    """Write `layers` to `path`, calibrated, and return the preprocessing that suits it best.

    Both are settled on the photos kept aside.
    """
    layers = calibrate.favoured(layers, _earlier(photos), recipe.favour)
    _write(layers, photos, path)
    _, aside = split(photos.targets, share=recipe.aside, seed=recipe.seed)
    way, scores = measure.chosen(path, photos, aside)
    for candidate, score in zip(measure.CANDIDATES, scores, strict=True):
        LOG.info("aside, %s: %s", candidate, score)
    found = measure.Classifier(path, way).all(photos, aside)
    targets = photos.targets[aside]
    setting = calibrate.calibrated(found, targets, mistaken=recipe.mistaken)
    _write(setting.folded(layers), photos, path)
    LOG.info("aside, %s: %s", setting, Figures.of(setting.of(found), targets))
    weights = layers["block1_conv1"][0].cpu().numpy()
    pictures.first_filters(weights, path.with_name("first-layer-filters.png"))
    return way


def _earlier(photos: Photos) -> list[int]:
    """Return the targets of the classes that the first edition knew."""
    return [photos.labels.index(one) for one in EARLIER if one in photos.labels]


def _write(layers: Layers, photos: Photos, path: Path) -> None:
    """Write `layers` to `path` and check the file against PyTorch on real photos.

    Raises
    ------
    RuntimeError
        If a probability differs by more than `TOLERANCE`.
    """
    layers = export.rounded(layers)
    export.write(layers, path)
    way = measure.Preprocessing(160, 160)
    sample = np.linspace(0, len(photos.targets) - 1, 32).astype(np.int64)
    views = np.stack([way.apply(Image.fromarray(photos.pixels[0, row])) for row in sample])
    off = export.difference(layers, path, views)
    LOG.info("%s: %d bytes, ONNX differs from PyTorch by %.1e", path.name, path.stat().st_size, off)
    if off > TOLERANCE:
        raise RuntimeError(f"{path} differs from PyTorch by {off}")


def measured(path: Path, way: measure.Preprocessing, recipe: Recipe, photos: Photos) -> None:
    """Measure the file on unseen `photos` and write it all down."""
    classifier = measure.Classifier(path, way)
    targets, rows = photos.targets, np.arange(len(photos.targets))
    found = classifier.all(photos, rows)
    result = Figures.of(found, targets)
    LOG.info("val: %s", result)
    earlier = np.isin(targets, _earlier(photos))
    labels = tuple(map(name, photos.labels))
    known = int((targets != photos.foreign).sum())
    text = manifest.text(path, labels, way, recipe, result, known)
    path.with_suffix(".toml").write_text(text, encoding="utf-8")
    counts = measure.confusion(found, targets)
    pictures.confusion_matrix(counts, labels, path.with_name("confusion-matrix.png"))
    error, bins = calibrate.calibration_error(found, targets)
    first = np.argsort(-found, axis=1, kind="stable")[:, :5]
    among = (first == targets[:, None]).any(axis=1)
    top5 = np.array([among[targets == one].mean() for one in range(len(labels))])
    few = rows[::STEADY_STEP]
    shown = card.Card(
        result,
        Figures.of(found[earlier], targets[earlier]) if earlier.any() else None,
        counts,
        top5,
        labels,
        error,
        bins,
        measure.steadiness(classifier, photos, few),
        len(few),
    )
    page = card.tables(shown)
    LOG.info("\n%s", page)
    card.insert(path.with_name("README.md"), page)
