"""What figures look like, for tests that count their pixels."""


def drawn(make):
    """Return a function that draws what another one lists."""
    return lambda *arguments, **keywords: make(*arguments, **keywords).pixels()
