"""What is explained: a picture in a network, and one of its classes.

Methods know a network by three functions alone: gradients by its input, a layer with its gradients,
and probabilities of many pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from cnntool.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from cnntool.nets.models.manifest import InputSpec

    Layered = tuple[NDArray[np.float32], NDArray[np.float32]]
    Scored = tuple[float, NDArray[np.float32]]

T = TypeVar("T")


class Attribution(NamedTuple):
    """What a method finds.

    Parameters
    ----------
    map : ndarray of shape (h, w) of float32
        How much each place speaks for the class, in the method's own units; of the size of the
        layer, or of what goes into the network. It is zero everywhere where nothing does.
    facts : mapping of str to int or float
        What else is worth knowing: how many steps, samples or masks, and the error left.
    """

    map: NDArray[np.float32]
    facts: Mapping[str, float]


class Subject(NamedTuple):
    """A picture in a network, and the class that is asked for.

    Parameters
    ----------
    name : str
        What errors call the network.
    tensor : ndarray of shape (C, H, W) or (H, W, C)
        What goes in, without its batch, as `cnntool.nets.inference.preprocess.prepare` makes it.
    entry : InputSpec
        What its numbers mean.
    input_gradient : callable
        From such a tensor to the class's score, before softmax or sigmoid, and the score's gradient
        by the tensor: (C, H, W) of float32, whatever the layout is.
    layer_gradient : callable
        From such a tensor to the maps (C, h, w) of the layer that was chosen, and the score's
        gradient by them. Those of an 8-bit network are dequantised; the tokens of a transformer
        lie as its patches do.
    probabilities : callable
        From such tensors to the class's probability (0..1) in each, in order and in bounded memory.
    seed : int
        Of all that is drawn at random.
    progress : callable, optional
        Is told how many pictures are done, and of how many.
    """

    name: str
    tensor: NDArray[Any]
    entry: InputSpec
    input_gradient: Callable[[NDArray[Any]], Scored]
    layer_gradient: Callable[[NDArray[Any]], Layered]
    probabilities: Callable[[Iterable[NDArray[Any]]], Iterator[float]]
    seed: int = 0
    progress: Callable[[int, int], None] | None = None

    @property
    def planar(self) -> bool:
        """Whether channels come first in what goes in."""
        return self.entry.layout == "NCHW"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of what goes in."""
        rows, columns = self.tensor.shape[1:] if self.planar else self.tensor.shape[:2]
        return rows, columns

    @property
    def rng(self) -> np.random.Generator:
        """A generator at its start: what one method draws does not depend on another."""
        return np.random.default_rng(self.seed)

    @property
    def blank(self) -> NDArray[np.float64]:
        """The picture's mean colour, of the tensor's shape: a picture in which nothing is seen.

        Unlike black or grey it adds no contrast to what is left of the picture, and it needs no
        knowledge of what the network was trained on.
        """
        axes = (1, 2) if self.planar else (0, 1)
        mean = self.tensor.mean(axes, np.float64, keepdims=True)
        return np.broadcast_to(mean, self.tensor.shape)

    def planes(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """Put the channels of a tensor first, as they are in gradients."""
        return tensor if self.planar else np.moveaxis(tensor, -1, 0)

    def tensor_of(self, planes: NDArray[Any]) -> NDArray[Any]:
        """Make what goes in of channels (C, H, W): whole numbers are rounded and clipped."""
        values = planes if self.planar else np.moveaxis(planes, 0, -1)
        dtype = self.tensor.dtype
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            values = np.rint(values).clip(limits.min, limits.max)
        return np.ascontiguousarray(values, dtype)

    def blend(self, mask: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
        """Keep the picture where a mask (H, W) is 1, and have another one where it is 0."""
        kept = self.planes(self.tensor) * mask
        return self.tensor_of(kept + self.planes(other) * (1 - mask))

    def told(self, items: Iterable[T], total: int, done: int = 0) -> Iterator[T]:
        """Pass items on and report each as done when the next one is wanted.

        Parameters
        ----------
        items : iterable
            What is to be done.
        total : int
            How much there is to do.
        done : int
            How much of that was done before.
        """
        for number, item in enumerate(items, done + 1):
            yield item
            if self.progress is not None:
                self.progress(number, total)

    def scores(self, tensors: Iterable[NDArray[Any]], total: int) -> Iterator[float]:
        """Ask for the class's probability in each of many pictures, and report progress."""
        return self.told(self.probabilities(tensors), total)

    def gradient(self, tensor: NDArray[Any]) -> Scored:
        """Return the class's score and its gradient by the input, see `input_gradient`.

        Raises
        ------
        ModelError
            The gradient is NaN or infinite somewhere.
        """
        score, gradient = self.input_gradient(tensor)
        self._check(gradient)
        return score, gradient

    def layer(self) -> Layered:
        """Return the maps of the layer and the score's gradient by them, see `layer_gradient`.

        Raises
        ------
        ModelError
            The gradient is NaN or infinite somewhere.
        """
        maps, gradient = self.layer_gradient(self.tensor)
        self._check(gradient)
        return maps, gradient

    def _check(self, gradient: NDArray[np.float32]) -> None:
        bad = gradient.size - int(np.isfinite(gradient).sum())
        if bad:
            raise ModelError(
                f"the gradient is NaN or infinite in {bad:,} of {gradient.size:,} places",
                source=self.name,
                hint="`method=occlusion` and `method=rise` need no gradient",
            )
