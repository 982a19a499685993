"""How much the long tests do: all of it with ``--full``, a tenth without."""

from hypothesis import settings

WHOLE = 100
QUICK = 10


def share(cases: int) -> int:
    """Return how many of so many cases are tried."""
    return max(1, cases * settings.default.max_examples // WHOLE)


def examples(cases: int) -> settings:
    """Let a property be tried on so many examples, or on their share."""
    return settings(max_examples=share(cases))
