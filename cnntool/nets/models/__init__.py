"""Manifests, labels, the catalogue, and the user's own networks."""

BUILT_IN = "vgg16-mini"
"""The network that ships with the tool."""
