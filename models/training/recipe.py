"""Every number of the training in one place."""

from dataclasses import dataclass, field

from augment import Strength


@dataclass(frozen=True)
class Stage:
    """Epochs at one picture size (pixels), one share of the peak rates, one variation."""

    epochs: int
    size: int
    rate: float = 1.0
    strength: Strength = field(default_factory=Strength)


@dataclass(frozen=True)
class Recipe:
    """A whole training run.

    Attributes
    ----------
    widths : tuple of int
        Channels of the five blocks.
    stages : tuple of Stage
        Small pictures first: an epoch at 64 pixels costs a quarter of one at 128.
    batch : int
        Pictures a step.
    muon, sgd : float
        Peak learning rates of the convolutions and of everything else.
    momentum : float
        Of both optimisers.
    decay : float
        Weight decay of the dense layer.
    warm_up, cool_down : float
        Epochs in which the rates rise at the start and fall at the end, both along a line.
    smoothing : float
        Label smoothing.
    dropout : float
        Before the dense layer.
    average : float
        Decay of the running average of the weights.
    aside : float
        Share of each class of ``train`` that is kept for choices.
    seed : int
        Of the split, the initial weights, the order and the variation.
    """

    widths: tuple[int, ...]
    stages: tuple[Stage, ...]
    batch: int = 96
    muon: float = 0.03
    sgd: float = 0.05
    momentum: float = 0.9
    decay: float = 5e-4
    warm_up: float = 7.6
    cool_down: float = 12
    smoothing: float = 0.1
    dropout: float = 0.1
    average: float = 0.998
    aside: float = 0.08
    seed: int = 16

    @property
    def epochs(self) -> int:
        """Epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def rate(self, epoch: int, done: float) -> float:
        """Return the share of the peak rates in `epoch`, of which the share `done` is over."""
        progress = epoch + done
        top = self.stage(epoch).rate
        return min(top, progress / self.warm_up, top * (self.epochs - progress) / self.cool_down)

    def stage(self, epoch: int) -> Stage:
        """Return the stage that `epoch`, counted from 0, belongs to."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage
            epoch -= stage.epochs
        raise IndexError(epoch)


MILD = Strength(erase=0.1, mix=0.1)
GENTLE = Strength(area=0.4, colour=0.25, erase=0.0, mix=0.0)

RECIPES = {
    "full": Recipe(
        widths=(16, 48, 96, 192, 320),
        stages=(
            Stage(9, 64),
            Stage(4, 96, rate=0.4),
            Stage(6, 96, rate=0.4, strength=MILD),
            Stage(6, 128, rate=0.4, strength=GENTLE),
        ),
    ),
    "quick": Recipe(
        widths=(16, 32, 64, 128, 192),
        stages=(Stage(4, 64), Stage(3, 96, strength=GENTLE)),
        warm_up=1,
        cool_down=4,
        average=0.99,
    ),
}
