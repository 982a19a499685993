"""Gradients: the backward pass of a network as a second ONNX model."""
