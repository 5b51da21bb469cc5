"""Small SpikingJelly networks, lively enough that every neuron has something to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.model.qkformer import QKFormer
from spikingjelly.activation_based.model.spike_driven_transformer import SpikeDrivenTransformer
from spikingjelly.activation_based.model.spikformer import Spikformer
from spikingjelly.activation_based.model.spiking_vgg import SpikingVGG
from torch import Tensor, nn

from models.capturing import capture
from models.data.images import Images
from models.networks.config import DATASETS, Dataset, ModelConfig, Size
from tests.models.tiny_networks import pictures

TIMESTEPS = 2
VGG = [8, "M", 16, "M", 16]


def repeated(pixels: Tensor) -> Tensor:
    """The sequence (timestep, image, channel, h, w) that a network of bare layers takes."""
    return (pixels.double() / 256.0).unsqueeze(0).repeat(TIMESTEPS, 1, 1, 1, 1)


def once(pixels: Tensor) -> Tensor:
    return pixels.double() / 256.0


def cnn() -> nn.Module:
    """Every layer that a convolutional network is made of: two pools, IF and soft reset."""
    net = nn.Sequential(
        layer.Conv2d(3, 8, 3, padding=1, bias=False),
        layer.BatchNorm2d(8),
        neuron.LIFNode(),
        layer.MaxPool2d(2, 2),
        layer.Conv2d(8, 16, 3, padding=1, stride=2),
        layer.BatchNorm2d(16),
        neuron.IFNode(),
        layer.AvgPool2d(2, 2),
        layer.Flatten(),
        layer.Linear(16 * 4 * 4, 32),
        neuron.ParametricLIFNode(),
        layer.Dropout(0.5),
        layer.Linear(32, 10),
        neuron.LIFNode(v_reset=None),
    )
    functional.set_step_mode(net, "m")
    return net


def vgg() -> nn.Module:
    net = SpikingVGG(
        cfg=VGG, batch_norm=True, norm_layer=layer.BatchNorm2d, num_classes=10, init_weights=False,
        spiking_neuron=neuron.LIFNode,
    )  # fmt: skip
    net.classifier = nn.Sequential(
        layer.Linear(16 * 7 * 7, 32), neuron.LIFNode(), layer.Linear(32, 10)
    )
    functional.set_step_mode(net, "m")
    return net


def spikformer() -> nn.Module:
    return Spikformer(
        T=TIMESTEPS, img_size_h=32, img_size_w=32, patch_size=4, num_classes=10, embed_dims=32,
        num_heads=4, depths=2,
    )  # fmt: skip


def sdt() -> nn.Module:
    return SpikeDrivenTransformer(
        T=TIMESTEPS, num_classes=10, embed_dims=32, num_heads=4, depths=2, pooling_stat="0011"
    )


def qkformer() -> nn.Module:
    return QKFormer(
        T=TIMESTEPS, num_classes=10, embed_dims=32, num_heads=(2, 2, 2), depths=(1, 1, 2)
    )


NETWORKS = {"cnn": cnn, "vgg": vgg, "spikformer": spikformer, "sdt": sdt, "qkformer": qkformer}
SIDES = {"vgg": 28, "qkformer": 64}


def images_of(name: str, count: int = 2) -> Images:
    """Real pictures of the size a network wants."""
    images = pictures(count)
    side = SIDES.get(name, 32)
    pixels = images.pixels
    if side == 64:
        pixels = pixels.repeat(2, 2).repeat(2, 3)
    return images._replace(pixels=pixels[:, :, :side, :side].copy())


def lively_network(name: str) -> nn.Module:
    """The network in double precision with norms measured on its images."""
    torch.manual_seed(0)
    net = NETWORKS[name]().double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.uniform_(module.bias, 0.1, 1.1)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 4.0 / module.in_features**0.5)
    with torch.no_grad():
        net.train()(entering(name)(torch.from_numpy(images_of(name).pixels).float()))
    functional.reset_net(net)
    return net.eval()


def entering(name: str) -> Callable[[Tensor], Tensor]:
    """What makes a network's input of pixels."""
    return repeated if name in ("cnn", "vgg") else once


def captured(name: str, path: Path, network: nn.Module | None = None) -> Path:
    sequence = name in ("cnn", "vgg")
    return capture(
        network or lively_network(name),
        images_of(name),
        path,
        timesteps=TIMESTEPS,
        prepare=(lambda x: x.unsqueeze(0).repeat(TIMESTEPS, 1, 1, 1, 1)) if sequence else None,
        name=name,
        dataset="cifar10",
        divisor=256.0,
    )


def our_config(name: str) -> ModelConfig:
    """The same network as ours."""
    dataset = DATASETS["cifar10"]
    if name == "qkformer":
        dataset = Dataset(10, 3, 64, (0, 1, 2, 3))
    heads = 2 if name == "qkformer" else 4
    earlier = (1, 1) if name == "qkformer" else ()
    size = Size(2, 32, heads)
    return ModelConfig(name, size, dataset, TIMESTEPS, family=name, earlier_blocks=earlier)
