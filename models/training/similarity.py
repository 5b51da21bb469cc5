"""How alike the timesteps are: cosine similarity of what a block reads at t and at t - 1.

STAS's motive (Fig. 2e): halting over timesteps needs inputs that stay alike.
"""

from __future__ import annotations

import contextlib

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.data.images import Images
from models.evaluate import pixels_of
from models.networks.stas import STAS

SAMPLE = 100


@torch.no_grad()
def timestep_similarity(model: STAS, images: Images) -> tuple[float, ...]:
    """Return each block's mean cosine similarity of its tokens' inputs at consecutive timesteps.

    Of the first 100 images, without halting. Input shared by all timesteps (I-SPS) gives 1, and so
    does a single timestep. Tokens that are zero at either timestep count as 0.
    """
    found: list[float] = []

    def compare(module: nn.Module, inputs: object, stream: Tensor) -> None:
        alike = F.cosine_similarity(stream[1:], stream[:-1], dim=-1)
        found.append(float(alike.mean()) if len(alike) else 1.0)

    was_training = model.training
    model.eval()
    pixels = pixels_of(images.first(SAMPLE)).to(model.head.weight.device)
    with contextlib.ExitStack() as hooks:
        for module in (model.sps, *model.blocks[:-1]):
            hooks.enter_context(module.register_forward_hook(compare))
        model(pixels, path="layers")
    model.train(was_training)
    return tuple(found)
