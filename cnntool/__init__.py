"""cnntool filters images with classic kernels, from the shell."""

__version__ = "0.1.0"
