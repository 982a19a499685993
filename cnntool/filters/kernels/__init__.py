"""Kernels: their names, their weights, and what follows from these."""
