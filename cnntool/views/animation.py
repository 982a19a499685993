"""A window slides over an input and the result fills up: frames, and the animation they make."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.errors import UsageError
from cnntool.views.stage import Scene, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

    from cnntool.shapes.windows import Pair

__all__ = ["Scene", "check_size", "frame", "frames", "gif"]


COLOURS = 128
"""Of an animation's palette, at most."""

APART = 6
"""Levels of red, green or blue by which they differ; Pillow confuses closer ones."""

MOST_SIDE, MOST_FRAMES = 32, 256
"""Cells a side, and values of the result, that are drawn."""


def check_size(padded: Pair, result: Pair, frames: int) -> None:
    """Refuse what nobody could look at.

    Parameters
    ----------
    padded, result : (rows, columns)
        Of the padded input and of the result.
    frames : int
        How many are to be drawn.

    Raises
    ------
    UsageError
        More than `MOST_SIDE` cells a side, or more than `MOST_FRAMES` frames.
    """
    if max(*padded, *result) > MOST_SIDE:
        raise UsageError(
            f"an input of {padded[0]}x{padded[1]} with its border is too large to draw:"
            f" {MOST_SIDE} a side is the most",
            hint="`at` without `output` prints a value of an input of any size",
        )
    if frames > MOST_FRAMES:
        raise UsageError(
            f"the result has {result[0]}x{result[1]} values, an animation at most {MOST_FRAMES}",
            hint="a larger `stride` gives fewer; `at` with `path=FILE.png` draws one",
        )


def frames(scene: Scene) -> Iterator[Image]:
    """Draw a frame for each value of the result, in reading order.

    Parameters
    ----------
    scene : Scene

    Yields
    ------
    PIL.Image.Image
        RGB, all of one size.
    """
    stage = Stage(scene)
    for at in np.ndindex(*scene.result.shape):
        stage.fill(at)
        yield stage.frame(at)


def frame(scene: Scene, at: Pair) -> Image:
    """Draw one frame: the result is filled up to a place."""
    stage = Stage(scene)
    for place in np.ndindex(*scene.result.shape):
        stage.fill(place)
        if place == at:
            break
    return stage.frame(at)


def gif(scene: Scene, seconds: float) -> bytes:
    """Make the animation; it repeats for ever and rests a while at its end.

    Parameters
    ----------
    scene : Scene
    seconds : float
        That each frame stays; GIF counts in hundredths.

    Returns
    -------
    bytes
        A GIF with one palette.
    """
    from io import BytesIO

    from PIL.Image import Dither

    count = scene.result.size
    rows, columns = scene.result.shape
    palette = _palette([frame(scene, (0, 0)), frame(scene, (rows - 1, columns - 1))])
    images = (image.quantize(palette=palette, dither=Dither.NONE) for image in frames(scene))
    first = next(images)
    pause = round(seconds * 1000)
    body = BytesIO()
    first.save(
        body, "GIF", save_all=True, append_images=images, loop=0, optimize=True,
        duration=[pause] * (count - 1) + [max(pause, min(3 * pause, 3000))],
    )  # fmt: skip
    return body.getvalue()


def _palette(images: list[Image]) -> Image:
    """Make a palette of the commonest colours that can well be told apart, each as it is."""
    from PIL import Image

    counts: Counter[tuple[int, ...]] = Counter()
    for image in images:
        found: Any = image.getcolors(image.width * image.height)
        for count, colour in found:
            counts[colour] += count
    chosen = np.array([max(counts, key=lambda colour: counts[colour])])
    for colour, _ in counts.most_common():
        if len(chosen) < COLOURS and np.abs(chosen - colour).max(axis=1).min() > APART:
            chosen = np.vstack([chosen, colour])
    holder = Image.new("P", (1, 1))
    holder.putpalette(chosen.ravel().tolist())
    return holder
