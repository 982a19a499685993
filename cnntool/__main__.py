"""The entry point: ``python -m cnntool`` and the ``cnntool`` script."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    # Nothing that start-up creates is garbage, and looking for it takes a tenth of a small command.
    gc.disable()
    from cnntool.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
