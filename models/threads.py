"""Threads and memory of torch on CPUs, set before it is imported where that matters."""

from __future__ import annotations

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of <malloc.h>
NEVER = -1


def use_threads(count: int) -> None:
    """Let torch use `count` threads, repeatably; idle ones sleep, so that runs side by side do not
    starve each other.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    torch.set_num_threads(count)
    torch.use_deterministic_algorithms(True)
    # It would write every new tensor twice, so that reading what nobody wrote repeats as well.
    torch.utils.deterministic.fill_uninitialized_memory = False


def keep_freed_memory() -> None:
    """Let the process keep the memory that it frees, where its C library is glibc.

    By default a large tensor's memory goes back to the system with each step, to be fetched and
    zeroed, page by page, in the next.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, NEVER)
