"""The methods, by name: what each is, shows, and where it misleads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnntool.nets.attribution.subject import Attribution, Subject

DEFAULT = "gradcam"


class Method(NamedTuple):
    """A method of attribution.

    Parameters
    ----------
    title : str
        As its authors write it.
    needs : {'layer', 'input', 'scores'}
        What it asks the network for: the gradient by a layer or by the input, or probabilities
        alone, which every network gives.
    signed : bool
        Whether values below 0 mean something: what speaks against the class.
    paper : str
        Authors, year and title.
    shows : str
        What a large value means.
    misleads : str
        What not to read from it.
    from_zero : bool
        Whether 0 says that a place does not count; else only differences between places do.
    """

    title: str
    needs: Literal["layer", "input", "scores"]
    signed: bool
    paper: str
    shows: str
    misleads: str
    from_zero: bool = True


METHODS = {
    "gradcam": Method(
        "Grad-CAM",
        "layer",
        signed=False,
        paper="Selvaraju et al. 2017, Grad-CAM: Visual Explanations from Deep Networks via "
        "Gradient-based Localization",
        shows="Where a layer's maps, each weighted by its mean gradient, speak for the class.",
        misleads="It is as coarse as the layer, and the position of a spot within a cell means "
        "nothing. Weights are means over the whole map, so in early layers it often points at the "
        "wrong places. What speaks against the class is cut off.",
    ),
    "layercam": Method(
        "LayerCAM",
        "layer",
        signed=False,
        paper="Jiang et al. 2021, LayerCAM: Exploring Hierarchical Class Activation Maps for "
        "Localization",
        shows="Where a layer is active and its gradient is positive: place by place, so that it is "
        "useful in early layers too.",
        misleads="Negative gradients are dropped before summing: what speaks for the class in one "
        "map and against it in another stays, so that much of it is activity of any kind. With "
        "random weights in the built-in network's last layer it stays nearly the same.",
    ),
    "saliency": Method(
        "Saliency",
        "input",
        signed=False,
        paper="Simonyan, Vedaldi and Zisserman 2014, Deep Inside Convolutional Networks: "
        "Visualising Image Classification Models and Saliency Maps",
        shows="How much a tiny change of each pixel would change the score, up or down.",
        misleads="It tells what the score is sensitive to, not what it rests on. Gradients are "
        "noisy, edges stand out whatever the class is, and where the network is saturated there is "
        "little to see.",
    ),
    "smoothgrad": Method(
        "SmoothGrad",
        "input",
        signed=False,
        paper="Smilkov et al. 2017, SmoothGrad: removing noise by adding noise",
        shows="The gradient by each pixel, averaged over noisy copies of the picture.",
        misleads="It looks sharper than saliency but is of the same kind. The copies are pictures "
        "that the network was not made for. Networks that take whole numbers get them rounded and "
        "clipped.",
    ),
    "integrated-gradients": Method(
        "Integrated gradients",
        "input",
        signed=True,
        paper="Sundararajan, Taly and Yan 2017, Axiomatic Attribution for Deep Networks",
        shows="What each pixel adds to the score as the picture emerges from black; all together "
        "make the difference of the scores.",
        misleads="It compares with a black picture: what is black itself gets nothing, however "
        "much it matters, and bright places get more. Networks that take whole numbers get the "
        "steps rounded, and the sum is not exact.",
    ),
    "occlusion": Method(
        "Occlusion",
        "scores",
        signed=True,
        paper="Zeiler and Fergus 2014, Visualizing and Understanding Convolutional Networks",
        shows="How much of the probability is lost when a window of the picture's mean colour "
        "covers a place.",
        misleads="The window's own sides and colour are seen too. What stands twice in the picture "
        "is not missed when one is covered, and things larger or smaller than the window blur.",
    ),
    "rise": Method(
        "RISE",
        "scores",
        signed=False,
        paper="Petsiuk, Das and Saenko 2018, RISE: Randomized Input Sampling for Explanation of "
        "Black-box Models",
        shows="The mean probability of the class when a place is among the random half that is "
        "left of the picture.",
        misleads="It is a random estimate: spots change with the seed, and differences from place "
        "to place are small beside its mean. Half pictures are none that the network was made for.",
        from_zero=False,
    ),
}
"""By the names that the command line takes; each is a module beside this one."""


def load(name: str) -> Callable[[Subject], Attribution]:
    """Import a method."""
    from importlib import import_module

    module = import_module(f"cnntool.nets.attribution.{name.replace('-', '_')}")
    attribute: Callable[[Subject], Attribution] = module.attribute
    return attribute
