"""Messages between processes."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from io import FileIO
from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cnntool.nets.runtime.protocol import Message, TooLargeError, receive, send

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)  # fmt: skip
ARRAYS = hnp.arrays(
    st.sampled_from(["u1", "i8", "f2", "f4", ">f4", "f8", "?"]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
)


def through(message: Message, limit: int | None = None) -> Message:
    """Send a message through a pipe that holds less than it."""
    reading, writing = os.pipe()
    with FileIO(reading) as source, FileIO(writing, "w") as target:

        def deliver():
            with suppress(BrokenPipeError):  # a reader that refuses goes away
                send(target, message)

        sender = Thread(target=deliver)
        sender.start()
        try:
            return receive(source, limit)
        finally:
            source.close()
            sender.join()


@given(st.text(), st.dictionaries(st.text(), PLAIN), st.lists(st.binary() | ARRAYS, max_size=3))
def test_what_is_sent_arrives(kind, facts, parts):
    found = through(Message(kind, facts, parts))
    assert (found.kind, found.facts) == (kind, facts)
    assert len(found.parts) == len(parts)
    for part, copy in zip(parts, found.parts, strict=True):
        assert type(part) is type(copy)
        if isinstance(part, bytes):
            assert part == copy
        else:
            assert (part.dtype, part.shape) == (copy.dtype, copy.shape)
            assert part.tobytes() == copy.tobytes()


@pytest.mark.parametrize("view", [np.s_[::-1], np.s_[:, ::2], np.s_[..., 0]])
def test_views_arrive_as_what_they_show(view):
    array = np.arange(24, dtype="f4").reshape(2, 3, 4)[view]
    (copy,) = through(Message("k", {}, [array])).parts
    assert np.array_equal(array, copy)
    (copy,) = through(Message("k", {}, [array.T])).parts
    assert np.array_equal(array.T, copy)


def test_names_that_no_terminal_should_see_arrive():
    facts = {"\x1b[31m\n\udc80": "\0"}
    assert through(Message("k", facts)).facts == facts


def test_more_than_a_pipe_holds_arrives():
    array = np.arange(1 << 20, dtype="f4")
    (copy,) = through(Message("k", {}, [array])).parts
    assert np.array_equal(array, copy)


def test_a_message_over_the_limit_is_refused_before_it_is_read():
    arrays = [np.zeros(100, "f4"), np.zeros(100, "f4")]
    assert len(through(Message("k", {}, arrays), limit=800).parts) == 2
    with pytest.raises(TooLargeError):
        through(Message("k", {}, arrays), limit=799)


def test_threads_may_receive_at_once():
    """Collections of garbage, and a callback of theirs, let other threads in at any moment."""
    facts = {"names": [[f"tensor {number}", None] for number in range(50)]}
    found = []

    def work():
        found.extend(through(Message("k", facts)).facts == facts for _ in range(100))

    def callback(phase, info):
        return sum(range(9))

    threshold, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.callbacks.append(callback)
    gc.set_threshold(10)
    sys.setswitchinterval(1e-5)
    try:
        threads = [Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        gc.callbacks.remove(callback)
        gc.set_threshold(*threshold)
        sys.setswitchinterval(interval)
    assert found == [True] * 200


@pytest.mark.parametrize("sent", [b"", b"\x05", b"\x05" + 7 * b"\0" + b'["k"'])
def test_an_end_in_the_middle_is_an_end(sent):
    reading, writing = os.pipe()
    with FileIO(reading) as source, FileIO(writing, "w") as target:
        target.write(sent)
        target.close()
        with pytest.raises(EOFError):
            receive(source)


def test_nothing_is_executed():
    reading, writing = os.pipe()
    with FileIO(reading) as source, FileIO(writing, "w") as target:
        head = b"__import__('os').abort()"
        target.write(len(head).to_bytes(8, "little") + head)
        with pytest.raises(ValueError, match="Expecting value"):
            receive(source)
