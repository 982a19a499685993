"""Gradients and Grad-CAM held against PyTorch's autograd and pytorch-grad-cam, as a table.

    python -m venv env && env/bin/pip install -e '.[gradients]'
    env/bin/python tests/exporters/gradients_torch.py [--zoo FOLDER] [NAME...]

A network of random weights is exported, and the score of its likeliest class is differentiated by
the picture and by the last layer with maps: by the file's backward graph, and by autograd in
float64. The error is the largest difference over the largest gradient; beside it stands that of
PyTorch's own float32. Grad-CAM's maps lie in 0..1.
"""

from __future__ import annotations

import argparse
import copy
import logging
import subprocess
import sys
import tempfile
import warnings
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import nn

    from cnntool.nets.gradients.differentiate import Pass

SIDES = {
    "torchvision.alexnet": 224,
    "lrn.alexnet": 224,
    "torchvision.vgg11": 224,
    "torchvision.resnet18": 128,
    "torchvision.resnet50": 128,
    "torchvision.resnext50_32x4d": 128,
    "torchvision.densenet121": 128,
    "torchvision.googlenet": 128,
    "torchvision.inception_v3": 171,
    "torchvision.squeezenet1_0": 128,
    "torchvision.squeezenet1_1": 128,
    "torchvision.mobilenet_v2": 128,
    "torchvision.mobilenet_v3_small": 128,
    "torchvision.mobilenet_v3_large": 128,
    "torchvision.mnasnet0_5": 128,
    "torchvision.efficientnet_b0": 128,
    "torchvision.efficientnet_v2_s": 128,
    "torchvision.regnet_y_400mf": 128,
    "torchvision.shufflenet_v2_x0_5": 128,
    "torchvision.convnext_tiny": 128,
    "torchvision.maxvit_t": 224,
    "torchvision.vit_b_32": 128,
    "torchvision.swin_t": 128,
    "torchvision.swin_v2_t": 128,
    "timm.vit_tiny_patch16_224": 64,
    "timm.convnext_atto": 128,
    "timm.tf_efficientnetv2_b0": 128,
}
"""Networks, and rows and columns of the pictures that they are given."""

BAR, DRAWS = 1e-5, 60
"""The error that is let pass, and pictures that are tried: where rounding turns over a ReLU or a
maximum, in the file or in PyTorch, gradients differ by more than any error."""

HEAD = """\
| network | exporter | by picture | PyTorch's float32 | layer | by layer | Grad-CAM | tried |
|---|---|--:|--:|---|--:|--:|--:|"""


class Gradients(NamedTuple):
    """What PyTorch finds."""

    score: float
    picture: NDArray[Any]
    layer: NDArray[Any]
    maps: NDArray[Any]


def by_torch(model: nn.Module, picture: Any, place: int, layer: str) -> Gradients:
    """Differentiate a score by the picture and by what a module makes."""
    kept: list[Any] = []
    hook = model.get_submodule(layer).register_forward_hook(lambda *call: kept.append(call[2]))
    picture = picture.clone().requires_grad_()
    score = model(picture).ravel()[place]
    hook.remove()
    import torch

    found = torch.autograd.grad(score, (picture, kept[0]))
    return Gradients(float(score), *(t.detach().numpy() for t in (*found, kept[0])))


def by_file(way: Pass, picture: NDArray[Any], place: int, layer: str) -> Gradients:
    """Differentiate a score of a file by its input and one of its tensors."""
    made = way.forward(picture, layer)
    seed = np.zeros(made[way.score].shape, np.float32)
    seed.flat[place] = 1
    return Gradients(float(made[way.score].flat[place]), *way.backward(seed), made[layer])


@contextmanager
def opened(path: Path, shape: tuple[int, ...], layer: str) -> Iterator[Pass]:
    """Open what computes both gradients."""
    from cnntool.nets.file.graph import read_graph
    from cnntool.nets.gradients.differentiate import Differentiator
    from cnntool.nets.layers.dataflow import Dataflow
    from cnntool.nets.runtime.providers import SessionSettings

    graph = read_graph(path)
    entry, score = graph.inputs[0].name, graph.outputs[0].name
    made = Differentiator(graph, Dataflow(graph), entry, shape, SessionSettings(), name=path.name)
    with closing(made):
        yield made.open(score, [entry, layer], [layer])


def last_layer(model: nn.Module, picture: Any, path: Path) -> tuple[str, str]:
    """Find the last module with maps, or tokens, whose output a tensor of the file holds."""
    from networks_torch import observe
    from oracle import _run, _same

    tensors = _run(path, picture.numpy())
    for call in reversed(observe(model, picture)):
        places = call.made.shape[2:] if call.made.ndim == 4 else call.made.shape[1:2]
        if call.made.ndim < 3 or max(call.made.shape[1:3]) == 1 or np.prod(places) == 1:
            continue
        for name, held in tensors.items():
            if _same(held, call.made):
                return call.name, name
    raise LookupError(path)


