"""Pictures of nothing that has a class, made from the photos themselves.

Photos that belong to no class are few. Some more is made of every batch: textures, shuffled
patches, blends of two photos and plain surfaces, so that "something else" is no list of things.
Most are as sharp as photos: were they smooth, every blurred photo would be taken for one of them.
"""

import torch
from torch import Tensor
from torch.nn import functional


def made(pixels: Tensor) -> Tensor:
    """Return one picture of nothing for each of `pixels`, uint8 (N, H, W, 3); kinds take turns."""
    values = pixels.permute(0, 3, 1, 2).float()
    kinds = (_texture, _shuffled, _blend, _texture, _shuffled, _blend, _surface)
    first = int(torch.randint(0, len(kinds), ()))
    made = [
        kinds[(first + row) % len(kinds)](values[row], values[row - 1])
        for row in range(len(values))
    ]
    return torch.stack(made).clamp_(0, 255).byte().permute(0, 2, 3, 1)


def recombined(pixels: Tensor) -> Tensor:
    """Return photos of no class, uint8 (N, H, W, 3), each made into one that was not seen before.

    One in six stays, two are cut closer, one gets a part of another, one stands beside another, one
    is small and repeated. In a third of them the colours change places.
    """
    values = pixels.permute(0, 3, 1, 2).float()
    kinds = (_same, _closer, _closer, _patched, _beside, _tiled)
    found = values.clone()
    for row in range(len(values)):
        found[row] = kinds[_between(0, 5)](values[row], values[row - 1])
    for row in range(len(values)):
        if not _between(0, 2):
            found[row] = found[row, torch.randperm(3)]
    return found.clamp_(0, 255).byte().permute(0, 2, 3, 1)


def _between(low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, ()))


def _sized(picture: Tensor, size: int, mode: str = "bilinear") -> Tensor:
    smooth = mode != "nearest"
    return functional.interpolate(picture[None], (size, size), mode=mode, antialias=smooth)[0]


def _window(picture: Tensor, low: float, high: float) -> Tensor:
    """Return a square cutout of between `low` and `high` of the side."""
    size = picture.shape[-1]
    side = _between(round(low * size), round(high * size))
    top, left = _between(0, size - side), _between(0, size - side)
    return picture[:, top : top + side, left : left + side]


def _same(picture: Tensor, _: Tensor) -> Tensor:
    return picture


def _patched(picture: Tensor, other: Tensor) -> Tensor:
    """Return a picture with a part of another somewhere."""
    found = picture.clone()
    part = _window(other, 0.3, 0.65)
    side = part.shape[-1]
    top, left = (_between(0, picture.shape[-1] - side) for _ in range(2))
    found[:, top : top + side, left : left + side] = part
    return found


def _closer(picture: Tensor, _: Tensor) -> Tensor:
    """Return a part, blown up."""
    return _sized(_window(picture, 0.4, 0.8), picture.shape[-1], "bicubic")


def _beside(picture: Tensor, other: Tensor) -> Tensor:
    """Return the left of one picture and the right of another, or the upper and the lower part."""
    size = picture.shape[-1]
    edge = _between(size // 3, 2 * size // 3)
    if _between(0, 1):
        return torch.cat([picture[:, :, :edge], other[:, :, edge:]], dim=2)
    return torch.cat([picture[:, :edge], other[:, edge:]], dim=1)


def _tiled(picture: Tensor, other: Tensor) -> Tensor:
    """Return both pictures twice at half size, in the second row mirrored and in turn."""
    half = picture.shape[-1] // 2
    row = torch.cat([_sized(picture, half), _sized(other, half)], dim=2)
    found = torch.cat([row, row.flip(2)], dim=1)
    return _sized(found, picture.shape[-1])


def _texture(picture: Tensor, _: Tensor) -> Tensor:
    """Return a small cutout, blown up (mostly sharpened), or repeated with its mirror images."""
    size = picture.shape[-1]
    cutout = _window(picture, 1 / 8, 1 / 4)
    side = cutout.shape[-1]
    if _between(0, 1):
        large = _sized(cutout, size, ("nearest", "bicubic", "bicubic")[_between(0, 2)])
        smooth = _sized(_sized(large, side // 2), size)
        return large + 2 * torch.rand(()) * (large - smooth)
    row = torch.cat([cutout, cutout.flip(2)], dim=2)
    tile = torch.cat([row, row.flip(1)], dim=1)
    times = -(-size // tile.shape[-1])
    return tile.repeat(1, times, times)[:, :size, :size]


def _shuffled(picture: Tensor, _: Tensor) -> Tensor:
    """Return the patches of a grid of 3 x 3 to 16 x 16 in another order."""
    size = picture.shape[-1]
    across = (3, 4, 5, 6, 8, 10, 16)[_between(0, 6)]
    side = size // across
    patches = picture[:, : side * across, : side * across].unfold(1, side, side)
    patches = patches.unfold(2, side, side).flatten(1, 2)[:, torch.randperm(across**2)]
    rows = patches.unflatten(1, (across, across)).permute(0, 1, 3, 2, 4)
    return _sized(rows.reshape(3, side * across, side * across), size)


def _blend(picture: Tensor, other: Tensor) -> Tensor:
    """Return two photos laid over each other, one of them upside down; one in six blurred."""
    both = (picture + other.flip(1)) / 2
    size = both.shape[-1]
    return both if _between(0, 5) else _sized(_sized(both, _between(6, 16)), size)


def _surface(picture: Tensor, other: Tensor) -> Tensor:
    """Return a gradient between two colours of the photos, with noise or without."""
    size = picture.shape[-1]
    row, column = _between(0, size - 1), _between(0, size - 1)
    start, end = picture[:, row, column], other[:, column, row]
    steps = torch.linspace(-1, 1, size)
    angle = 6.28 * torch.rand(())
    slope = (steps[:, None] * angle.sin() + steps * angle.cos()) * torch.rand(()) / 2 + 0.5
    surface = torch.lerp(start[:, None, None], end[:, None, None], slope)
    return surface + 60 * torch.rand(()) * torch.randn_like(surface)
