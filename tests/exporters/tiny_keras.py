"""Networks of a few hundred weights, whose layers are named as those of large ones in Keras."""

from __future__ import annotations

from typing import Any

Keras = Any
"""Either of the two packages, Keras 2 and 3."""


def default(keras: Keras) -> Any:
    """Make a network whose layers nobody named."""
    layers = keras.layers
    given = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, activation="relu")(given)
    x = layers.Conv2D(4, 3, activation="relu", padding="same")(x)
    x = layers.MaxPooling2D()(x)
    y = layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
    y = layers.BatchNormalization()(y)
    y = layers.ReLU()(y)
    y = layers.Conv2D(4, 3, padding="same")(y)
    x = layers.Add()([x, y])
    x = layers.Activation("relu")(x)
    y = layers.BatchNormalization()(layers.Conv2D(4, 1)(x))
    x = layers.Add()([x, y])
    x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    x = layers.Dense(6, activation="relu")(x)
    x = layers.Dense(5, activation="tanh")(x)
    return keras.Model(given, layers.Dense(4, activation="softmax")(x))


def separable(keras: Keras) -> Any:
    """Make a network of separable and depthwise convolutions."""
    layers = keras.layers
    given = keras.Input((16, 16, 3))
    x = layers.SeparableConv2D(5, 3, name="block1_sepconv1")(given)
    x = layers.SeparableConv2D(5, 3, use_bias=False, name="block1_sepconv2")(x)
    x = layers.BatchNormalization(name="block1_sepconv2_bn")(x)
    x = layers.ReLU(name="block1_sepconv2_act")(x)
    x = layers.SeparableConv2D(5, 3, padding="same", activation="relu")(x)
    x = layers.SeparableConv2D(5, 3, padding="same")(x)
    x = layers.DepthwiseConv2D(3)(x)
    x = layers.Conv1D(5, 3)(layers.Reshape((-1, 5))(x))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(given, layers.Dense(4)(x))


def mobile(keras: Keras) -> Any:
    """Make a network of convolutions with batch norms, named as in the MobileNets."""
    layers = keras.layers

    def normed(x: Any, norm: str, activation: str) -> Any:
        x = layers.BatchNormalization(name=norm)(x)
        return layers.ReLU(6.0, name=activation)(x)

    given = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="conv1")(given)
    x = normed(x, "conv1_bn", "conv1_relu")
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="conv_dw_1")(x)
    x = normed(x, "conv_dw_1_bn", "conv_dw_1_relu")
    x = layers.Conv2D(4, 1, use_bias=False, name="conv_pw_1")(x)
    x = normed(x, "conv_pw_1_bn", "conv_pw_1_relu")
    y = layers.Conv2D(6, 1, use_bias=False, name="block_1_expand")(x)
    y = normed(y, "block_1_expand_BN", "block_1_expand_relu")
    y = layers.ZeroPadding2D(name="block_1_pad")(y)
    y = layers.DepthwiseConv2D(3, use_bias=False, name="block_1_depthwise")(y)
    y = normed(y, "block_1_depthwise_BN", "block_1_depthwise_relu")
    y = layers.Conv2D(4, 1, use_bias=False, name="block_1_project")(y)
    y = layers.BatchNormalization(name="block_1_project_BN")(y)
    x = layers.Add(name="block_1_add")([x, y])
    x = layers.Conv2D(6, 1, use_bias=False, name="Conv_1")(x)
    x = normed(x, "Conv_1_bn", "out_relu")
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(4, activation="softmax", name="predictions")(x)
    return keras.Model(given, x, name="mobilenet_1.00_16")


NETWORKS = {"default": default, "separable": separable, "mobile": mobile}
