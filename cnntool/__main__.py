"""The entry point: ``python -m cnntool`` and the ``cnntool`` script."""


def main() -> None:
    """Run the command line and exit with its code."""
    # Ctrl-C is answered before anything is imported. Only here: who imports the package keeps
    # handlers of their own.
    import _signal  # type: ignore[import-not-found]  # what ``signal`` wraps: there at once
    import os

    def leave(number: int, frame: object) -> None:  # noqa: ARG001
        os._exit(130)

    if _signal.getsignal(_signal.SIGINT) is not _signal.SIG_IGN:
        _signal.signal(_signal.SIGINT, leave)
    from cnntool import system

    system.take_over()
    import sys
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
