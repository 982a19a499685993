"""Convolution: a plan first, then one of several methods."""
