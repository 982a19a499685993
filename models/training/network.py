"""VGG-16 with narrow layers: thirteen 3x3 convolutions in five blocks, an average, a dense layer.

Names are those of Keras (``block1_conv1`` to ``block5_conv3``, ``block1_pool`` to ``block5_pool``,
``predictions``). Batch norm follows each convolution while training and is folded away afterwards.
"""

import torch
from torch import Tensor, nn

DEPTHS = (2, 2, 3, 3, 3)


class ConvBlock(nn.Module):
    """3x3 convolution, batch norm, ReLU and, at the end of a block, 2x2 max pooling.

    The norm has no factor of its own: ReLU(a x) = a ReLU(x) for a > 0, so the next layer's weights
    hold it. A norm that cannot change sign also commutes with max pooling: pooling first, as done
    here, means the same as VGG's order and spares the norm and the ReLU three values of four.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    pooled : bool
        Whether the maps are halved.
    plain : bool
        No norm, a bias alone: for the first layer, whose input is normalised already.
    """

    def __init__(self, inputs: int, outputs: int, *, pooled: bool, plain: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=plain)
        self.pool = nn.MaxPool2d(2) if pooled else nn.Identity()
        self.norm = nn.Identity() if plain else nn.BatchNorm2d(outputs)
        if not plain:
            self.norm.weight.requires_grad_(requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated maps, (N, outputs, H, W) or half that size."""
        return torch.relu_(self.norm(self.pool(self.conv(x))))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the convolution with the norm in it.

        y = (w x - mean) / sqrt(var + eps) + beta: the divisor goes into w, the rest is the bias.
        """
        weight = self.conv.weight.detach().float()
        if self.conv.bias is not None:
            return weight, self.conv.bias.detach().float()
        factor = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        bias = self.norm.bias - self.norm.running_mean * factor
        return weight * factor.detach()[:, None, None, None], bias.detach()


class MiniVgg(nn.Module):
    """VGG-16's body and a one-layer head.

    Parameters
    ----------
    widths : tuple of int
        Channels of each of the five blocks.
    classes : int
        Number of labels.
    dropout : float
        Share of the averaged features left out while training, 0..1.
    kept : int
        Blocks at the start that do not learn: convolution and bias as they are, no norm.
    """

    def __init__(
        self, widths: tuple[int, ...], classes: int, *, dropout: float = 0.0, kept: int = 0
    ) -> None:
        super().__init__()
        self.body = nn.ModuleDict()
        channels = 3
        for number, (width, depth) in enumerate(zip(widths, DEPTHS, strict=True), start=1):
            for index in range(1, depth + 1):
                name = f"block{number}_conv{index}"
                plain = not self.body or number <= kept
                self.body[name] = ConvBlock(channels, width, pooled=index == depth, plain=plain)
                channels = width
        self.kept = sum(DEPTHS[:kept])
        for layer in list(self.body.values())[: self.kept]:
            layer.requires_grad_(requires_grad=False)
        self.dropout = nn.Dropout(dropout)
        self.predictions = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, classes) of normalised RGB pictures (N, 3, H, W)."""
        layers = list(self.body.values())
        with torch.no_grad():
            for layer in layers[: self.kept]:
                x = layer(x)
        for layer in layers[self.kept :]:
            x = layer(x)
        return self.predictions(self.dropout(x.mean(dim=(2, 3))))

    @torch.no_grad()
    def begin_with(self, layers: dict[str, tuple[Tensor, Tensor]], views: Tensor) -> None:
        """Take over the layers of a trained network, as `folded` returns them.

        The dense layer is taken where it has as many classes. A norm answers as the folded bias did
        once its offset holds the mean of what comes in, which is measured on `views`.
        """
        x = views
        for name, layer in self.body.items():
            weight, bias = layers[name]
            layer.conv.weight.copy_(weight)
            if layer.conv.bias is None:
                found = layer.pool(layer.conv(x))
                deviation, mean = torch.std_mean(found, dim=(0, 2, 3))
                layer.norm.bias.copy_((mean + bias) / deviation)
            else:
                layer.conv.bias.copy_(bias)
            x = layer.train()(x)
        weight, bias = layers["predictions"]
        if weight.shape == self.predictions.weight.shape:
            self.predictions.weight.copy_(weight)
            self.predictions.bias.copy_(bias)

    def folded(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return weight and bias of every convolution and of the dense layer by name."""
        layers = {name: layer.folded() for name, layer in self.body.items()}
        head = self.predictions
        return layers | {"predictions": (head.weight.detach().float(), head.bias.detach().float())}
