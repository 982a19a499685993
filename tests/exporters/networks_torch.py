"""Networks of PyTorch, torchvision and timm, and PyTorch's two exporters."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch
from oracle import Call
from tiny_torch import NETWORKS, SIDE, Wrapper
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# torchvision's wheels are built for CUDA's PyTorch; of its own operators none is in a classifier,
# but it wants to find these two.
_OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
for _name in ("nms", "qnms"):
    _OPERATORS.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

TORCHVISION = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5",
    "squeezenet1_0",
    "squeezenet1_1",
    "swin_t",
    "swin_v2_t",
    "vgg11",
    "vgg11_bn",
    "vit_b_32",
    "wide_resnet50_2",
]
TIMM = [
    "vit_tiny_patch16_224",
    "regnetx_002",
    "regnety_002",
    "efficientnet_b0",
    "tf_efficientnetv2_b0",
    "convnext_atto",
    "mobilenetv3_small_050",
    "resnet10t",
]
WRAPPED = {
    "model.resnet18": "torchvision.resnet18",
    "module.mobilenet_v2": "torchvision.mobilenet_v2",
    "net.backbone.densenet121": "torchvision.densenet121",
    "model.vit": "timm.vit_tiny_patch16_224",
}
"""As Lightning, DataParallel and others wrap a network: the words before it, and the network."""

EXPORTERS = {
    "torchscript": {"dynamo": False},
    "dynamo": {"dynamo": True, "external_data": False, "verbose": False},
}

SIDES = {
    "alexnet": 224,
    "inception_v3": 139,
    "maxvit_t": 224,
    "vit_b_32": 96,
    "vit_tiny_patch16_224": 64,
}
"""Of the picture, where 64 will not do."""


def names() -> list[str]:
    """List what `build` can make."""
    return [f"torchvision.{name}" for name in TORCHVISION] + [
        *(f"timm.{name}" for name in TIMM),
        *(f"wrapped.{name}" for name in WRAPPED),
    ]


def tiny() -> list[str]:
    """List those that are small enough for a test."""
    return [f"tiny.{name}" for name in NETWORKS]


def build(name: str, side: int = 0) -> tuple[nn.Module, torch.Tensor]:
    """Make a network with random weights, and a picture for it, of a side if that matters."""
    origin, _, rest = name.partition(".")
    torch.manual_seed(sum(map(ord, name)))
    if origin == "wrapped":
        model, picture = build(WRAPPED[rest], side)
        for part in reversed(rest.split(".")[:-1]):
            model = Wrapper(part, model)
        return model.eval(), picture
    side = side or (SIDE if origin == "tiny" else SIDES.get(rest, 64))
    if origin == "tiny":
        model = NETWORKS[rest]()
    elif origin == "timm":
        import timm

        size = {"img_size": side} if rest.startswith("vit") else {}
        model = timm.create_model(rest, pretrained=False, **size)
    else:
        import torchvision

        sized = {"image_size": side} if rest.startswith("vit") else {}
        if rest in {"googlenet", "inception_v3"}:
            sized["init_weights"] = False
        model = torchvision.models.get_model(rest, **sized)
    picture = torch.randn(1, 3, side, side)
    randomise(model.eval(), picture)
    return model, picture


def randomise(model: nn.Module, picture: torch.Tensor) -> None:
    """Make all numbers random that stand at 0 or 1 before the training, and norms fit their input.

    Else a batch norm or a layer scale would hand on its input, and two modules be equal by chance.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.numel() and (parameter == parameter.flatten()[0]).all():
                if parameter.flatten()[0]:
                    parameter.uniform_(0.5, 1.5)
                else:
                    parameter.normal_(0, 0.2)

    def fit(norm: nn.Module, given: tuple[torch.Tensor]) -> None:
        over = [axis for axis in range(given[0].ndim) if axis != 1]
        power = given[0].square().mean(over)
        power += power.mean() / 10 + 1e-3
        norm.running_mean.copy_(power.sqrt() * torch.randn_like(power) / 5)
        norm.running_var.copy_(power * torch.empty_like(power).uniform_(0.5, 1.5))

    hooks = [
        module.register_forward_pre_hook(fit)
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]
    with torch.no_grad():
        model(picture)
    for hook in hooks:
        hook.remove()


def observe(model: nn.Module, picture: torch.Tensor) -> list[Call]:
    """Run a network and note what every module makes."""
    calls: list[Call] = []
    names = {module: name for name, module in model.named_modules()}
    entered: list[torch.Tensor | None] = []

    def enter(module: nn.Module, given: tuple[object, ...]) -> None:
        entered.append(_first(given))

    def leave(module: nn.Module, _: tuple[object, ...], result: object) -> None:
        given, made = entered.pop(), _first(result)
        if names[module] and given is not None and made is not None:
            call = Call(names[module], type(module).__name__, given.numpy(), made.numpy())
            calls.append(call)

    hooks = [module.register_forward_pre_hook(enter) for module in names]
    hooks += [module.register_forward_hook(leave) for module in names]
    with torch.no_grad():
        model(picture)
    for hook in hooks:
        hook.remove()
    return calls


def _first(value: object) -> torch.Tensor | None:
    """Copy the first tensor of what a module is given or makes; a later one may write into it."""
    while isinstance(value, (tuple, list)) and value:
        value = value[0]
    return value.detach().clone() if isinstance(value, torch.Tensor) else None


def exports(
    model: nn.Module, picture: torch.Tensor, folder: Path, name: str
) -> Iterator[tuple[Path, bool]]:
    """Write a network with either exporter; yield the files, and that layouts stay as they are."""
    for exporter in EXPORTERS:
        path = folder / f"{name}.{exporter}.onnx"
        export(model, picture, path, exporter)
        yield path, False


def export(model: nn.Module, picture: torch.Tensor, path: Path, exporter: str) -> None:
    """Write a network with one of the exporters."""
    with contextlib.redirect_stdout(None):  # a failed export prints its whole graph
        torch.onnx.export(model, (picture,), path, **EXPORTERS[exporter])
