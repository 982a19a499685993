"""What Python and the command line both call: pictures and paths in, arrays and records out."""
