"""What a notebook and a command both call: pictures in, numbers and records out.

Nothing here prints, exits, or knows of the command line.
"""
