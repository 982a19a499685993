"""Train the built-in network: ``python models/training --data photos``."""

import argparse
import logging
from pathlib import Path

import export
import machine
import photos
import torch
from deliver import exported, measured
from recipe import RECIPES
from train import train

LOG = logging.getLogger("training")


def main() -> None:
    """Decode, train, export, measure; every step picks up where an earlier call left off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and val/")
    parser.add_argument(
        "--work", type=Path, default=Path("build/training"), help="cache, checkpoint, log"
    )
    parser.add_argument(
        "--models", type=Path, default=Path(__file__).parents[1], help="where the results go"
    )
    parser.add_argument("--start", type=Path, help="a network whose layers are taken over")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="full")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    options.models.mkdir(parents=True, exist_ok=True)
    log = options.work / f"{options.recipe}.log"
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        handlers=[logging.StreamHandler(), logging.FileHandler(log)],
    )
    machine.prepare(options.device)
    recipe = RECIPES[options.recipe]
    learned = photos.load(options.data / "train", options.work / "train.u8", recoded=True)
    LOG.info(
        "%s on %s: %d photos, %s", options.recipe, options.device, len(learned.targets), recipe
    )
    start = export.read(options.start) if options.start else None
    layers = train(recipe, learned, options.work / f"{options.recipe}.pt", start).folded()
    if start and recipe.started:
        layers = export.between(layers, start, recipe.started)
    model = options.models / "vgg16-mini.onnx"
    way = exported(layers, recipe, learned, model)
    unseen = photos.load(options.data / "val", options.work / "val.u8")
    measured(model, way, recipe, unseen)


if __name__ == "__main__":
    main()
