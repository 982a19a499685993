"""Networks of a few hundred weights, whose modules are named as those of large ones in PyTorch."""

from __future__ import annotations

import torch
from torch import nn

WIDTH = 4


class Basic(nn.Module):
    """A residual block whose one ReLU is called twice, as in a ResNet."""

    def __init__(self, given: int, made: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(given, made, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(made)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(made, made, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(made)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(given, made, 1, stride, bias=False), nn.BatchNorm2d(made)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (self.downsample(x) if self.downsample else x))


class Residual(nn.Module):
    """A stem, two stages and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTH, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTH)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(2)
        self.layer1 = nn.Sequential(Basic(WIDTH, WIDTH), Basic(WIDTH, WIDTH))
        self.layer2 = nn.Sequential(Basic(WIDTH, 5, 2), Basic(5, 5))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layer2(self.layer1(x))), 1))


class Wrapper(nn.Module):
    """A network under a name, as Lightning has it."""

    def __init__(self, name: str, inner: nn.Module) -> None:
        super().__init__()
        self._called = name
        setattr(self, name, inner)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return getattr(self, self._called)(x)


class Shared(nn.Module):
    """A block of a convolution and an activation that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 3)
        self.block = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.Tanh())
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(WIDTH, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.block(self.pool(self.block(self.stem(x))))))


class DenseLayer(nn.Module):
    """One that begins by putting together all that was made before it."""

    def __init__(self, given: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(given)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(given, 3, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(3)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(3, 2, 3, padding=1, bias=False)

    def forward(self, given: list[torch.Tensor]) -> torch.Tensor:
        x = self.conv1(self.relu1(self.norm1(torch.cat(given, 1))))
        return self.conv2(self.relu2(self.norm2(x)))


class DenseBlock(nn.ModuleDict):
    """Layers that hand all they make to all that follow."""

    def __init__(self, given: int, count: int) -> None:
        super().__init__({f"denselayer{i + 1}": DenseLayer(given + 2 * i) for i in range(count)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = [x]
        for layer in self.values():
            made.append(layer(made))
        return torch.cat(made, 1)


class Transition(nn.Sequential):
    """What halves the map between two blocks."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(given)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(given, made, 1, bias=False)
        self.pool = nn.AvgPool2d(2)


class Dense(nn.Module):
    """A DenseNet of two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.conv0 = nn.Conv2d(3, WIDTH, 3, padding=1, bias=False)
        self.features.norm0 = nn.BatchNorm2d(WIDTH)
        self.features.relu0 = nn.ReLU(inplace=True)
        self.features.denseblock1 = DenseBlock(WIDTH, 2)
        self.features.transition1 = Transition(WIDTH + 4, WIDTH)
        self.features.denseblock2 = DenseBlock(WIDTH, 2)
        self.features.norm5 = nn.BatchNorm2d(WIDTH + 4)
        self.classifier = nn.Linear(WIDTH + 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.features(x))
        return self.classifier(x.mean((2, 3)))


class Attention(nn.Module):
    """Self-attention of two heads, as timm writes it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm = nn.Identity()
        self.attn_drop = nn.Dropout(0.1)
        self.proj = nn.Linear(width, width)
        self.proj_drop = nn.Dropout(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        heads = self.qkv(x).reshape(batch, tokens, 3, 2, width // 2).permute(2, 0, 3, 1, 4)
        q, k, v = heads.unbind(0)
        weights = (self.q_norm(q) @ k.transpose(-2, -1)).softmax(-1)
        x = (self.attn_drop(weights) @ v).transpose(1, 2).reshape(batch, tokens, width)
        return self.proj_drop(self.proj(x))


class Mlp(nn.Module):
    """Two dense layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 2 * width)
        self.act = nn.GELU()
        self.drop1 = nn.Dropout(0.1)
        self.fc2 = nn.Linear(2 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.drop1(self.act(self.fc1(x))))


class Block(nn.Module):
    """Attention and dense layers, each beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Permute(nn.Module):
    """Channels first."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 1)


class PatchEmbed(nn.Module):
    """Patches as tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, 4, 4)
        self.norm = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.proj(x).flatten(2).transpose(1, 2))


class Transformer(nn.Module):
    """A ViT of two blocks; its last module is called as a tensor of another is."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(8)
        self.pos_drop = nn.Dropout(0.1)
        self.blocks = nn.Sequential(Block(8), Block(8))
        self.norm = nn.LayerNorm(8)
        self.permute = Permute()
        self.avgpool = nn.AdaptiveAvgPool1d(1)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.blocks(self.pos_drop(self.patch_embed(x))))
        return self.head(self.avgpool(self.permute(x)).flatten(1))


class ConvNormActivation(nn.Sequential):
    """As torchvision has it."""

    def __init__(self, given: int, made: int, size: int, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(given, made, size, padding=size // 2, groups=groups, bias=False),
            nn.BatchNorm2d(made),
            nn.ReLU6(inplace=True),
        )


class Squeeze(nn.Module):
    """A factor for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(width, 2, 1)
        self.fc2 = nn.Conv2d(2, width, 1)
        self.activation = nn.ReLU()
        self.scale_activation = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.activation(self.fc1(self.avgpool(x)))
        return self.scale_activation(self.fc2(y)) * x


class Inverted(nn.Module):
    """An inverted residual block, as in MobileNetV2, with a squeeze."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            ConvNormActivation(width, 6, 1),
            ConvNormActivation(6, 6, 3, groups=6),
            Squeeze(6),
            nn.Conv2d(6, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x)


class Mobile(nn.Module):
    """Numbered modules within numbered modules."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            ConvNormActivation(3, WIDTH, 3),
            Inverted(WIDTH),
            Inverted(WIDTH),
            ConvNormActivation(WIDTH, 6, 1),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.1), nn.Linear(6, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


NETWORKS = {
    "residual": Residual,
    "wrapped": lambda: Wrapper("model", Residual()),
    "shared": Shared,
    "dense": Dense,
    "transformer": Transformer,
    "mobile": Mobile,
}
SIDE = 16
