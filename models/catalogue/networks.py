"""The networks of the catalogue: the file that each name stands for, and what is worth knowing."""

from __future__ import annotations

from typing import NamedTuple

SILENT = "The zoo states no preprocessing; the published accuracy was measured with this one."


class Row(NamedTuple):
    """A network: its file's stem, what it is, what the facts do not say."""

    stem: str
    title: str
    note: str = ""


CATALOGUE = {
    "alexnet": Row("bvlcalexnet-12", "AlexNet (2012), 8 layers", SILENT),
    "zfnet": Row("zfnet512-12", "ZFNet-512 (2013), 8 layers", SILENT),
    "vgg16": Row("vgg16-12", "VGG-16 (2014), 16 layers of 3x3 convolutions"),
    "vgg19": Row("vgg19-7", "VGG-19 (2014), 19 layers of 3x3 convolutions"),
    "googlenet": Row("googlenet-12", "GoogLeNet (2014), the first Inception, from Caffe"),
    "inception-v1": Row("inception-v1-12", "Inception v1 (2014), from Caffe2", SILENT),
    "inception-v3": Row("inception_v3_Opset17_timm", "Inception v3 (2015)"),
    "inception-v4": Row("inception_v4_Opset17", "Inception v4 (2016)"),
    "inception-resnet-v2": Row("inception_resnet_v2_Opset17", "Inception-ResNet v2 (2016)"),
    "xception": Row("xception_Opset17", "Xception (2016), depthwise separable convolutions"),
    "resnet18": Row("resnet18-v1-7", "ResNet-18 (2015)"),
    "resnet34": Row("resnet34-v1-7", "ResNet-34 (2015)"),
    "resnet50": Row("resnet50-v1-12", "ResNet-50 (2015)"),
    "resnet101": Row("resnet101-v1-7", "ResNet-101 (2015)"),
    "resnet152": Row("resnet152-v1-7", "ResNet-152 (2015)"),
    "densenet121": Row(
        "densenet121_Opset17_timm",
        "DenseNet-121 (2016)",
        "The zoo's own densenet-12 is not this one: its recipe is in doubt, and 60.96 % of top-1"
        " are far below the paper's 75 %.",
    ),
    "squeezenet1.0": Row(
        "squeezenet1.0-12",
        "SqueezeNet 1.0 (2016), 5 MB",
        "The zoo's page gives the preprocessing of SqueezeNet 1.1 for it; this is the one that the"
        " published accuracy was measured with.",
    ),
    "squeezenet1.1": Row("squeezenet1.1-7", "SqueezeNet 1.1 (2016), 5 MB, 2.4 times less work"),
    "mobilenetv2": Row("mobilenetv2-12", "MobileNetV2 1.0 (2018)"),
    "mobilenetv3": Row("mobilenetv3_large_100_Opset17", "MobileNetV3 large 1.0 (2019)"),
    "shufflenet-v2": Row(
        "shufflenet-v2-10",
        "ShuffleNet v2 1.0 (2018)",
        "Its accuracy was published as errors: 30.64 % and 11.68 %.",
    ),
    "efficientnet-b0": Row("efficientnet_b0_Opset17", "EfficientNet-B0 (2019)"),
    "efficientnet-lite4": Row(
        "efficientnet-lite4-11",
        "EfficientNet-Lite4 (2020)",
        "80.4 % is the paper's figure; 77.70 % were measured with this file by Intel.",
    ),
    "convnext-tiny": Row("convnext_tiny_Opset17_timm", "ConvNeXt-T (2022)"),
    "fcn-resnet50": Row("fcn-resnet50-12", "FCN on ResNet-50: a class for every pixel"),
    "fcn-resnet101": Row("fcn-resnet101-11", "FCN on ResNet-101: a class for every pixel"),
    "super-resolution": Row("super-resolution-10", "Sub-pixel CNN (2016): three times the size"),
    "candy": Row("candy-9", "Fast neural style: candy"),
    "mosaic": Row("mosaic-9", "Fast neural style: mosaic"),
    "pointilism": Row("pointilism-9", "Fast neural style: pointilism"),
    "rain-princess": Row("rain-princess-9", "Fast neural style: rain princess"),
    "udnie": Row("udnie-9", "Fast neural style: Udnie"),
}

VGG_DEPTHS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions in each block. MXNet, which wrote these files, numbers them through from 0."""
