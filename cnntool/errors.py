"""The error tree. It imports nothing of the project, so that every room can raise from it.

::

    CnntoolError          1  some inputs failed (or anything without a code of its own)
    ├── UsageError        2  a parameter, a kernel or a combination that makes no sense
    │   └── ArgumentTypeError    an argument of the wrong type
    ├── InputError        3  a picture or a matrix that cannot be read
    ├── ModelError        4  a network that cannot be used, or a layer that it does not have
    ├── DeviceError       5  a device that cannot be had
    ├── OutputError       6  a result that cannot be written
    ├── FigureError       7  a figure that was demanded and missed
    └── DownloadError     8  a file that cannot be fetched, or is not what it should be

A `UsageError` is a ValueError too, and an `ArgumentTypeError` a TypeError.

Messages write parameters in backquotes, alone or with a value: `border`, `border=reflect`. Each
class carries its exit code. One boundary, in ``cnntool.cli.main``, turns an exception into the line
``cnntool: error: SOURCE: REASON``, a hint line and that code; there parameters become options.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator


class CnntoolError(Exception):
    """Base of every error that the tool raises on purpose.

    Parameters
    ----------
    message : str
        The reason, one line, without the file's name.
    source : str, optional
        What the error is about: a file as given, ``<stdin>``, a parameter in backquotes.
    hint : str, optional
        What to do about it, one line.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, source: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.source = source
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")  # tracebacks end with it

    def __str__(self) -> str:
        return f"{self.source}: {self.message}" if self.source else self.message


class UsageError(CnntoolError, ValueError):
    """A parameter, a kernel or a combination of them that makes no sense."""

    exit_code = 2


class ArgumentTypeError(UsageError, TypeError):
    """An argument of another type than is taken."""


class InputError(CnntoolError):
    """A picture or a matrix that cannot be read."""

    exit_code = 3


class ModelError(CnntoolError):
    """A network that cannot be used, or a layer that it does not have."""

    exit_code = 4


class DeviceError(CnntoolError):
    """A device that cannot be had."""

    exit_code = 5


class OutputError(CnntoolError):
    """A result that cannot be written."""

    exit_code = 6


class FigureError(CnntoolError):
    """A figure that was demanded and missed."""

    exit_code = 7


class DownloadError(CnntoolError):
    """A file that cannot be fetched, or is not what it should be."""

    exit_code = 8


@contextmanager
def system_errors_as(kind: type[CnntoolError], source: object, *, hint: str = "") -> Iterator[None]:
    """Raise what the system says of a file (``OSError``) as an error of the tree."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error) or "the system refuses it").lower()
        raise kind(reason, source=str(source), hint=hint) from None
