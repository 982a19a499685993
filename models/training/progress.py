"""A progress bar on a terminal; silence elsewhere, where the log has a line an epoch."""

import sys


class Bar:
    """One line on stderr, rewritten in place.

    Parameters
    ----------
    title : str
        Stands before the bar.
    total : int
        Steps that make it full.
    """

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total = title, total
        self.visible = sys.stderr.isatty()

    def show(self, done: int) -> None:
        """Draw the bar with `done` steps behind it."""
        if self.visible:
            filled = "#" * (30 * done // self.total)
            sys.stderr.write(f"\r{self.title} [{filled:<30}] {done}/{self.total}")
            sys.stderr.flush()

    def close(self) -> None:
        """Wipe the line, so that the log can write there."""
        if self.visible:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
