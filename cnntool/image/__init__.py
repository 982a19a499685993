"""Pixels and files: what is read, how it is kept, how it is written."""
