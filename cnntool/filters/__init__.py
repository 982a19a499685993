"""Classic kernels applied to arrays."""
