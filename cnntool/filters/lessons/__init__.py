"""What lessons on convolutions are made of: chains of layers computed by hand."""
