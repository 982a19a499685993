"""The arithmetic of windows: sizes, padding, receptive fields; numbers and no arrays."""
