"""Work on threads: in order, in bounded memory, errors where results were due, no thread left."""

import threading
import time

import pytest

from cnntool.threads import Prefetcher, apart, ordered_map


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order(threads):
    def work(n):
        time.sleep(0.002 * (n % 3))
        return n * n

    assert list(ordered_map(work, range(20), threads)) == [n * n for n in range(20)]


def test_few_jobs_are_under_way_at_once():
    begun = []
    results = ordered_map(lambda n: begun.append(n) or n, iter(range(100)), 3)
    next(results)
    time.sleep(0.05)
    assert len(begun) <= 5
    results.close()


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_arrives_where_its_result_was_due(threads):
    def work(n):
        if n == 2:
            raise ValueError("two")
        return n

    results = ordered_map(work, range(5), threads)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)


def test_no_thread_outlives_the_results():
    before = threading.active_count()
    list(ordered_map(abs, range(10), 4))
    results = ordered_map(abs, range(10), 4)
    next(results)
    results.close()
    assert threading.active_count() == before


def test_what_is_fetched_ahead_comes_in_order_and_not_too_early():
    made = []
    ahead = Prefetcher((made.append(n) or n for n in range(9)), 2)
    items = iter(ahead)
    assert [next(items), next(items)] == [0, 1]
    time.sleep(0.05)
    assert len(made) <= 5  # two taken, two waiting, one in hand
    assert list(items) == [2, 3, 4, 5, 6, 7, 8]
    assert list(items) == []
    ahead.stop()


def test_fetching_ahead_raises_where_the_item_was_due_and_stops_when_told():
    before = threading.active_count()

    def items():
        yield 1
        raise ValueError("two")

    ahead = iter(failing := Prefetcher(items(), 3))
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="two"):
        next(ahead)
    failing.stop()
    endless = Prefetcher(iter(int, 1), 2)
    endless.stop()
    assert threading.active_count() == before


def test_what_is_late_may_be_waited_for_again():
    go = threading.Event()
    ahead = Prefetcher((go.wait(9) for _ in range(1)), 1)
    with pytest.raises(TimeoutError):
        ahead.take(0.01)
    go.set()
    assert ahead.take(9) is True
    ahead.stop(wait=False)


def test_work_apart_is_done_elsewhere_and_fails_here():
    before = threading.active_count()
    assert apart(lambda n: (n, threading.get_ident()))(3) != (3, threading.get_ident())
    with pytest.raises(ZeroDivisionError):
        apart(lambda n: 1 // n)(0)
    assert threading.active_count() == before


def test_the_sizes_of_jobs_under_way_are_bounded():
    lock, under_way, seen = threading.Lock(), [], []

    def work(n):
        with lock:
            under_way.append(n)
            seen.append(sum(under_way) if len(under_way) > 1 else 0)
        time.sleep(0.002)
        with lock:
            under_way.remove(n)
        return n

    jobs = [3, 3, 3, 50, 1, 1, 1, 9, 9, 2]
    assert list(ordered_map(work, jobs, 4, size=lambda n: n, most=10)) == jobs
    assert 0 < max(seen) <= 10
