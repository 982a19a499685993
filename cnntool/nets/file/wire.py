"""The wire format of protocol buffers, as far as ONNX files need it.

A message is a row of fields. A field is a tag, ``number << 3 | kind``, and a payload:
a varint (kind 0), 8 bytes (1), a length and that many bytes (2) or 4 bytes (5).
Nothing is decoded before it is asked for, so a file of many megabytes of weights is walked
in milliseconds over a memory map. Everything that is wrong with a file is a `ModelError`.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import mmap
import stat
import sys
from typing import TYPE_CHECKING

from cnntool.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VARINT, FIXED64, CHUNK, FIXED32 = 0, 1, 2, 5

_FIELD_LIMIT = 2_000_000
"""Fields that a file may have: room for a hundred thousand nodes, read in a few seconds."""

_SIZES = {FIXED32: 4, FIXED64: 8}
_TEXT_LIMIT = 1 << 20
_MESSAGE_LIMIT = 400
_SNIFF = 1024


class Wire:
    """A file to be read as a message.

    Parameters
    ----------
    path : Path
        The file. It is mapped, not read.
    name : str
        What errors call it.

    Attributes
    ----------
    file : Path
        The file itself, when `path` is a link.
    data : mmap.mmap
        All its bytes.

    Raises
    ------
    ModelError
        When there is no such file, or it is plainly something else than a protocol buffer.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.file, self.data = self._map()
        self._left = _FIELD_LIMIT

    def _map(self) -> tuple[Path, mmap.mmap]:
        try:
            file = self.path.resolve()
            mode = file.stat().st_mode
            if stat.S_ISDIR(mode):
                raise self.error("this is a folder; a model file is needed")
            if not stat.S_ISREG(mode):
                raise self.error("not a regular file; a model is read at many places of its file")
            with file.open("rb") as stream:
                self._recognise(stream.read(_SNIFF))
                return file, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise self.error("no such file") from None
        except (OSError, RuntimeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise self.error(f"cannot be read: {reason}") from error

    def forget(self) -> None:
        """Let the system have back the memory of what was looked at: it is in the file."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.data.madvise(mmap.MADV_DONTNEED)

    def trust(self) -> None:
        """Count no more fields: all have been walked once."""
        self._left = sys.maxsize

    def _recognise(self, head: bytes) -> None:
        """Say by name what is often found in the place of a model."""
        text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        if not head:
            raise self.error("an empty file")
        if text.startswith(b"version https://git-lfs"):
            raise self.error(
                "a Git LFS pointer, not the model itself", hint="fetch the file with 'git lfs pull'"
            )
        if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
            raise self.error(
                "an HTML page, not a model", hint="the download went wrong: fetch the file again"
            )
        for at, magic, what in _OTHERS:
            if head.startswith(magic, at):
                raise self.error(f"{what}, not an ONNX model")
        if not any(byte < 32 and byte not in b"\t\r\n" for byte in head):
            raise self.error("a text file, not an ONNX model")

    def error(self, message: str, *, hint: str = "") -> ModelError:
        """Make the error that names this file, in one line of reasonable length."""
        if len(message) > _MESSAGE_LIMIT:
            message = message[: _MESSAGE_LIMIT - 3] + "..."
        return ModelError(message, source=self.name, hint=hint)

    def fields(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Walk the fields of the message that lies in ``data[start:stop]``.

        Yields
        ------
        tag : int
            ``number << 3 | kind``.
        first, last : int
            A varint: its value (unsigned, 64 bits), and where it ends.
            All else: the bytes ``data[first:last]``.

        Raises
        ------
        ModelError
            When the bytes cannot be a message.
        """
        data = self.data
        at = start
        while at < stop:
            self._left -= 1
            if self._left < 0:
                raise self.error(f"more than {_FIELD_LIMIT:,} fields: not a network to work with")
            tag = data[at]
            at += 1
            if tag > 127:
                tag, at = self.varint(at - 1, stop)
            kind = tag & 7
            if kind == CHUNK:
                length, first = self.varint(at, stop)
                at = first + length
            elif kind == VARINT:
                first, at = self.varint(at, stop)
            elif kind in _SIZES:
                first, at = at, at + _SIZES[kind]
            else:
                raise self.damaged(at)
            if at > stop or not 8 <= tag < 1 << 32:
                raise self.damaged(at)
            yield tag, first, at

    def varint(self, at: int, stop: int) -> tuple[int, int]:
        """Read an unsigned number of up to 64 bits at `at`, and say where it ends."""
        data = self.data
        value = shift = 0
        while at < stop and shift < 70:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value & 0xFFFF_FFFF_FFFF_FFFF, at
            shift += 7
        raise self.damaged(at)

    def damaged(self, at: int) -> ModelError:
        """Make the error for bytes that are no message."""
        size = len(self.data)
        if at > size:
            return self.error("truncated, or not an ONNX model: it ends too early")
        return self.error(f"damaged, or not an ONNX model: makes no sense near byte {at:,}")

    def text(self, first: int, last: int) -> str:
        """Read a name.

        Raises
        ------
        ModelError
            When it is not UTF-8, or longer than a megabyte.
        """
        if last - first > _TEXT_LIMIT:
            raise self.error(f"a name of {last - first:,} bytes: not a network to work with")
        try:
            return str(self.data[first:last], "utf-8")
        except UnicodeDecodeError:
            raise self.error(f"damaged: the name at byte {first:,} is not UTF-8 text") from None


_OTHERS = (
    (0, b"\x89HDF", "an HDF5 file (Keras)"),
    (0, b"PK\x03\x04", "a ZIP archive (PyTorch, Keras or other)"),
    (0, b"\x80\x02", "a Python pickle (old PyTorch)"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (4, b"ORTM", "a model in onnxruntime's own format"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
)
"""What else lies about: where its mark stands, the mark, and what it is."""


def signed(value: int) -> int:
    """Turn an unsigned 64-bit number into the signed one of the same bits."""
    return value - (1 << 64) if value >> 63 else value


def encode_varint(value: int) -> bytes:
    """Write a whole number, negative ones as 64-bit two's complement."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def number_field(number: int, value: int) -> bytes:
    """Write a field that holds a whole number."""
    return encode_varint(number << 3 | VARINT) + encode_varint(value)


def chunk_field(number: int, payload: bytes) -> bytes:
    """Write a field that holds bytes, text or a message."""
    return encode_varint(number << 3 | CHUNK) + encode_varint(len(payload)) + payload
