import numpy as np
import pytest

from cnntool.errors import UsageError
from cnntool.views import styles
from cnntool.views.colormaps import palette
from cnntool.views.styles import Backdrop

ALL = np.arange(256, dtype=np.uint8)[None, None]


def test_the_register():
    assert set(styles.STYLES) == {"gray", "viridis", "magma", "diverging", "overlay"}
    for name, row in styles.STYLES.items():
        assert row.name == name
        assert row.summary
        assert "\n" not in row.summary
    assert [row.name for row in styles.STYLES.values() if row.on_photo] == ["overlay"]
    assert [row.name for row in styles.STYLES.values() if row.scale == "signed"] == ["diverging"]


def test_a_name_is_given_once():
    with pytest.raises(RuntimeError, match="two styles are called 'gray'"):
        styles.register("gray")(styles.magma)


def test_an_unknown_name():
    with pytest.raises(UsageError) as caught:
        styles.find("hot")
    assert "viridis" in caught.value.hint


@pytest.mark.parametrize("name", ["viridis", "magma", "diverging"])
def test_colours_come_from_the_palette(name):
    assert (styles.find(name).paint(ALL, Backdrop())[0, 0] == palette(name)).all()
    assert styles.find(name).channels(Backdrop()) == 3


def test_grey_has_one_channel_where_all_is_finite():
    fast = styles.gray(ALL[..., :255], Backdrop(finite=True))
    assert fast.shape == (1, 1, 255, 1)
    assert (fast[0, 0, :, 0] == palette("gray")[:255, 0]).all()
    assert (styles.gray(ALL, Backdrop(finite=False))[0, 0] == palette("gray")).all()
