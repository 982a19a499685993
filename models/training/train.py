"""One training run: steps, schedule, checkpoints, resume."""

import logging
import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import machine
import numpy as np
import torch
from augment import mixed, normalised, varied
from export import Layers
from figures import Figures
from foreign import made, recombined
from network import MiniVgg
from numpy.typing import NDArray
from optimiser import Average, Muon
from photos import Photos, halved, split
from progress import Bar
from recipe import LARGE, Recipe, Stage
from torch import Tensor
from torch.nn import functional

LOG = logging.getLogger("training")


@dataclass
class Run:
    """What a checkpoint holds: network, its average, optimisers, epochs done, CPU seconds."""

    network: MiniVgg
    average: Average
    optimisers: list[torch.optim.Optimizer]
    kept: int
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
        network = MiniVgg(recipe.widths, classes, kept=self.kept)
        network.load_state_dict(self.average.state)
        return network.to(memory_format=torch.channels_last).eval()


def started(recipe: Recipe, classes: int, kept: int) -> Run:
    """Return a run at epoch 0 with seeded weights."""
    torch.manual_seed(recipe.seed)
    network = MiniVgg(recipe.widths, classes, dropout=recipe.dropout, kept=kept)
    network = network.to(memory_format=torch.channels_last)
    learning = [weight for weight in network.body.parameters() if weight.requires_grad]
    filters = [weight for weight in learning if weight.ndim == 4]
    offsets = [weight for weight in learning if weight.ndim == 1]
    head = {"params": list(network.predictions.parameters()), "weight_decay": recipe.decay}
    optimisers = [
        Muon(filters, rate=recipe.muon, momentum=recipe.momentum),
        torch.optim.SGD(
            [{"params": offsets}, head], lr=recipe.sgd, momentum=recipe.momentum, nesterov=True
        ),
    ]
    return Run(network, Average(network, recipe.stage(0).average), optimisers, kept)


