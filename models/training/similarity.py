"""How alike the timesteps are: cosine similarity of what a block reads at t and at t - 1.

STAS's motive (Fig. 2e): halting over timesteps needs inputs that stay alike.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from models.data.images import Images
from models.evaluate import pixels_of
from models.networks.probes import Probe
from models.networks.rows import Rows
from models.networks.stas import STAS

SAMPLE = 100


class StreamProbe(Probe):
    """Keeps the stream (timestep, image, token, channel) that each block reads."""

    def __init__(self, blocks: int) -> None:
        self.streams: dict[str, Tensor] = {}
        self.names = [f"blocks.{index}.x" for index in range(blocks)]

    def record(self, name: str, values: Tensor, rows: Rows) -> None:
        """Keep the stream that a block hands to the next."""
        if name in self.names:
            self.streams[name] = rows.restore(values)

    def record_maps(self, name: str, maps: Tensor) -> None:
        """Keep the patch splitting's output."""
        if name in self.names:
            self.streams[name] = maps.flatten(3).transpose(2, 3)


@torch.no_grad()
def timestep_similarity(model: STAS, images: Images) -> tuple[float, ...]:
    """For each block, the mean cosine similarity of its tokens' inputs at consecutive timesteps.

    Of the first 100 images, without halting. Input shared by all timesteps (I-SPS) gives 1, and so
    does a single timestep. Tokens that are zero at either timestep count as 0.
    """
    probe = StreamProbe(model.config.size.blocks)
    was_training = model.training
    model.eval()
    pixels = pixels_of(images.first(SAMPLE)).to(model.head.weight.device)
    model(pixels, probe, path="layers")
    model.train(was_training)
    found = []
    for name in probe.names:
        stream = probe.streams[name]
        if stream.shape[0] == 1:
            found.append(1.0)
        else:
            found.append(float(F.cosine_similarity(stream[1:], stream[:-1], dim=-1).mean()))
    return tuple(found)
