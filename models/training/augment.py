"""Random variation of whole batches: crop, flip, colour, grey, blur, erasing, mixing.

Everything is a handful of tensor operations on a batch; each picture gets its own random numbers.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
LUMA = (0.299, 0.587, 0.114)
BLUR_WIDTH = 160  # pixels: the width at which sigma is 0.5 to 2.2


@dataclass(frozen=True)
class Strength:
    """How far the pictures may be varied.

    Attributes
    ----------
    area : float
        Smallest share of the picture that a crop keeps, 0..1.
    aspect : float
        Largest ratio of a crop's sides, 1 or more.
    turn : float
        Largest rotation of half of the pictures, degrees.
    colour : float
        Brightness, contrast and saturation vary by a factor of 1 - colour .. 1 + colour.
    grey, coarse, noise, erase, mix, blur : float
        Probability that a picture turns grey, that a batch is seen at half resolution or gets
        noise, that a rectangle is erased, that a batch is mixed with itself in another order, and
        that a picture is blurred.
    """

    area: float = 0.35
    aspect: float = 4 / 3
    turn: float = 15
    colour: float = 0.3
    grey: float = 0.08
    coarse: float = 0.1
    noise: float = 0.1
    erase: float = 0.2
    mix: float = 0.3
    blur: float = 0.0


def normalised(pixels: Tensor) -> Tensor:
    """Return uint8 pictures (N, H, W, 3) as normalised float32 (N, 3, H, W), channels last."""
    values = pixels.permute(0, 3, 1, 2).float() / 255
    return (values - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]


def varied(pixels: Tensor, size: int, strength: Strength) -> Tensor:
    """Return random views (N, 3, size, size), normalised, of uint8 pictures (N, H, W, 3)."""
    count = len(pixels)
    values = pixels.permute(0, 3, 1, 2).float().contiguous()
    blurred = torch.nonzero(torch.rand(count) < strength.blur).flatten()
    if len(blurred):
        values[blurred] = _blurred(values[blurred])
    if pixels.shape[1] >= 2 * size or _chance(strength.coarse):
        values = functional.avg_pool2d(values, 2)
    grid = _crops(count, size, strength)
    views = functional.grid_sample(values, grid, padding_mode="reflection", align_corners=False)
    views = _recoloured(views.contiguous() / 255, strength)
    if _chance(strength.noise):
        views += _uniform(count, 0, 0.4)[:, None, None, None] * torch.randn_like(views)
    if strength.erase:
        views = _erased(views, strength.erase)
    return views.contiguous(memory_format=torch.channels_last)


def mixed(views: Tensor, targets: Tensor, probability: float) -> tuple[Tensor, Tensor, float]:
    """Return views mixed with others of the batch, the others' targets, and their share.

    Half of the mixed batches are blends (mixup), half get a rectangle of the other (cutmix).
    """
    if not _chance(probability):
        return views, targets, 0.0
    order = torch.randperm(len(views))
    if _chance(0.5):
        share = 0.5 * torch.rand(()).item() ** 2
        return torch.lerp(views, views[order], share), targets[order], share
    size = views.shape[-1]
    side = round(size * math.sqrt(0.5 * torch.rand(()).item()))
    row, column = (int(torch.randint(0, size - side + 1, ())) for _ in range(2))
    window = (..., slice(row, row + side), slice(column, column + side))
    views = views.clone(memory_format=torch.channels_last)
    views[window] = views[order][window]
    return views, targets[order], (side / size) ** 2


def _chance(probability: float) -> bool:
    return torch.rand(()).item() < probability


def _uniform(count: int, low: float, high: float) -> Tensor:
    return torch.empty(count).uniform_(low, high)


def _blurred(values: Tensor) -> Tensor:
    """Return square pictures (N, 3, S, S), each blurred by a Gaussian of its own width."""
    side = values.shape[-1]
    sigma = _uniform(len(values), 0.5, 2.2)[:, None, None] * (side / BLUR_WIDTH)
    steps = torch.arange(side)
    weights = torch.exp(-0.5 * ((steps - steps[:, None]) / sigma) ** 2)
    weights = (weights / weights.sum(dim=2, keepdim=True))[:, None]
    return weights @ values @ weights.mT


def _crops(count: int, size: int, strength: Strength) -> Tensor:
    """Return sampling points (N, size, size, 2) of random crops, turned, half of them mirrored."""
    area = _uniform(count, strength.area, 1)
    bend = torch.exp(_uniform(count, -math.log(strength.aspect), math.log(strength.aspect)) / 2)
    width, height = (area.sqrt() * bend).clamp(max=1), (area.sqrt() / bend).clamp(max=1)
    flip = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    turn = math.radians(strength.turn) * _uniform(count, -1, 1) * (torch.rand(count) < 0.5)
    affine = torch.zeros(count, 2, 3)
    affine[:, 0, 0] = width * flip * turn.cos()
    affine[:, 0, 1] = -height * turn.sin()
    affine[:, 1, 0] = width * flip * turn.sin()
    affine[:, 1, 1] = height * turn.cos()
    affine[:, 0, 2] = (1 - width) * _uniform(count, -1, 1)
    affine[:, 1, 2] = (1 - height) * _uniform(count, -1, 1)
    return functional.affine_grid(affine, [count, 3, size, size], align_corners=False)


def _recoloured(views: Tensor, strength: Strength) -> Tensor:
    """Vary saturation, contrast, brightness and normalise: one matrix and offset a picture."""
    count = len(views)
    span = (1 - strength.colour, 1 + strength.colour)
    saturation = torch.where(torch.rand(count) < strength.grey, 0.0, _uniform(count, *span))
    contrast, brightness = _uniform(count, *span), _uniform(count, *span)
    luma = torch.tensor(LUMA)
    matrix = saturation[:, None, None] * torch.eye(3) + (1 - saturation)[:, None, None] * luma
    level = (views.mean(dim=(2, 3)) @ luma)[:, None]
    scale = 1 / torch.tensor(DEVIATION)
    matrix = (contrast * brightness)[:, None, None] * matrix * scale[:, None]
    offset = ((1 - contrast) * brightness)[:, None] * level * scale - torch.tensor(MEAN) * scale
    flat = torch.baddbmm(offset[:, :, None], matrix, views.flatten(2))
    return flat.view_as(views)


def _erased(views: Tensor, probability: float) -> Tensor:
    """Replace a rectangle of 4 to 20 % of some pictures by the mean colour (zero, normalised)."""
    count, _, size, _ = views.shape
    area, bend = _uniform(count, 0.04, 0.2), torch.exp(_uniform(count, -0.7, 0.7) / 2)
    half = torch.stack([area.sqrt() * bend, area.sqrt() / bend]) * size / 2
    half = half * (torch.rand(count) < probability)
    centre = _uniform(2 * count, 0, size).view(2, count)
    steps = torch.arange(size)
    inside = (steps - centre[..., None]).abs() < half[..., None]
    return views.masked_fill((inside[0][:, :, None] & inside[1][:, None, :])[:, None], 0.0)
