"""Numbers to pictures: scale, style, grid. Knows arrays and nothing else."""