def train(recipe: Recipe, photos: Photos, checkpoint: Path, start: Layers | None) -> MiniVgg:
    """Train to the end of the recipe and return the averaged network.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    photos : Photos
        The training folder; a part of it is kept aside and measured after every epoch.
    checkpoint : Path
        Written after every epoch; where it exists, the run continues from it.
    start : dict or None
        Layers of a network whose convolutions are taken over, or none to begin at random.
    """
    rows, aside = split(photos.targets, share=recipe.aside, seed=recipe.seed)
    run = started(recipe, len(photos.labels), recipe.kept if start else 0)
    if checkpoint.exists():
        run.restore(checkpoint)
    elif start:
        size = recipe.stage(0).size
        some = on_device(photos.pixels[0, rows[:: len(rows) // 256]])
        run.network.begin_with(start, varied(some, size, recipe.stage(0).strength))
        run.average = Average(run.network, recipe.stage(0).average)
    while run.epoch < recipe.epochs:
        began = time.process_time()
        size = recipe.stage(run.epoch).size
        small = 2 * size <= photos.pixels.shape[2]
        shown = halved(photos, checkpoint.with_name("half.u8")) if small else photos
        loss = _epoch(run, recipe, shown, rows)
        run.epoch += 1
        run.seconds += time.process_time() - began
        run.save(checkpoint)
        logits = answers(run.averaged(recipe, len(photos.labels)), photos, aside, size)
        LOG.info(
            "epoch %d of %d, %d pixels: loss %.3f, aside %s, %.0f s of CPU",
            run.epoch, recipe.epochs, size, loss,
            Figures.of(logits.softmax(dim=1).cpu().numpy(), photos.targets[aside]), run.seconds,
        )  # fmt: skip
    return run.averaged(recipe, len(photos.labels))


def _drawn(stage: Stage, made: float, photos: Photos, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the draws of an epoch from `rows`, in random order."""
    rows = rows[torch.randperm(len(rows)).cpu().numpy()]
    targets = photos.targets[rows]
    counts = np.bincount(targets, minlength=len(photos.labels)).astype(float)
    shares = np.minimum(counts, LARGE) ** (1 - stage.evenness)
    foreign = stage.foreign + made
    shares *= (1 - foreign) / shares[: photos.foreign].sum()
    shares[photos.foreign] = foreign
    draws = round(stage.share * len(rows))
    edges = np.cumsum((draws * shares / counts)[targets]) + torch.rand(()).item()
    times = np.diff(np.floor(edges), prepend=0).astype(np.int64)
    drawn = np.repeat(rows, times)
    return drawn[torch.randperm(len(drawn)).cpu().numpy()]


def _epoch(run: Run, recipe: Recipe, photos: Photos, rows: NDArray[np.int64]) -> float:
    """Train on as many draws as there are rows, in a new order; return the mean loss."""
    torch.manual_seed(recipe.seed + 1000 * (run.epoch + 1))
    stage = recipe.stage(run.epoch)
    order = _drawn(stage, recipe.made, photos, rows)
    steps = len(order) // recipe.batch
    share = recipe.made / (recipe.made + stage.foreign)
    run.average.decay = stage.average
    run.network.train()
    total = 0.0
    bar = Bar(f"epoch {run.epoch + 1}/{recipe.epochs}", steps)
    for step in range(steps):
        rate = recipe.rate(run.epoch, (step + 1) / steps)
        for optimiser, peak in zip(run.optimisers, (recipe.muon, recipe.sgd), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = peak * rate
        chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
        version = torch.randint(0, len(photos.pixels), (len(chosen),)).cpu().numpy()
        pixels, targets = (
            on_device(photos.pixels[version, chosen]),
            on_device(photos.targets[chosen]),
        )
        pixels = _with_made(pixels, targets == photos.foreign, share)
        total += _step(run, recipe, varied(pixels, stage.size, stage.strength), targets)
        bar.show(step + 1)
    bar.close()
    return total / steps


def _with_made(pixels: Tensor, foreign: Tensor, share: float) -> Tensor:
    """Vary the photos of no class, and put pictures of nothing in the place of a share of them."""
    pixels[foreign] = recombined(pixels[foreign])
    places = torch.nonzero(foreign & (torch.rand(len(foreign)) < share)).flatten()
    if len(places):
        sources = torch.nonzero(~foreign).flatten()[: len(places)]
        pixels[places] = made(pixels[sources])
    return pixels


def _step(run: Run, recipe: Recipe, views: Tensor, targets: Tensor) -> float:
    """Take one step on a batch of views and return its loss."""
    stage = recipe.stage(run.epoch)
    views, others, share = mixed(views, targets, stage.strength.mix)
    loss_of = partial(functional.cross_entropy, label_smoothing=stage.smoothing)
    weights = [weight for weight in run.network.parameters() if weight.requires_grad]

    def learned(part: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        shown, first, second = part
        with torch.autocast(shown.device.type, dtype=torch.bfloat16):
            logits = run.network(shown).float()
        loss = torch.lerp(loss_of(logits, first), loss_of(logits, second), share)
        return loss.detach(), torch.autograd.grad(loss, weights)

    parts = zip(
        *(batch.chunk(machine.workers()) for batch in (views, targets, others)), strict=True
    )
    losses, slopes = zip(*machine.together(learned, parts), strict=True)
    for weight, slope in zip(weights, zip(*slopes, strict=True), strict=True):
        weight.grad = torch.stack(slope).mean(dim=0)
    for optimiser in run.optimisers:
        optimiser.step()
    run.average.update(run.network)
    return torch.stack(losses).mean().item()


@torch.inference_mode()
def answers(network: MiniVgg, photos: Photos, rows: NDArray[np.int64], size: int) -> Tensor:
    """Return the logits of `rows`, whole photos at `size` pixels."""
    found = []
    for chosen in np.array_split(rows, math.ceil(len(rows) / 100)):
        views = functional.interpolate(
            normalised(on_device(photos.pixels[0, chosen])),
            (size, size),
            mode="bilinear",
            antialias=True,
        ).contiguous(memory_format=torch.channels_last)
        with torch.autocast(views.device.type, dtype=torch.bfloat16):
            found.append(network(views).float())
    return torch.cat(found)


def on_device(values: NDArray[np.generic]) -> Tensor:
    """Return a copy of `values` as a tensor on the default device."""
    return torch.from_numpy(np.array(values)).to(torch.get_default_device())
