"""Settings of the machine that the training runs on."""

import ctypes
import os
import sys

import torch

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def prepare(device: str) -> None:
    """Make `device` the default of new tensors, use every core that the process may use.

    glibc gives each large tensor back to the system and asks for it anew, zeroed, at every step,
    which takes a quarter of the time; told to keep its memory, it does not.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)
        libc.mallopt(M_ARENA_MAX, 1)
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.set_default_device(device)
