"""What a network keeps open, and which colour comes first, without a process."""

from types import SimpleNamespace

from cnntool.nets.network import Network, SessionPool


class Part:
    idle, closed = True, False

    def close(self, *, wait=True):
        self.closed = True


def test_the_part_that_was_not_used_longest_is_closed():
    pool = SessionPool("net", ahead=False)
    parts = [pool.get(key, lambda _: Part()) for key in range(3)]
    assert pool.get(0, lambda _: Part()) is parts[0]
    pool.get(3, lambda _: Part())
    assert [part.closed for part in parts] == [False, True, False]
    pool.close()
    assert all(part.closed for part in parts)


def test_an_order_of_colours_that_nothing_tells_is_a_guess():
    for order, assumed, guessed in (
        ("RGB", (), True),
        ("BGR", (), False),
        ("BGR", ("`preprocess=caffe`",), True),
    ):
        plan = SimpleNamespace(input=SimpleNamespace(channel_order=order), assumed=assumed)
        network = SimpleNamespace(found=SimpleNamespace(spec=None), plan=lambda plan=plan: plan)
        assert Network.colour_order(network) == (order, guessed)
