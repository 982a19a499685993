"""From a record of facts to a manifest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from networks import VGG_DEPTHS, Row

from cnntool.nets.models.manifest import Accuracy, InputSpec, ModelSpec, OutputSpec

IMAGENET, VOC = "imagenet-1k.tsv", "pascal-voc.tsv"


def manifest(name: str, row: Row, facts: dict[str, Any]) -> ModelSpec:
    """Return the manifest of one network."""
    kind = facts["kind"]
    return ModelSpec(
        name=name,
        title=row.title,
        file=Path(facts["url"]).name,
        sha256=facts["sha256"],
        size=facts["size"],
        urls=(facts["url"], facts["github_media_url"]),
        licence=facts["license"] if facts["tree"] == "validated" else "unknown",
        source=f"https://huggingface.co/{facts['hf_repo']}",
        input=picture(facts),
        output=answer(facts),
        labels_file={"classification": IMAGENET, "segmentation": VOC}.get(kind),
        note=" ".join(filter(None, (row.note, origin(facts)))),
        layers=layers(name),
        accuracy=accuracy(facts),
    )


def origin(facts: dict[str, Any]) -> str:
    """Say where the preprocessing comes from, if not from the one who published the file."""
    tag = facts.get("timm_default_tag_0_9_8")
    if tag is None:
        return ""
    return (
        f"Weights {tag} of timm. Published without preprocessing, accuracy and licence: the first"
        " two are timm 0.9.8's for these weights."
    )


def picture(facts: dict[str, Any]) -> InputSpec:
    """Return how a picture becomes the input."""
    (tensor,) = facts["inputs"]
    recipe = facts["preprocessing"]
    sides = tensor["shape"][1:3] if facts["layout"] == "NHWC" else tensor["shape"][2:]
    dynamic = not all(isinstance(side, int) for side in sides)
    order = "Y" if recipe["order"] == "Y of YCbCr" else recipe["order"]
    count = 1 if order == "Y" else 3
    mean, deviation = recipe.get("mean"), recipe.get("std")
    if recipe["scale"] == "(x-127)/128":
        mean, deviation = (127.0,) * count, (128.0,) * count
    elif "mean_rgb" in recipe:
        mean = recipe["mean_rgb"][::-1] if order == "BGR" else recipe["mean_rgb"]
    return InputSpec(
        name=tensor["name"],
        layout=facts["layout"] or "NCHW",
        channel_order=order,
        size=None if dynamic else tuple(sides),
        dynamic=dynamic,
        batch=tensor["shape"][0] if isinstance(tensor["shape"][0], int) else None,
        white=1.0 if recipe["scale"] == "1/255" else 255.0,
        mean=tuple(map(float, mean or (0.0,) * count)),
        deviation=tuple(map(float, deviation or (1.0,) * count)),
        **geometry(recipe, tuple(sides)),
    )


def geometry(recipe: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Read the words about resizing."""
    words = recipe["resize"] or ""
    crop = (recipe["crop"],) * 2 if recipe["crop"] else None
    if found := re.match(r"shorter side (\d+), (\w+)$", words):
        steps = {"resize": int(found[1]), "interpolation": found[2]}
    elif found := re.match(r"scale by (\d+)/(0\.\d+) keeping aspect, (\w+)$", words):
        steps = {"resize": round(int(found[1]) / float(found[2])), "interpolation": found[3]}
    elif found := re.match(r"optional: shorter side >= (\d+)$", words):
        steps = {"resize": int(found[1])}
    elif found := re.match(r"(\d+)x\1 cover$", words):
        steps = {"resize": int(found[1]), "interpolation": "bicubic"}
        crop = size
    elif words == f"stretch to {size[0]}x{size[1]} (PIL default)":
        return {"fit": "stretch", "interpolation": "bicubic"}
    elif not words:
        return {"fit": "stretch"}  # all of the picture, and nothing said about it
    else:
        raise ValueError(f"what does {words!r} mean?")
    return {"fit": "shorter", "crop": crop, **steps}


def answer(facts: dict[str, Any]) -> OutputSpec:
    """Return what the output means."""
    name = facts["outputs"][0]["name"] if facts["outputs"] else None
    if facts["kind"] == "segmentation":
        return OutputSpec(name, "map")
    if facts["kind"] == "image-to-image":
        return OutputSpec(name, "image", white=picture(facts).white)
    softmax = facts["output_kind"].startswith("softmax")
    return OutputSpec(name, "probabilities" if softmax else "logits")


def accuracy(facts: dict[str, Any]) -> Accuracy:
    """Return what was published."""
    published = "published by the model zoo, not measured here"
    if iou := facts.get("mean_iou"):
        return Accuracy(
            mean_iou=share(iou), dataset="COCO val2017, classes of Pascal VOC", measured=published
        )
    if facts["top1"] is None:
        return Accuracy()
    if source := facts.get("accuracy_source"):
        pixels = re.search(r"test size (\d+)", source)[1]
        published = f"published by timm 0.9.8 at {pixels} pixels, not measured with this file"
    return Accuracy(
        top1=share(facts["top1"]),
        top5=share(facts["top5"]) if facts["top5"] else None,
        dataset="ImageNet 2012, validation",
        measured=published,
    )


def share(percent: str) -> float:
    """Turn ``"54.80"`` or ``"65.0%"`` into a share."""
    return round(float(percent.removesuffix("%")) / 100, 6)


def layers(name: str) -> dict[str, str]:
    """Return Keras' names for the layers of VGG as MXNet exports it."""
    if name not in VGG_DEPTHS:
        return {}
    found, number = {"input": "data"}, 0
    for block, depth in enumerate(VGG_DEPTHS[name]):
        for index in range(depth):
            found[f"block{block + 1}_conv{index + 1}"] = f"vgg0_relu{number}_fwd"
            number += 1
        found[f"block{block + 1}_pool"] = f"vgg0_pool{block}_fwd"
    dense = ("vgg0_dense0_relu_fwd", "vgg0_dense1_relu_fwd", "vgg0_dense2_fwd")
    return found | dict(zip(("fc1", "fc2", "predictions"), dense, strict=True))
