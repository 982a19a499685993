"""Inputs that wait on the disk: all are read again, and names that may clash share a shard."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntool.cli.spool import DONE, LEFT, Spool, listed
from cnntool.errors import InputError
from cnntool.image.files import Item


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("spool") / "inputs"


def items_of(rows):
    return [
        Item(Path(f"in/{name}\n.{place}"), f"in/{name}\n.{place}", Path(f"{name}.{place}"))
        for place, (name, _) in enumerate(rows)
    ]


@given(st.lists(st.tuples(st.sampled_from("abcdé\udcff"), st.booleans())), st.integers(1, 4))
def test_shards_hold_what_is_left_each_name_in_one(file, rows, size):
    items = items_of(rows)
    spool = Spool(file)
    for item, (name, done) in zip(items, rows, strict=True):
        spool.add(item, name, done=done)
    count = spool.cut(10**9, size, 9)
    assert [*spool] == items
    assert len(spool) == len(items)
    left = [[*spool.shard(number, LEFT)] for number in range(count)]
    names = [{item.relative.stem for item in shard} for shard in left]
    assert sorted(item for shard in left for item in shard) == sorted(
        item for item, (_, done) in zip(items, rows, strict=True) if not done
    )
    assert sum(map(len, names)) == len(set().union(*names)), "a name is in two shards"
    assert all(len(one) == size for one in names[:-1])
    for number in range(count):
        beside = [
            item
            for item, (name, done) in zip(items, rows, strict=True)
            if done and name in names[number]
        ]
        assert spool.shard(number, DONE) == beside
        spool.write_shard(number, file.with_name("shard"))
        assert listed(file.with_name("shard")) == sorted(left[number] + beside, key=items.index)
    spool.close()


def test_addresses_and_errors_come_back(file):
    from cnntool.image.addresses import Address

    address = Address("https://user:secret@host/a.png?key=1", apart=True)
    fault = InputError("no pictures in this folder", source="photos")
    spool = Spool(file)
    spool.add(Item(address, str(address), Path("a.png")), "a", done=False)
    spool.add(Item(None, "photos", Path("photos"), fault), "photos", done=False)
    assert spool.cut(64, 64, 1024) == 1
    first, second = spool
    assert (first.path.url, first.name, first.shard) == (address.url, str(address), 0)
    assert str(first.path) == str(address)
    assert (second.path, second.error, second.shard) == (None, fault, -1)
    spool.close()
