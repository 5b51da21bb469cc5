"""Running a SpikingJelly network under hooks and writing what it did as a trace."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import functional
from torch import Tensor, nn

from models.data.images import Images
from models.errors import ModelError
from models.evaluate import batches
from models.foreign.attention import ATTENTIONS
from models.foreign.functions import FollowFunctions
from models.foreign.layers import HANDLERS
from models.foreign.ledger import LOST, Ledger
from models.networks.weights import weights_sha256
from models.recording import pack
from models.topology import Topology
from models.writing import manifest_of
from simulator.trace import open_writer

NOTE = (
    "A network of another code base, run as it is; its weights are not rounded to the 8 bits that "
    "a trace counts, and batch-norms and biases fold into the weighted sums ahead of them."
)
BATCH = 8
UNKNOWN_SHOWN = 12


@torch.no_grad()
def capture_network(
    path: str | Path,
    network: nn.Module,
    images: Images,
    *,
    timesteps: int,
    prepare: Callable[[Tensor], Tensor] = lambda pixels: pixels / 256.0,
    name: str = "",
    dataset: str = "unnamed",
    origin: str = "random",
    batch: int = BATCH,
) -> Path:
    """Run a multi-step SpikingJelly network on `images` and write the trace `path`.

    `prepare` makes the network's input of float pixels (image, channel, h, w) of 0..255: images, or
    a sequence (timestep, image, channel, h, w). `origin`: `trained`, `random` or `calibrated`, as a
    trace states it. Raises one ModelError that names every operation without a place in a trace.
    Memory is bounded by one batch.
    """
    network.eval()
    path = Path(path)
    label = name or type(network).__name__
    writer, listed = None, None
    with contextlib.ExitStack() as stack:
        for at, (pixels, labels) in enumerate(batches(images, batch)):
            first = at * batch
            stored = torch.from_numpy(images.pixels[first : first + len(labels)])
            ledger, output = _run(network, pixels, stored, timesteps, prepare)
            topology = Topology(ledger.tensors, ledger.operations)
            if writer is None:
                section = _model_section(network, label, ledger)
                weights = _weights_section(network, origin)
                manifest = manifest_of(section, weights, topology, images, dataset)
                writer, listed = stack.enter_context(open_writer(path, manifest)), topology
            elif topology != listed:
                raise ModelError(f"{label} does other operations on other images")
            predictions = output.flatten(1).argmax(1).tolist()
            if origin != "trained":
                predictions = [-1] * len(predictions)
            for recorded, truth, guess in zip(
                _recordings(ledger), labels.tolist(), predictions, strict=True
            ):
                writer.add(recorded, _masks(ledger), truth, guess)
    return path


def _run(
    network: nn.Module,
    pixels: Tensor,
    stored: Tensor,
    timesteps: int,
    prepare: Callable[[Tensor], Tensor],
) -> tuple[Ledger, Tensor]:
    """One batch under hooks: what it listed, and its output's mean over time (image, class)."""
    ledger = Ledger(timesteps)
    entering = prepare(pixels)
    ledger.know(entering, ledger.image(stored, sequence=stored.dim() == 5))
    functional.reset_net(network)
    with hooked(network, ledger):
        output = network(entering)
    functional.reset_net(network)
    if ledger.unknown:
        some = list(ledger.unknown)
        more = f"\n  and {len(some) - UNKNOWN_SHOWN} more" if len(some) > UNKNOWN_SHOWN else ""
        shown = "\n  ".join(some[:UNKNOWN_SHOWN])
        raise ModelError(f"operations that a trace cannot list:\n  {shown}{more}")
    if not any(each["kind"] == "lif" for each in ledger.operations):
        raise ModelError(
            "no neurons ran on what was made of the images; is this a spiking network?"
        )
    return ledger, output.mean(0) if output.shape[0] == timesteps and output.dim() == 3 else output


@contextlib.contextmanager
def hooked(network: nn.Module, ledger: Ledger) -> Iterator[None]:
    """Hooks on every layer that is listed as a whole; everything else is followed by function."""
    handles: list[Any] = []
    running: list[str] = ["network"]
    inside: dict[str, Tensor] = {}

    def enter(label: str, whole: bool) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any) -> None:
            running.append(label)
            ledger.depth += whole

        return hook

    def leave(label: str, handle: Any, kind: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            running.pop()
            ledger.depth -= handle is not None
            if handle is None:
                return
            if ledger.depth:  # a part of an attention
                inside[label] = output
                return
            value = ledger.find(inputs[0])
            if value is None:
                ledger.refuse(f"{label}: its input is not made of the images by known operations")
            extra: Any = output
            if kind == "attention":
                extra = {n.removeprefix(f"{label}."): inside[n] for n in list(inside)}
                inside.clear()
            if value is None or value == LOST:
                ledger.know(output, LOST)
            else:
                ledger.know(output, handle(ledger, label, module, value, extra) or LOST)

        return hook

    for label, module in network.named_modules():
        handle, kind = _handler(module)
        whole = handle is not None
        handles.append(module.register_forward_pre_hook(enter(label or "network", whole)))
        handles.append(module.register_forward_hook(leave(label or "network", handle, kind)))
    try:
        with FollowFunctions(ledger, lambda: running[-1]):
            yield
    finally:
        for each in handles:
            each.remove()


def _handler(module: nn.Module) -> tuple[Any, str]:
    """The function that lists a module as a whole, None for one that is looked into."""
    for kind, attention in ATTENTIONS:
        if isinstance(module, kind):
            return attention, "attention"
    for kinds, layer in HANDLERS:
        if isinstance(module, kinds):
            return layer, "layer"
    return None, ""


def _recordings(ledger: Ledger) -> Iterator[dict[str, Any]]:
    """The packed tensors of each image."""
    packed = {
        name: pack(
            ledger.tensors[name], name, rows.expand(ledger.tensors[name].timesteps, -1, -1, -1)
        )
        for name, rows in ledger.data.items()
    }
    images = packed["sps.image"].shape[1]
    for image in range(images):
        yield {name: tensor[:, image] for name, tensor in packed.items()}


def _shape(ledger: Ledger) -> tuple[tuple[int, int], int, int, int]:
    """Token grid, channels, heads and blocks; without attention one block of one token."""
    if ledger.tokens is None:
        return (1, 1), 1, 1, 1
    blocks = 1 + max(each["block"] for each in ledger.operations if each["block"] is not None)
    return (*ledger.tokens, blocks)


def _masks(ledger: Ledger) -> dict[str, Any]:
    """Every token active everywhere."""
    grid, _, _, blocks = _shape(ledger)
    everyone = np.ones((ledger.timesteps, grid[0] * grid[1]), dtype=np.bool_)
    return {str(block): everyone for block in range(blocks)}


def _model_section(network: nn.Module, name: str, ledger: Ledger) -> dict[str, Any]:
    grid, channels, heads, blocks = _shape(ledger)
    return {
        "name": name,
        "family": type(network).__name__,
        "timesteps": ledger.timesteps,
        "blocks": blocks,
        "embed_dim": channels,
        "heads": heads,
        "tokens": grid[0] * grid[1],
        "token_grid": list(grid),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "isps": "none",
        "halting": {"granularity": "none"},
    }


def _weights_section(network: nn.Module, origin: str) -> dict[str, Any]:
    return {
        "origin": origin,
        "seed": 0,
        "accuracy": None,
        "sha256": weights_sha256(network),
        "notes": NOTE,
    }
