"""Calibrated networks: random weights whose batch-norms are fitted so that firing rates meet a
published table.

Weights are drawn by a seed on 8-bit grids, each tensor from its own stream, so that a network and
its baseline twin share every one. Each batch-norm takes the measured moments as its running
statistics; channels get a scale and an offset of their own (drawn), and one shift per layer is
solved by bisection. With halting, beta is solved for a budget of active tokens; rates then count
live rows only, so norms and beta are fitted in turns: each changes what the other sees, and which
token halts when is sensitive to every spike, so that of some rounds the closest is kept.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.calibration.census import Census
from models.calibration.fitting import FittingProbe
from models.calibration.solving import secant
from models.calibration.targets import Target, Targets, published_targets
from models.data.images import Images
from models.errors import ModelError
from models.evaluate import check_budget, evaluate, fit_beta, pixels_of
from models.networks.norms import MomentsProbe
from models.networks.stas import STAS
from models.networks.weights import to_grid, weight_tensors
from models.operations import describe
from models.operations.topology import stored_matrices

STREAM_WRITERS = ("proj_out", "mlp.out", "attn.proj", "mlp.fc2")
SCALE_SPREAD = 0.25
OFFSET_SPREAD = 0.5
STREAM_SPREAD = 1.0
DENSITY_TOLERANCE = 2e-3
FIRST_RATE = 0.1
HALTING_ROUNDS = 6


def draw_weights(model: STAS, seed: int) -> None:
    """Draw normal weights of deviation 1/sqrt(fan-in) on their 8-bit grids, and no head bias."""
    with torch.no_grad():
        for name, tensor in weight_tensors(model).items():
            fan_in = tensor[0].numel()
            normal = _stream(seed, name).standard_normal(tuple(tensor.shape), dtype=np.float32)
            tensor.copy_(to_grid(torch.from_numpy(normal / np.float32(np.sqrt(fan_in)))))
        model.head.bias.zero_()


def channel_spread(seed: int) -> Callable[[str, int], tuple[Tensor, Tensor]]:
    """Return the scale and offset of each channel's batch-norm, by layer name and channel count.

    Layers that write the residual stream share their offsets, and so do a block's Q and K, so that
    a channel is busy or quiet in all of them, as in trained networks; channel 0, which the halting
    reads, is a busy one. Our choice.
    """

    def spread(name: str, channels: int) -> tuple[Tensor, Tensor]:
        writes_stream = name in ("sps.3", "sps.4") or name.endswith(STREAM_WRITERS)
        scale = np.exp(SCALE_SPREAD * _stream(seed, f"{name}.scale").standard_normal(channels))
        source = "stream" if writes_stream else f"{name}.offset"
        if name.endswith(".k"):
            source = f"{name[:-1]}q.offset"
        offset = _stream(seed, source).standard_normal(channels)
        offset *= STREAM_SPREAD if writes_stream else OFFSET_SPREAD
        if writes_stream:
            offset[0] = STREAM_SPREAD
        return torch.from_numpy(scale).float(), torch.from_numpy(offset).float()

    return spread


def calibrate(
    model: STAS, images: Images, dataset: str, seed: int, active_tokens: float
) -> dict[str, Any]:
    """Draw weights, fit norms and beta on `images`; returns what a trace's manifest says of it.

    Raises ModelError where no rates are published for `dataset` or the token budget cannot be met.
    """
    targets = published_targets(model.config, dataset)
    late = model.config.isps == "late_sum" and model.config.integration == "sum"
    if late and not model.config.spike_stream:
        raise ModelError(
            "calibrated weights of a stream of potentials need integration mean with isps late_sum"
        )
    if model.config.scores:
        check_budget(model.config, active_tokens)
    draw_weights(model, seed)
    model.eval()
    pixels = pixels_of(images)
    spread = channel_spread(seed)
    masks, rate, reached = None, FIRST_RATE, 1.0
    best: tuple[float, dict[str, Tensor], dict[str, Any]] | None = None
    for _ in range(1 if model.halting is None else HALTING_ROUNDS):
        rate = _fit_norms(model, pixels, targets, spread, masks, rate)
        if model.config.scores:
            reached = fit_beta(model, images, active_tokens)
        elif model.halting is not None:
            reached = evaluate(model, images).active_tokens
        census = Census()
        with torch.no_grad():
            masks = model(pixels, census).active
        report = _report(model, targets, rate, census)
        report["images"] = len(images.labels)
        goal = active_tokens if model.config.scores else reached
        report["active_tokens"] = {"target": goal, "measured": round(reached, 6)}
        deviation = _mean_deviation(report)
        if best is None or deviation < best[0]:
            best = deviation, copy.deepcopy(model.state_dict()), report
    assert best is not None
    model.load_state_dict(best[1])
    return best[2]


def random_weights(model: STAS, images: Images, seed: int) -> None:
    """Draw weights and let the batch-norms only take the measured moments (scale 1, shift 0)."""
    draw_weights(model, seed)
    model.eval()
    with torch.no_grad():
        model(pixels_of(images), MomentsProbe(), path="layers")


def _fit_norms(
    model: STAS,
    pixels: Tensor,
    targets: Targets,
    spread: Callable[[str, int], tuple[Tensor, Tensor]],
    masks: Tensor | None,
    rate: float,
) -> float:
    """Fit all norms, under the given masks; where a common rate is free, solve it for the overall
    density.
    """
    matrices = list(stored_matrices(describe(model.config)))

    def density(common_rate: float) -> float:
        probe = FittingProbe(targets.with_common_rate(common_rate), spread, model.config)
        with torch.no_grad():
            model(pixels, probe, path="layers", imposed=masks)
        return probe.density(matrices)

    if targets.density is None:
        density(rate)
        return rate
    solved = secant(density, targets.density, rate, 0.1 * rate, DENSITY_TOLERANCE)
    density(solved)
    return solved


def _report(model: STAS, targets: Targets, rate: float, census: Census) -> dict[str, Any]:
    """Targets and measured rates, layer by layer, as the manifest states them."""
    layers: dict[str, dict[str, Any]] = {}
    for name, target in targets.with_common_rate(rate).items():
        layers[name] = _line(target, census.counts[_tensor_of(name, target.of, model)].density)
        if target.of == "stream":
            own = census.counts[_tensor_of(name, "spikes", model)].density
            layers[name]["own_rate"] = round(own, 6)
    report: dict[str, Any] = {
        "table": targets.table,
        "source": targets.origin,
        "layers": layers,
        "density": {
            "target": targets.density,
            "measured": round(census.density(stored_matrices(describe(model.config))), 6),
        },
    }
    if targets.common:
        report["common_rate"] = round(rate, 6)
    return report


def _mean_deviation(report: dict[str, Any]) -> float:
    """Mean relative distance of the measured rates from their targets."""
    lines = report["layers"].values()
    return sum(abs(line["measured"] / line["target"] - 1.0) for line in lines) / len(lines)


def _line(target: Target, measured: float) -> dict[str, Any]:
    """One layer of the report."""
    line: dict[str, Any] = {
        "target": round(target.value, 6),
        "measured": round(measured, 6),
        "of": target.of,
        "source": target.source,
    }
    if target.published is not None:
        line["published"] = round(target.published, 6)
    return line


def _tensor_of(layer: str, of: str, model: STAS) -> str:
    """The tensor of a layer's own spikes, of the stream that they complete (`of` stream), or of the
    neurons that see the potential with its sums added.
    """
    if of not in ("stream", "potential"):
        return f"{layer}.out" if layer.startswith("sps.") else layer
    if layer == "sps.4":
        return "blocks.0.x" if of == "stream" else "blocks.0.attn.in"
    index = int(layer.split(".")[1])
    if of == "stream":
        middle, after = f"blocks.{index}.mlp.x", str(model.blocks[index].output_name)
    else:
        middle, after = f"blocks.{index}.mlp.in", f"blocks.{index + 1}.attn.in"
    return middle if layer.endswith(("proj_out", "attn.proj")) else after


def _stream(seed: int, name: str) -> np.random.Generator:
    """A random stream of its own for every name."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
