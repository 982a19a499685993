"""The layers of a graph: what they are, what they are called."""
