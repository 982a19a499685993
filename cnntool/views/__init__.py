"""Numbers to pictures: range and tiles. Knows arrays and nothing else."""
