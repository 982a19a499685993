"""Colour profiles, as far as they are carried along (ICC.1:2022)."""

from __future__ import annotations

LIMIT = 1 << 24
"""Longer profiles are taken for damage."""


def fitting(profile: bytes | None, *, colour: bool) -> bytes | None:
    """Return a profile if it describes pixels of this kind, else None.

    Parameters
    ----------
    profile : bytes or None
    colour : bool
        RGB as opposed to grey.
    """
    if not profile or not 128 <= len(profile) <= LIMIT:
        return None
    return profile if profile[16:20] == (b"RGB " if colour else b"GRAY") else None
