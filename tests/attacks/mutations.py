"""Damage with a plan: files are taken apart, changed a little, and put together so that they parse.

Everything is drawn from a `random.Random`, so a seed and a number are a case.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

EDGES = sorted(
    {
        (1 << bits) + step
        for bits in (0, 1, 2, 3, 4, 7, 8, 15, 16, 24, 31, 32)
        for step in (-1, 0, 1)
    }
)
"""Numbers where widths and signs end."""

HUGE = [*EDGES, 10**8, 10**9, (1 << 62) - 1, (1 << 63) - 1]
WORDS = [b"", b"-1", b"-0", b"0x7", b"1e400", b"1e-320", b"nan", b"-inf", b"1_0", b".", b",", b"#",
         b";", b"\n", b"\0", b"\xff", b"99999999999999999999", b"\xd9\xa1"]  # fmt: skip
CHUNKS = [b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"eXIf", b"iCCP", b"acTL", b"iTXt",
          b"fdAT", b"cHRM", b"sRGB", b"zzZz", b"ZZZZ"]  # fmt: skip


def mutated(rng: Random, kind: str, body: bytes, other: bytes) -> bytes:
    """Return damaged bytes.

    Parameters
    ----------
    rng : Random
    kind : str
        The first word of a specimen's name, such as ``"png"``.
    body : bytes
        What to damage.
    other : bytes
        Another file, for a splice.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        if kind == "onnx" and rng.random() < 0.7:
            try:
                body = another_network(rng, body)
            except (DecodeError, ValueError, TypeError):  # damaged before, or a value does not fit
                body = changed(rng, body)
        elif kind in PARTS and rng.random() < 0.7:
            split, join = PARTS[kind]
            body = join(rearranged(rng, split(body)))
        elif rng.random() < 0.05:
            body = body[: rng.randrange(len(body) + 1)] + other[rng.randrange(len(other) + 1) :]
        else:
            body = changed(rng, body)
        body = body[: 1 << 20]
    return body


def changed(rng: Random, body: bytes) -> bytes:
    """Change some bytes, whatever they mean; the first ones more often than the rest."""
    if not body:
        return rng.randbytes(rng.randrange(1, 9))
    reach = len(body) if rng.random() < 0.5 else min(len(body), 64)
    at = rng.randrange(reach)
    end = at + min(rng.choice((1, 2, 4, 8, 50)), len(body) - at)
    old = body[at:end]
    match rng.randrange(8):
        case 0:
            new, end = b"", len(body)
        case 1:
            new = b""
        case 2:
            new = old * rng.choice((2, 3, 300))
        case 3:
            new = rng.randbytes(rng.choice((1, 4, 90))) + old
        case 4 | 5:
            size = len(old)
            new = (rng.choice(EDGES) % (1 << 8 * size)).to_bytes(
                size, rng.choice(("little", "big"))
            )
        case _:
            new, end = bytes([body[at] ^ 1 << rng.randrange(8)]), at + 1
    return body[:at] + new + body[end:]


def rearranged(rng: Random, parts: list[bytes]) -> list[bytes]:
    """Drop, repeat, swap or change one part."""
    if not parts:
        return [b""]
    parts = list(parts)
    at = rng.randrange(len(parts)) if rng.random() < 0.5 else rng.randrange(min(12, len(parts)))
    match rng.randrange(7):
        case 0:
            del parts[at]
        case 1:
            parts[at:at] = [parts[at]] * rng.choice((1, 2, 100))
        case 2:
            to = rng.randrange(len(parts))
            parts[at], parts[to] = parts[to], parts[at]
        case _:
            parts[at] = changed_part(rng, parts[at])
    return parts


def changed_part(rng: Random, part: bytes) -> bytes:
    """Change a part as what it is: a number in text, a chunk of PNG, or bytes."""
    if re.fullmatch(rb"[-+.\d]+", part) and rng.random() < 0.9:
        return rng.choice([*WORDS, b"%d" % rng.choice(HUGE), b"%d" % -rng.choice(HUGE)])
    name, body = part[:4], part[4:]
    if name == b"IDAT" and rng.random() < 0.5:
        try:
            return name + zlib.compress(changed(rng, zlib.decompress(body)))
        except zlib.error:
            return name + zlib.compress(rng.randbytes(50))
    if name in CHUNKS:
        return rng.choice(CHUNKS) + body if rng.random() < 0.1 else name + changed(rng, body)
    return changed(rng, part)


def png_chunks(body: bytes) -> list[bytes]:
    """Return each chunk's name and data; lengths and check sums are made anew."""
    parts, at = [], 8
    while at + 12 <= len(body):
        (length,) = struct.unpack_from(">I", body, at)
        parts.append(body[at + 4 : at + 8 + length])
        at += length + 12
    return parts


