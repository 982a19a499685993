"""One training run: steps, schedule, checkpoints, resume."""

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from augment import mixed, normalised, varied
from network import MiniVgg
from numpy.typing import NDArray
from optimiser import Average, Muon
from photos import Photos, split
from progress import Bar
from recipe import Recipe
from torch import Tensor
from torch.nn import functional

LOG = logging.getLogger("training")


@dataclass
class Run:
    """What a checkpoint holds: network, its average, optimisers, epochs done, CPU seconds."""

    network: MiniVgg
    average: Average
    optimisers: list[torch.optim.Optimizer]
    epoch: int = 0
    seconds: float = 0.0

    def save(self, path: Path) -> None:
        """Write the checkpoint; the file appears whole or not at all."""
        partial = path.with_suffix(".partial")
        torch.save(
            {
                "network": self.network.state_dict(),
                "average": self.average.state,
                "updates": self.average.updates,
                "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
                "epoch": self.epoch,
                "seconds": self.seconds,
            },
            partial,
        )
        partial.replace(path)

    def restore(self, path: Path) -> None:
        """Continue from the checkpoint at `path`."""
        saved = torch.load(path, weights_only=True, map_location=torch.get_default_device())
        self.network.load_state_dict(saved["network"])
        self.average.state, self.average.updates = saved["average"], saved["updates"]
        for optimiser, state in zip(self.optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.epoch, self.seconds = saved["epoch"], saved["seconds"]

    def averaged(self, recipe: Recipe, classes: int) -> MiniVgg:
        """Return a copy of the network with the averaged weights, ready to be measured."""
        network = MiniVgg(recipe.widths, classes, dropout=recipe.dropout)
        network.load_state_dict(self.average.state)
        return network.to(memory_format=torch.channels_last).eval()


def started(recipe: Recipe, classes: int) -> Run:
    """Return a run at epoch 0 with seeded weights."""
    torch.manual_seed(recipe.seed)
    network = MiniVgg(recipe.widths, classes, dropout=recipe.dropout)
    network = network.to(memory_format=torch.channels_last)
    filters = [weight for weight in network.parameters() if weight.ndim == 4]
    offsets = [
        weight for weight in network.body.parameters() if weight.ndim == 1 and weight.requires_grad
    ]
    head = {"params": list(network.predictions.parameters()), "weight_decay": recipe.decay}
    optimisers = [
        Muon(filters, rate=recipe.muon, momentum=recipe.momentum),
        torch.optim.SGD(
            [{"params": offsets}, head], lr=recipe.sgd, momentum=recipe.momentum, nesterov=True
        ),
    ]
    return Run(network, Average(network, recipe.average), optimisers)


def train(recipe: Recipe, photos: Photos, checkpoint: Path) -> MiniVgg:
    """Train to the end of the recipe and return the averaged network.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    photos : Photos
        The training folder; a part of it is kept aside and measured after every epoch.
    checkpoint : Path
        Written after every epoch; where it exists, the run continues from it.
    """
    rows, aside = split(photos.targets, share=recipe.aside, seed=recipe.seed)
    run = started(recipe, len(photos.labels))
    if checkpoint.exists():
        run.restore(checkpoint)
    while run.epoch < recipe.epochs:
        began = time.process_time()
        loss = _epoch(run, recipe, photos, rows)
        run.epoch += 1
        run.seconds += time.process_time() - began
        run.save(checkpoint)
        size = recipe.stage(run.epoch - 1).size
        share = _right(run.averaged(recipe, len(photos.labels)), photos, aside, size)
        LOG.info(
            "epoch %d of %d, %d pixels: loss %.3f, aside %.2f %%, %.0f s of CPU",
            run.epoch, recipe.epochs, size, loss, 100 * share, run.seconds,
        )  # fmt: skip
    return run.averaged(recipe, len(photos.labels))


def _epoch(run: Run, recipe: Recipe, photos: Photos, rows: NDArray[np.int64]) -> float:
    """Train on every row once, in a new order; return the mean loss."""
    torch.manual_seed(recipe.seed + 1000 * (run.epoch + 1))
    stage = recipe.stage(run.epoch)
    order = rows[torch.randperm(len(rows)).cpu().numpy()]
    steps = len(rows) // recipe.batch
    run.network.train()
    total = 0.0
    bar = Bar(f"epoch {run.epoch + 1}/{recipe.epochs}", steps)
    for step in range(steps):
        rate = recipe.rate(run.epoch, (step + 1) / steps)
        for optimiser, peak in zip(run.optimisers, (recipe.muon, recipe.sgd), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = peak * rate
        chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
        pixels, targets = on_device(photos.pixels[chosen]), on_device(photos.targets[chosen])
        total += _step(run, recipe, varied(pixels, stage.size, stage.strength), targets)
        bar.show(step + 1)
    bar.close()
    return total / steps


def _step(run: Run, recipe: Recipe, views: Tensor, targets: Tensor) -> float:
    """Take one step on a batch of views and return its loss."""
    mix = recipe.stage(run.epoch).strength.mix
    views, others, share = mixed(views, targets, mix)
    with torch.autocast(views.device.type, dtype=torch.bfloat16):
        logits = run.network(views).float()
    loss = (1 - share) * _loss(logits, targets, recipe) + share * _loss(logits, others, recipe)
    run.network.zero_grad()
    loss.backward()
    for optimiser in run.optimisers:
        optimiser.step()
    run.average.update(run.network)
    return loss.item()


def _loss(logits: Tensor, targets: Tensor, recipe: Recipe) -> Tensor:
    return functional.cross_entropy(logits, targets, label_smoothing=recipe.smoothing)


@torch.inference_mode()
def _right(network: MiniVgg, photos: Photos, rows: NDArray[np.int64], size: int) -> float:
    """Return the share of `rows` whose class comes first, whole photos at `size` pixels."""
    hits = 0
    for chosen in np.array_split(rows, math.ceil(len(rows) / 100)):
        views = functional.interpolate(
            normalised(on_device(photos.pixels[chosen])),
            (size, size),
            mode="bilinear",
            antialias=True,
        ).contiguous(memory_format=torch.channels_last)
        with torch.autocast(views.device.type, dtype=torch.bfloat16):
            found = network(views).argmax(dim=1)
        hits += (found == on_device(photos.targets[chosen])).sum().item()
    return hits / len(rows)


def on_device(values: NDArray[np.generic]) -> Tensor:
    """Return a copy of `values` as a tensor on the default device."""
    return torch.from_numpy(np.array(values)).to(torch.get_default_device())
