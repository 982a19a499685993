"""TIFF: one page of a file, read and written in strips."""
