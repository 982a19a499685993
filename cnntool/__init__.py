"""cnntool filters images and looks inside convolutional networks, from the shell."""

__version__ = "0.1.0"
