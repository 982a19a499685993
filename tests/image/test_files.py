"""What inputs stand for."""

from operator import length_hint
from pathlib import Path

import pytest

from cnntool.image.files import Expanded, Listed, expand


@pytest.fixture
def tree(tmp_path):
    for name in ("b.png", "a.JPG", ".c.png", "d.md", "deep/e.png", "deep/er/f.npy", "empty/g.txt"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("matrices", [False, True])
def test_places_are_those_of_the_items_and_both_come_again(tree, recursive, matrices):
    paths = [tree / "b.png", tree, tree / "deep", Path("-"), tree / "empty", tree / "gone"]
    found = expand(paths, recursive=recursive, matrices=matrices)
    items = list(found)
    assert [item.name for item in items] == [item.name for item in found]
    good = [str(item.relative) for item in items if item.error is None]
    assert good == list(found.places())
    assert length_hint(found) == (0 if recursive else len(items))
    assert len(good) == (7 + 4 * matrices if recursive else 6 + matrices)
    assert len(items) - len(good) == (not matrices)


def test_names_of_a_folder_are_those_of_the_beginning(tree):
    found = expand([tree], recursive=False)
    (tree / "z.png").touch()
    assert [item.path for item in found] == [tree / "a.JPG", tree / "b.png"]


def test_a_list_is_a_sequence_of_paths_below_a_folder_that_all_share(tree, monkeypatch):
    monkeypatch.chdir(tree)
    listed = Listed(["deep/e.png", f"{tree}/b.png", "./deep/er/f.npy"])
    assert listed.folder == str(tree)
    assert (len(listed), listed[1], listed[-1]) == (3, tree / "b.png", Path("deep/er/f.npy"))
    assert list(listed[:1]) == [Path("deep/e.png")]
    assert list(Expanded(listed, iter, recursive=False).places()) == [
        "deep/e.png", "b.png", "deep/er/f.npy",
    ]  # fmt: skip