def cam(gradients: Gradients) -> NDArray[Any]:
    """Compute Grad-CAM of a layer (1, C, h, w), scaled to 0..1 as pytorch-grad-cam does."""
    weights = gradients.layer.mean((2, 3), keepdims=True)
    found = (weights * gradients.maps).sum(1)[0].clip(0)
    return (found - found.min()) / (1e-7 + np.ptp(found))


def peer(model: nn.Module, picture: Any, place: int, layer: str) -> NDArray[Any]:
    """Ask pytorch-grad-cam for the same."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.image import scale_cam_image
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    module = model.get_submodule(layer)
    with GradCAM(model, [module]) as explainer:
        explainer(picture, [ClassifierOutputTarget(place)])
        acts, grads = (
            kept[0].numpy()
            for kept in (
                explainer.activations_and_grads.activations,
                explainer.activations_and_grads.gradients,
            )
        )
        found = explainer.get_cam_image(
            picture, module, [ClassifierOutputTarget(place)], acts, grads, eigen_smooth=False
        )
    return scale_cam_image(np.maximum(found, 0))[0]


def network(name: str, side: int) -> tuple[nn.Module, Any]:
    """Build a network that writes over none of its tensors."""
    import networks_torch
    from torch import nn, relu

    nn.functional.relu = lambda x, inplace=False: relu(x)
    model, picture = networks_torch.build(name.replace("lrn.", "torchvision."), side)
    if name == "lrn.alexnet":
        for place in (2, 6):  # after the first two activations, as in 2012
            model.features.insert(place, normalization())
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    return model, picture


def normalization() -> nn.Module:
    """Make AlexNet's local response normalization, which the file is to have as one operator."""
    import torch

    class Norm(torch.nn.LocalResponseNorm):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not torch.onnx.is_in_onnx_export():
                return super().forward(x)
            factors = {"size": self.size, "alpha": self.alpha, "beta": self.beta, "bias": self.k}
            return torch.onnx.ops.symbolic("LRN", [x], factors, dtype=x.dtype, shape=x.shape)

    return Norm(5, 1e-4, 0.75, 2.0)


def error(found: NDArray[Any], right: NDArray[Any]) -> float:
    """Return the largest difference over the largest number."""
    return float(np.abs(found - right).max() / np.abs(right).max())


def row(name: str, exporter: str, folder: Path) -> str:
    """Compare the gradients of one file."""
    import networks_torch

    model, picture = network(name, SIDES[name])
    path = folder / f"{name}.{exporter}.onnx"
    if not path.exists():
        try:
            networks_torch.export(model, picture, path, exporter)
        except Exception as failure:  # noqa: BLE001 - the exporter's
            return f"| {name} | {exporter} | no export: {type(failure).__name__} | | | | |"
    module, tensor = last_layer(model, picture, path)
    exact, first = copy.deepcopy(model).double(), picture
    place = int(model(picture).argmax())
    with opened(path, tuple(picture.shape), tensor) as way:
        tried = 0
        while True:
            tried += 1
            right = by_torch(exact, picture.double(), place, module)
            ours = by_file(way, picture.numpy(), place, tensor)
            errors = error(ours.picture, right.picture), error(ours.layer, right.layer)
            if max(errors) < BAR or tried == DRAWS:
                break
            picture = first + first.clone().normal_() / 100  # norms were fitted to the first
    single = by_torch(model, picture, place, module)
    maps = "-"
    if right.layer.ndim == 4:
        maps = f"{np.abs(cam(ours) - peer(exact, picture.double(), place, module)).max():.1e}"
    return (
        f"| {name} | {exporter} | {errors[0]:.1e} | {error(single.picture, right.picture):.1e}"
        f" | {module} | {errors[1]:.1e} | {maps} | {tried} |"
    )


def main() -> int:
    """Print the table, each row in a process of its own: frameworks do not give memory back."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--zoo", type=Path, help="where exported networks are, or are put")
    parser.add_argument("--exporter", choices=["torchscript", "dynamo"])
    parser.add_argument("names", nargs="*", choices=[[], *SIDES])
    given = parser.parse_args()
    if given.exporter:
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        print(row(given.names[0], given.exporter, given.zoo), flush=True)
        return 0
    print(HEAD, flush=True)
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for name in given.names or SIDES:
            for exporter in ("torchscript", "dynamo"):
                command = [sys.executable, __file__, "--exporter", exporter, "--zoo"]
                command += [str(given.zoo or folder), name]
                if subprocess.run(command, check=False).returncode:
                    failed.append(f"{name} ({exporter})")
    if failed:
        print("failed:", *failed, sep="\n", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
