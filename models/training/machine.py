"""The machine that the training runs on: its memory, its cores."""

import ctypes
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def prepare(device: str) -> None:
    """Make `device` the default of new tensors, and each operation one thread's work.

    glibc gives each large tensor back to the system and asks for it anew, zeroed, at every step,
    which takes a quarter of the time; told to keep its memory, it does not.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)
        libc.mallopt(M_ARENA_MAX, 1)
    torch.set_num_threads(1)
    torch.set_default_device(device)


@cache
def workers() -> int:
    """Return how many parts of a batch are computed at once: one a core, or one on a GPU."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return cores if torch.get_default_device().type == "cpu" else 1


def together(work: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
    """Return the results of `work` on `parts`, each computed by one thread.

    The threads meet once a step. Those of a single operation meet hundreds of times and wait
    spinning: where other programs want the cores too, that took two to six times as much
    processor time.
    """
    if workers() == 1:
        return list(map(work, parts))
    return list(_pool().map(work, parts))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers(), initializer=torch.set_num_threads, initargs=(1,))
