"""The entry point: ``python -m cnntool`` and the ``cnntool`` script."""

from __future__ import annotations

import gc
import os
import sys

from cnntool import stopping


def main() -> None:
    """Run the command line and exit with its code."""
    stopping.install()
    # Nothing that start-up creates is garbage, and looking for it takes a tenth of a small command.
    gc.disable()
    import warnings

    # What libraries warn of is for who writes programs, and would stand between results and notes.
    warnings.simplefilter("ignore")
    from cnntool.cli.main import run

    code = run(sys.argv[1:])
    try:  # noqa: SIM105 - contextlib would be imported before signals are answered
        sys.stderr.flush()
    except OSError:
        pass
    # All is written and closed: taking the interpreter apart would only take time.
    os._exit(code)


if __name__ == "__main__":
    main()
