"""Would a published recipe's network compute its loss on a GPU alone? By fake tensors: shapes
and devices, without a GPU. They say nothing of values, speed, half precision or gradients.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

# PyTorch documents the mode under this name only.
from torch._subclasses.fake_tensor import FakeTensorMode

from models.halting.losses import LossConfig, total_loss
from models.networks.stas import STAS
from models.training.loop import config_of
from models.training.recipe import FOLDER, load_recipe

RECIPES = sorted([*FOLDER.glob("*_cifar10.yaml"), *FOLDER.glob("*_imagenet.yaml")])


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_its_loss_is_on_the_gpu(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe(path)
    config = config_of(recipe, recipe.dataset)
    dataset = config.dataset
    # Drawing weights, and whether values are finite, ask for values: there are none.
    monkeypatch.setattr(torch.nn.init, "trunc_normal_", lambda weight, std: weight)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    with FakeTensorMode():
        with torch.device("cuda"):
            network = STAS(config).train()
            pixels = torch.zeros(2, dataset.image_channels, *2 * [dataset.image_size])
            labels = torch.zeros(2, dtype=torch.int64)
        output = network(pixels, path="layers")
        loss = total_loss(output, labels, config, LossConfig(smoothing=recipe.smoothing))
    assert output.logits.shape == (2, dataset.classes)
    assert (loss.device.type, loss.dtype) == ("cuda", torch.float32)
    assert loss.requires_grad
