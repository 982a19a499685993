"""cnntool filters images with classic kernels, from the shell."""

from cnntool.version import __version__ as __version__
