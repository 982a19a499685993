"""Receptive fields beside the places that are found by going through all taps."""

from hypothesis import given
from hypothesis import strategies as st

from cnntool.shapes.receptive_field import AxisField, Fields
from cnntool.shapes.windows import AxisWindow

small = st.integers(1, 4)
windows = st.builds(AxisWindow, small, small, small, st.integers(0, 3))
layers = st.lists(st.tuples(st.booleans(), windows), max_size=3)


def inputs(layers, output):
    """Go back from an output to the places of the input that it is made of."""
    places = {output}
    for up, window in reversed(layers):
        taps = range(0, window.extent, window.dilation)
        if up:
            sums = {place + window.before - tap for place in places for tap in taps}
            places = {total // window.stride for total in sums if total % window.stride == 0}
        else:
            places = {
                place * window.stride - window.before + tap for place in places for tap in taps
            }
    return places


@given(layers, st.integers(-9, 30))
def test_of_any_layers_the_first_and_the_last_place_seen(layers, output):
    field = AxisField()
    for up, window in layers:
        field = field.through_transpose(window) if up else field.through(window)
    seen = inputs(layers, output)
    assert field.at(output) == ((min(seen), max(seen)) if seen else None)
    period = len(field.spans)
    sizes = [inputs(layers, place) for place in range(period)]
    assert field.size == max((max(s) - min(s) + 1 for s in sizes if s), default=0)


@given(layers, layers, st.integers(0, 20))
def test_who_sees_two_sees_from_the_first_to_the_last_of_both(one, other, output):
    fields = [AxisField(), AxisField()]
    for number, layers in enumerate((one, other)):
        for _, window in layers:
            fields[number] = fields[number].through(window._replace(stride=1))
    joined = fields[0].joined(fields[1])
    spans = [field.at(output) for field in fields]
    assert joined.at(output) == (min(s[0] for s in spans), max(s[1] for s in spans))


def test_too_long_patterns_are_not_followed():
    window = AxisWindow(3, stride=40)
    once = AxisField().through_transpose(window)
    assert len(once.spans) == 40
    assert once.through_transpose(window) is None
    assert Fields().each(lambda field, _: once.through_transpose(window)) is None


def test_what_sees_everything_sees_all_outputs():
    field = AxisField().through(AxisWindow(3, stride=2, before=1))
    assert field.everywhere(4) == AxisField(((-1, 7),), 2)
    assert Fields(field, AxisField()).size == (3, 1)
