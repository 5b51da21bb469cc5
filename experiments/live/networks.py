"""The network of the live pages: A-SSA on `stream`, whose accuracy falls with its tokens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.data.images import Images
    from models.networks.arms import Prepared

MODEL, DATASET = "spikformer_2_48", "stream"
WEIGHTS = Path(__file__).parents[2] / "models/weights" / f"{MODEL}_{DATASET}_stas.safetensors"


def shipped(images: Images) -> Prepared:
    """The network as shipped, read from its file; `images`: any of its task."""
    from models.networks.arms import Setup, prepare
    from models.networks.config import named_config

    setup = Setup(named_config(MODEL, DATASET), DATASET, str(WEIGHTS), 0, 1.0, False, None)
    return prepare(setup, images)


def sequences(training: int, held_out: int) -> tuple[Images, Images]:
    """So many sequences to train on, and so many held out."""
    from models.data.sources import read_source

    source = read_source(DATASET, None)
    return source.training.first(training), source.held_out.first(held_out)
