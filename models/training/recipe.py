"""Every number of the training in one place."""

from dataclasses import dataclass, field, replace

from augment import Strength


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
        How far classes of different size are drawn alike: 0 draws photos, 1 draws classes.
    rate : (float, float) or None
        Of a stage of one epoch after the others: the shares of the peak rates that it falls from
        and to.
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
    rate: tuple[float, float] | None = None
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
    dropout : float
        Before the dense layer.
    met : int
        The epoch whose averaged weights the last ones are averaged with, half and half; 0: none.
    aside : float
        Share of each class of ``train`` that is kept for choices.
    mistaken : float
        Share of the photos of known classes kept aside that may be called something else.
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
    dropout: float = 0.1
    met: int = 0
    aside: float = 0.08
    mistaken: float = 0.045
    seed: int = 16

    @property
    def epochs(self) -> int:
        """Epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def rate(self, epoch: int, done: float) -> float:
        """Return the share of the peak rates in `epoch`, of which the share `done` is over."""
        alone = self.stage(epoch).rate
        if alone is not None:
            return alone[0] + done * (alone[1] - alone[0])
        progress = epoch + done
        left = sum(stage.epochs for stage in self.stages if stage.rate is None) - progress
        return min(1.0, progress / self.warm_up, left / self.cool_down)

    def stage(self, epoch: int) -> Stage:
        """Return the stage that `epoch`, counted from 0, belongs to."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage
            epoch -= stage.epochs
        raise IndexError(epoch)


MILD = Strength(area=0.45, turn=10, grey=0.05, erase=0.0, mix=0.1)
GENTLE = Strength(area=0.4, colour=0.25, erase=0.0, mix=0.0)
STEADY = replace(MILD, blur=0.25)
LAST = Stage(
    1, 144, STEADY, share=0.85, foreign=0.2, smoothing=0.05, evenness=-0.2, rate=(0.3, 0.21),
    average=0.995,
)  # fmt: skip

RECIPES = {
    "full": Recipe(
        widths=(16, 48, 96, 192, 320),
        stages=(
            Stage(1, 64, foreign=0.06),
            Stage(7, 64, strength=MILD),
            Stage(1, 96, MILD, foreign=0.12, smoothing=0.05),
            Stage(1, 96, MILD, share=1.5, foreign=0.12, smoothing=0.05),
            Stage(2, 96, MILD, share=1.5, foreign=0.12, smoothing=0.05, evenness=0.2),
            Stage(1, 96, MILD, share=1.5, foreign=0.15, smoothing=0.05, evenness=0.0),
            Stage(1, 128, GENTLE, share=1.5, foreign=0.15, smoothing=0.05, evenness=0.0),
            Stage(
                1, 128, MILD, share=1.7, foreign=0.18, smoothing=0.05, evenness=0.0, rate=(0.25, 0)
            ),
            Stage(
                1, 144, MILD, share=1.3, foreign=0.18, smoothing=0.05, evenness=0.0, rate=(0.2, 0)
            ),
            LAST,
            replace(LAST, share=0.75, rate=(0.21, 0.08)),
            replace(LAST, share=0.5, rate=(0.08, 0.0)),
        ),
        met=16,
    ),
    "quick": Recipe(
        widths=(16, 32, 64, 128, 192),
        stages=(Stage(3, 64, average=0.99), Stage(2, 96, strength=GENTLE, average=0.99)),
        warm_up=1,
        cool_down=4,
    ),
}
