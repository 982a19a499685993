"""ONNX files: what they say, read without a runtime, and parts of them written."""
