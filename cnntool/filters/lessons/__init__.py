"""What a lecture writes on the board: im2col, traces, chains of layers."""
