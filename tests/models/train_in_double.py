"""models.train in float64, where sums in another order flip no spike."""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from models.networks.stas import STAS
from models.train import main

scaled = STAS.normalised


def doubled(model: STAS, images: Tensor) -> Tensor:
    return scaled(model, images.double())


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    STAS.normalised = doubled  # type: ignore[method-assign, assignment]
    sys.exit(main(sys.argv[1:]))
