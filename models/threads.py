"""Threads of torch, set before it is imported where that matters."""

from __future__ import annotations

import os


def use_threads(count: int) -> None:
    """Let torch use `count` threads, repeatably; idle ones sleep, so that runs side by side do not
    starve each other.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    torch.set_num_threads(count)
    torch.use_deterministic_algorithms(True)
