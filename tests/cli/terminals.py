"""What a program shows on a pseudo-terminal."""

import os
import select


def pieces(terminal):
    """Yield what comes until the other end is closed, and close this one."""
    while select.select([terminal], [], [], 60)[0]:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:
            break
        if not piece:
            break
        yield piece
    os.close(terminal)
