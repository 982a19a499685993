"""Comparison of two networks, or of one with itself: which layers belong together."""
