"""PNG, read and written in strips."""
