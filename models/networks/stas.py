"""The whole network: patch splitting, blocks, halting, head."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.errors import ModelError
from models.halting.policies import POLICIES
from models.halting.recursion import HaltingState, HaltingStep
from models.networks.config import ModelConfig
from models.networks.layers import Context, SpikingConv, SpikingLinear
from models.networks.probes import SILENT, Probe
from models.networks.rows import DroppedRows, MaskedRows, Membranes, Rows
from models.neurons.base import Neuron

INITIAL_STD = 0.02


class Output(NamedTuple):
    """Hold what a forward pass gives.

    `logits` (image, class); `active` bool (image, timestep, block, token), None without halting;
    `ponder` (image, token): A-ViT's rho, and `weights` (image, check, token): the weights of the
    mean field, which sum to 1 over the checks; None where no score is accumulated. `survival`
    (image, check, token): the probability, with its gradient, that a token runs a check.
    """

    logits: Tensor
    active: Tensor | None
    ponder: Tensor | None
    weights: Tensor | None = None
    survival: Tensor | None = None


class STAS(nn.Module):
    """Build a network of one of the families with the switches of its config.

    Without I-SPS and halting, Spikformer, the Spike-Driven Transformer and QKFormer are those of
    SpikingJelly.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.sps = config.kind.stem(config)
        self.blocks = nn.ModuleList(
            config.kind.block(index, config) for index in range(config.size.blocks)
        )
        self.halting = POLICIES.named(config.halting.policy).of(config) if config.halts else None
        self.head = nn.Linear(config.size.embed_dim, config.dataset.classes)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=INITIAL_STD)
        nn.init.zeros_(self.head.bias)

    def forward(
        self,
        images: Tensor,
        probe: Probe = SILENT,
        *,
        path: str | None = None,
        rows: str = "dropped",
        imposed: Tensor | None = None,
    ) -> Output:
        """Classify images (image, [timestep,] channel, h, w) of pixel values 0..255.

        `path`: `layers` (each layer over all timesteps at once), `serial` (one timestep after
        another) or `halting` (serial, tokens halt); None takes `halting` where the config halts,
        else `layers`. `rows`: whether halted rows are `dropped` (gather, compute, scatter) or
        `masked` (computed, then zeroed). `imposed`: masks bool (image, timestep, block, token) that
        path `layers` obeys instead of computing any.
        """
        stream = self.sps(self._frames(images), probe)
        stream = stream.expand(self.config.timesteps, *stream.shape[1:])
        path = path or ("layers" if self.halting is None else "halting")
        if path == "halting":
            return self._halting_serially(images, stream, probe, rows)
        if path == "serial":
            features = self._serial(stream, probe)
        else:
            features = self._layer_by_layer(stream, probe, imposed)
        if self.config.kind.head_neurons:
            return Output(self.classify(features.mean(2), probe), None, None)
        return Output(self.head(features.mean((0, 2))), None, None)

    def _frames(self, images: Tensor) -> Tensor:
        """Normalise pictures (step, image, channel, h, w), one step where images are constant."""
        dataset, timesteps = self.config.dataset, self.config.timesteps
        expected: tuple[int, ...] = (dataset.image_channels, *2 * [dataset.image_size])
        named, rule = "(image, channel, h, w)", ""
        if dataset.sequential:
            expected, named = (timesteps, *expected), "(image, timestep, channel, h, w)"
            rule = f"; a sequence must give {timesteps} timesteps"
        if tuple(images.shape[1:]) != expected:
            raise ModelError(
                f"images of shape {tuple(images.shape)}: {self.config.name} takes {named} with "
                f"{expected} for each image{rule}"
            )
        if not torch.compiler.is_compiling() and not bool(images.isfinite().all()):
            raise ModelError("images hold pixels that are not finite; pixels must lie in 0..255")
        frames = self.normalised(images)
        return frames.transpose(0, 1) if dataset.sequential else frames.unsqueeze(0)

    def classify(self, features: Tensor, probe: Probe = SILENT) -> Tensor:
        """Return logits (image, class) of features (timestep, image, channel), means over tokens.

        The Spike-Driven Transformer's features pass through neurons first.
        """
        if self.config.kind.head_neurons:
            features, _ = self.config.neurons.fire(features)
            probe.record_maps("head.in", features[..., None, None])
        return torch.as_tensor(self.head(features.mean(0)))

    def normalised(self, images: Tensor) -> Tensor:
        """Scale pixels 0..255; by our choice with 1/256 and no mean, for exact first sums."""
        scaled = images * self.config.pixel_scale
        if not self.config.image_mean:
            return scaled
        mean, std = (
            scaled.new_tensor(values).view(1, -1, 1, 1)
            for values in (self.config.image_mean, self.config.image_std)
        )
        return (scaled - mean) / std

    def spiking_layers(self) -> list[SpikingConv | SpikingLinear]:
        """Return every layer with weights, batch-norm and neurons, in the order of execution."""
        return [m for m in self.modules() if isinstance(m, SpikingConv | SpikingLinear)]

    def _layer_by_layer(self, stream: Tensor, probe: Probe, imposed: Tensor | None) -> Tensor:
        """Run each block over all timesteps at once, as SpikingJelly does."""
        for index, block in enumerate(self.blocks):
            rows = Rows(*stream.shape[:3], neuron=self.config.neurons)
            if imposed is not None:
                rows = MaskedRows(imposed[:, :, index].transpose(0, 1), *self._leak)
            stream = block(stream, Context(rows, {}, probe))
        return stream

    def _serial(self, stream: Tensor, probe: Probe) -> Tensor:
        """Run each timestep through all blocks, membranes kept between timesteps."""
        membranes: list[Membranes] = [{} for _ in self.blocks]
        outputs = []
        for step in range(stream.shape[0]):
            current = stream[step : step + 1]
            rows = Rows(*current.shape[:3], neuron=self.config.neurons)
            for block, kept in zip(self.blocks, membranes, strict=True):
                current = block(current, Context(rows, kept, probe))
            outputs.append(current)
        return torch.cat(outputs)

    def _halting_serially(self, images: Tensor, stream: Tensor, probe: Probe, rows: str) -> Output:
        """Run timesteps outside, blocks inside; the policy says who runs."""
        policy = self.halting
        assert policy is not None
        timesteps, count, tokens, _ = stream.shape
        policy.look(images)
        state = policy.start(count, tokens, stream)
        membranes: list[Membranes] = [{} for _ in self.blocks]
        masks = []
        for timestep in range(timesteps):
            current = stream[timestep : timestep + 1]
            for index, block in enumerate(self.blocks):
                step = HaltingStep(timestep, index, timesteps, len(self.blocks))
                state = policy.before(state, current[0], step)
                masks.append(state.active)
                probe.record_active(index, state.active)
                chosen = self._rows(rows, state.active)
                current = block(current, Context(chosen, membranes[index], probe))
                state = policy.after(state, current[0], step, self.classify)
        active = torch.stack(masks, 1).unflatten(1, (timesteps, len(self.blocks)))
        logits, ponder = self._logits(state, probe), policy.ponder(state)
        weights, survival = policy.weights(state, timesteps), policy.survival(state, timesteps)
        return Output(logits, active, ponder, weights, survival)

    def _logits(self, state: HaltingState, probe: Probe) -> Tensor:
        """Return what the head makes of the tokens at the end."""
        halting, timesteps = self.config.halting, self.config.timesteps
        if state.logits is not None:
            self.classify(torch.stack(state.features), probe)  # for the probe alone
            return state.logits
        if halting.output == "last":
            return self.classify(torch.stack(state.features), probe)
        field = state.output.mean(1)
        if halting.granularity == "block":
            field = field / timesteps
        if self.config.kind.head_neurons:  # its head's neurons see the field as a constant current
            return self.classify(field.expand(timesteps, *field.shape), probe)
        return torch.as_tensor(self.head(field))

    @property
    def _leak(self) -> tuple[float, Neuron]:
        """Return what a timestep leaves of a halted token's membrane, and the neuron."""
        neuron = self.config.neurons
        return neuron.keep if self.config.halting.membranes == "zero_input" else 1.0, neuron

    def _rows(self, rows: str, active: Tensor) -> Rows:
        """Return the rows to compute for a mask (image, token) of one timestep."""
        if rows == "masked":
            return MaskedRows(active.unsqueeze(0), *self._leak)
        if bool(active.all()):
            return Rows(1, *active.shape, neuron=self.config.neurons)
        return DroppedRows(active.unsqueeze(0), *self._leak)
