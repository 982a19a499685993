"""Training of the built-in network: run the folder, ``python models/training``."""
