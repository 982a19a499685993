"""Manifests, labels, the catalogue, and the user's own networks."""
