"""Which cases of a corpus run: some in every run of the tests, all with ATTACKS=whole."""

from __future__ import annotations

import os
import random
from typing import TypeVar

WHOLE = os.environ.get("ATTACKS") == "whole"

Case = TypeVar("Case")


def some(cases: list[Case], number: int) -> list[Case]:
    """Return so many cases, always the same, or all of them."""
    if WHOLE or len(cases) <= number:
        return cases
    return random.Random(number).sample(cases, number)