def png_file(parts: list[bytes]) -> bytes:
    """Frame chunks."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", max(0, len(p) - 4)) + p + struct.pack(">I", zlib.crc32(p)) for p in parts
    )


def jpeg_segments(body: bytes) -> list[bytes]:
    """Return the segments, and the data of each scan."""
    return re.split(rb"(?=\xff[\xc0-\xcf\xd8-\xfe])", body)


def riff_chunks(body: bytes) -> list[bytes]:
    """Return the head and each chunk with its own length."""
    parts, at = [body[:12]], 12
    while at + 8 <= len(body):
        (length,) = struct.unpack_from("<I", body, at + 4)
        length = min(length + length % 2, len(body)) + 8
        parts.append(body[at : at + length])
        at += length
    return parts


def riff_file(parts: list[bytes]) -> bytes:
    """Put a file together whose own length is right."""
    body = b"".join(parts)
    return body[:4] + struct.pack("<I", max(0, len(body) - 8)) + body[8:]


def tiff_entries(body: bytes) -> list[bytes]:
    """Return all before the first directory, each of its entries, and the rest."""
    order = ">" if body[:2] == b"MM" else "<"
    big = len(body) > 16 and struct.unpack_from(order + "H", body, 2)[0] == 43
    step, layout = (20, "Q") if big else (12, "I")
    try:
        (start,) = struct.unpack_from(order + layout, body, 8 if big else 4)
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), body, start)
    except (struct.error, OverflowError):
        return [body]
    first = start + (8 if big else 2)
    ends = [first + step * number for number in range(min(count, 100) + 1)]
    return [body[:first], *(body[a : a + step] for a in ends[:-1]), body[ends[-1] :]]


def words(body: bytes) -> list[bytes]:
    """Return numbers and what stands between them, as far as the file looks like text."""
    return [*re.findall(rb"[-+.\d]+|[^-+.\d]+", body[:500]), body[500:]]


PARTS: dict[str, tuple[Callable[[bytes], list[bytes]], Callable[[list[bytes]], bytes]]] = {
    "png": (png_chunks, png_file),
    "jpeg": (jpeg_segments, b"".join),
    "webp": (riff_chunks, riff_file),
    "tiff": (tiff_entries, b"".join),
    **dict.fromkeys(("pgm", "ppm", "pbm", "npy", "csv", "text"), (words, b"".join)),
}


def another_network(rng: Random, body: bytes) -> bytes:
    """Change one field of a network, wherever it stands: all lengths stay right."""
    model = ModelProto.FromString(body)
    messages = list(_messages(model))
    message = rng.choice(messages)
    fields = message.DESCRIPTOR.fields
    present = [field for field, _ in message.ListFields()]
    field = rng.choice(present if present and rng.random() < 0.9 else fields)
    if field.message_type is None:
        value = _value(rng, field, message, messages)
    else:
        # Copies: protobuf crashes where a message is to hold itself.
        value = _copy(
            rng.choice([m for m in messages if m.DESCRIPTOR is field.message_type] or [None])
        )
        if value is None:
            return changed(rng, body)
    if not _repeated(field, message):
        if field.message_type is None:
            setattr(message, field.name, value)
        else:
            getattr(message, field.name).CopyFrom(value)
        return model.SerializeToString()
    items = [_copy(item) for item in getattr(message, field.name)]
    at = rng.randrange(len(items) + 1)
    match rng.randrange(5):
        case 0:
            del items[at : at + rng.choice((1, 1, 100))]
        case 1:
            items[at:at] = [value]
        case 2:
            items = items * 2
        case 3:
            rng.shuffle(items)
        case _:
            items[at : at + 1] = [value]
    message.ClearField(field.name)
    getattr(message, field.name).extend(items)
    return model.SerializeToString()


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if _repeated(field, message) else [value]:
                yield from _messages(part)


def _repeated(field: FieldDescriptor, message: Message) -> bool:
    return hasattr(getattr(message, field.name), "extend")


def _copy(item: object) -> object:
    if not hasattr(item, "CopyFrom"):
        return item
    twin = type(item)()
    twin.CopyFrom(item)
    return twin


def _value(
    rng: Random, field: FieldDescriptor, message: Message, messages: list[Message]
) -> object:
    """Draw a value of a field's type: text is taken from elsewhere in the network."""
    kind = field.cpp_type
    if field.type == field.TYPE_BYTES:
        old = getattr(message, field.name)
        return changed(rng, old) if isinstance(old, bytes) else b"?"
    if kind == field.CPPTYPE_ENUM:
        choices = list(field.enum_type.values_by_number)
    elif kind == field.CPPTYPE_STRING:
        texts = [text for other in messages for text in _texts(other)]
        choices = [*texts, "", "../up", "/etc/hostname", "a\x1b[2Jb\nc", "x" * 3000, "Conv", "Loop"]
    elif kind in {field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE}:
        choices = [0.0, -1.0, 1e30, float("nan"), float("inf")]
    elif kind == field.CPPTYPE_INT32:
        choices = [0, -1, *TensorProto.DataType.values(), (1 << 31) - 1]
    elif kind == field.CPPTYPE_INT64:
        choices = [sign * number for number in HUGE for sign in (1, -1)]
    else:
        choices = HUGE
    return rng.choice(choices)


def _texts(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        if field.message_type is None and field.type == field.TYPE_STRING:
            yield from [value] if isinstance(value, str) else value
