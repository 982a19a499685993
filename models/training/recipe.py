"""Every number of the training in one place."""

from dataclasses import dataclass, field

from augment import Strength

LARGE = 900  # photos: a class of more is drawn as often as one of so many


@dataclass(frozen=True)
class Stage:
    """Epochs at one picture size.

    Attributes
    ----------
    epochs, size : int
        How many, and pixels.
    strength : Strength
        Of the variation.
    share : float
        Draws of an epoch, as a share of the photos to learn from.
    foreign : float
        Share of the draws that are photos of no class.
    smoothing : float
        Label smoothing.
    evenness : float
        How far classes of different size are drawn alike: 0 draws photos, 1 draws classes, less
        than 0 draws the large ones more often still.
    average : float
        Decay of the running average of the weights.
    """

    epochs: int
    size: int
    strength: Strength = field(default_factory=Strength)
    share: float = 1.0
    foreign: float = 0.09
    smoothing: float = 0.1
    evenness: float = 0.5
    average: float = 0.998


@dataclass(frozen=True)
class Recipe:
    """A whole training run.

    Attributes
    ----------
    widths : tuple of int
        Channels of the five blocks.
    stages : tuple of Stage
        Small pictures first: an epoch at 64 pixels costs a quarter of one at 128.
    kept : int
        Blocks that stay as they are where the training starts from a trained network.
    batch : int
        Pictures a step.
    made : float
        Share of the draws that are pictures made of nothing.
    muon, sgd : float
        Peak learning rates of the convolutions and of everything else.
    momentum : float
        Of both optimisers.
    decay : float
        Weight decay of the dense layer.
    warm_up, cool_down : float
        Epochs in which the rates rise at the start and fall at the end, both along a line.
    last : float
        Share of the peak rates that is left at the end.
    dropout : float
        Before the dense layer.
    started : float
        Share of the network that the training started from in the mean of its weights and the
        learned ones.
    aside : float
        Share of each class of ``train`` that is kept for choices.
    mistaken : float
        Share of the photos of known classes kept aside that may be called something else.
    favour : float
        Added to the logits of the first edition's classes.
    seed : int
        Of the split, the initial weights, the order and the variation.
    """

    widths: tuple[int, ...]
    stages: tuple[Stage, ...]
    kept: int = 2
    batch: int = 128
    made: float = 0.03
    muon: float = 0.02
    sgd: float = 0.05
    momentum: float = 0.9
    decay: float = 5e-4
    warm_up: float = 0.5
    cool_down: float = 10
    last: float = 0.0
    dropout: float = 0.1
    started: float = 0.0
    aside: float = 0.08
    mistaken: float = 0.045
    favour: float = 0.0
    seed: int = 16

    @property
    def epochs(self) -> int:
        """Epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def rate(self, epoch: int, done: float) -> float:
        """Return the share of the peak rates in `epoch`, of which the share `done` is over."""
        progress = epoch + done
        left = (self.epochs - progress) / self.cool_down
        return min(1.0, progress / self.warm_up, self.last + (1 - self.last) * left)

    def stage(self, epoch: int) -> Stage:
        """Return the stage that `epoch`, counted from 0, belongs to."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage
            epoch -= stage.epochs
        raise IndexError(epoch)


VARIED = Strength(area=0.35, turn=10, grey=0.05, erase=0.1, blur=0.2)
PLAIN = Strength(area=0.45, turn=10, grey=0.05, erase=0.0, mix=0.0)

RECIPES = {
    "full": Recipe(
        widths=(16, 48, 96, 192, 320),
        stages=(Stage(7, 128, VARIED, foreign=0.2, smoothing=0.02, evenness=-0.4),),
        made=0.04,
        muon=0.006,
        sgd=0.015,
        warm_up=0.2,
        cool_down=7,
        last=0.3,
        started=0.5,
        mistaken=0.048,
        favour=0.3,
    ),
    "quick": Recipe(
        widths=(16, 32, 64, 128, 192),
        stages=(Stage(3, 64, average=0.99), Stage(2, 96, PLAIN, average=0.99)),
        warm_up=1,
        cool_down=4,
    ),
}
