"""From trained weights to files: export, choice of preprocessing, figures, manifest, card."""

import logging
from pathlib import Path

import card
import export
import manifest
import measure
import numpy as np
import pictures
from network import MiniVgg
from photos import Photos, split
from PIL import Image
from recipe import Recipe

LOG = logging.getLogger("training")

TOLERANCE = 1e-4
STEADY_STEP = 8


def exported(network: MiniVgg, photos: Photos, path: Path) -> None:
    """Write the network to `path` and check the file against PyTorch on real photos.

    Raises
    ------
    RuntimeError
        If a probability differs by more than `TOLERANCE`.
    """
    layers = export.rounded(network.folded())
    export.write(layers, path)
    way = measure.Preprocessing(160, 160)
    sample = np.linspace(0, len(photos.targets) - 1, 32).astype(np.int64)
    views = np.stack([way.apply(Image.fromarray(photos.pixels[row])) for row in sample])
    off = export.difference(layers, path, views)
    LOG.info("%s: %d bytes, ONNX differs from PyTorch by %.1e", path.name, path.stat().st_size, off)
    if off > TOLERANCE:
        raise RuntimeError(f"{path} differs from PyTorch by {off}")
    weights = layers["block1_conv1"][0].cpu().numpy()
    pictures.first_filters(weights, path.with_name("first-layer-filters.png"))


def measured(path: Path, recipe: Recipe, learned: Photos, unseen: Photos) -> None:
    """Choose the preprocessing on the photos kept aside, measure on `unseen`, write it all down."""
    _, aside = split(learned.targets, share=recipe.aside, seed=recipe.seed)
    way, scores = measure.chosen(path, learned, aside)
    for candidate, score in zip(measure.CANDIDATES, scores, strict=True):
        LOG.info("aside, %s: top-1 %.2f %%", candidate, 100 * score)
    classifier = measure.Classifier(path, way)
    rows = np.arange(len(unseen.targets))
    found = classifier.all(unseen, rows)
    result = manifest.Result(
        measure.top(found, unseen.targets, 1), measure.top(found, unseen.targets, 5), len(rows)
    )
    LOG.info("val: top-1 %.2f %%, top-5 %.2f %%", 100 * result.top1, 100 * result.top5)
    text = manifest.text(path, learned.labels, way, recipe, result)
    path.with_suffix(".toml").write_text(text, encoding="utf-8")
    labels = tuple(label.replace("_", " ") for label in learned.labels)
    counts = measure.confusion(found, unseen.targets)
    pictures.confusion_matrix(counts, labels, path.with_name("confusion-matrix.png"))
    few = rows[::STEADY_STEP]
    steady = measure.steadiness(classifier, unseen, few)
    for name, (kept, right) in steady.items():
        LOG.info("%s: same answer %.1f %%, top-1 %.1f %%", name, 100 * kept, 100 * right)
    card.insert(path.with_name("README.md"), card.tables(result, counts, labels, steady, len(few)))
