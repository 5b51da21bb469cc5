"""What a family of networks brings, and the registry of families."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from models.errors import ModelError
from models.networks.layouts import Sources
from models.networks.registry import Registry
from models.networks.sizes import Size

if TYPE_CHECKING:
    from torch import Tensor, nn

    from models.calibration.targets import Targets
    from models.networks.config import ModelConfig
    from models.networks.layers import SpikingConv
    from models.networks.probes import Probe
    from models.operations.plan import NetworkListing

State = Mapping[str, Any]


class CheckpointLayout(NamedTuple):
    """Describe the layout of another code base's checkpoint.

    marks: tensors whose presence tells the layout.
    sources: where each of our layers finds its weights, from the state and the config.
    """

    marks: tuple[str, ...]
    sources: Callable[[State, ModelConfig], Sources]


class Family(ABC):
    """Describe a family of spiking Transformers.

    sizes: by data set, those that are published or chosen by us.
    spike_stream: the residual stream adds spikes, so it is an integer; else it is a potential.
    head_neurons: neurons are between the mean over tokens and the classifier.
    chooses_pool: the config's `pool` says where pooling happens.
    layouts: checkpoints that are read.
    """

    sizes: ClassVar[Mapping[str, tuple[Size, ...]]]
    spike_stream: ClassVar[bool] = True
    head_neurons: ClassVar[bool] = False
    chooses_pool: ClassVar[bool] = False
    layouts: ClassVar[tuple[CheckpointLayout, ...]] = ()

    def __init__(self, name: str) -> None:
        self.name = name

    def check(self, config: ModelConfig) -> None:
        """Raise ModelError for switches that this family does not have."""
        if config.pool != "before_lif" and not self.chooses_pool:
            raise ModelError(f"pool is {config.pool}; {self.name} has no such switch")
        if config.earlier_blocks:
            raise ModelError(
                f"earlier_blocks is {config.earlier_blocks}; {self.name} has no such stages"
            )
        if config.membrane_leak:
            raise ModelError(
                "membrane_leak reproduces QKFormer's own code; it needs family qkformer without "
                "halting"
            )

    def earlier_blocks(self, blocks: int) -> tuple[int, ...]:
        """Return how many of a size's blocks lie in each stage ahead of the last one."""
        return ()

    def pool(self, config: ModelConfig, stage: int) -> str | None:
        """Return where a pooled stage of the patch splitting pools: `before_lif` or `after_lif`."""
        return "after_lif"

    def attention_order(self, config: ModelConfig) -> str:
        """Return the order of the original's self-attention: `scores_first`, `key_values_first`.

        Read in the repositories of Spikformer, Spikingformer and QKFormer: on CIFAR the first two
        compute (q k^T) v, on ImageNet, and QKFormer everywhere, q (k^T v).
        """
        return "scores_first" if config.dataset.image_size < 224 else "key_values_first"

    def stem(self, config: ModelConfig) -> nn.Module:
        """Build the module from frames to the tokens of the first block that may halt tokens."""
        from models.networks.sps import PatchSplitting

        return PatchSplitting(config)

    def join(
        self, last: SpikingConv, current: Tensor, spikes: Tensor, steps: int, probe: Probe
    ) -> Tensor:
        """Return the tokens' maps from the fourth stage's current and spikes and the last stage."""
        raise NotImplementedError(f"{self.name} has a stem of its own")

    @abstractmethod
    def block(self, index: int, config: ModelConfig) -> nn.Module:
        """Build a block that may halt tokens."""

    @abstractmethod
    def list_stem(self, plan: NetworkListing) -> str:
        """List the stem's operations; return the name of the first block's input."""

    @abstractmethod
    def list_block(self, plan: NetworkListing, index: int, stream: str) -> str:
        """List a block's operations; return the name of its output."""

    def fitted(self, config: ModelConfig, state: State) -> ModelConfig:
        """Return the config with the switches that a checkpoint's layout goes with."""
        return config

    def targets(
        self, config: ModelConfig, dataset: str, tables: Mapping[str, Any]
    ) -> Targets | None:
        """Return the firing rates that calibration aims at; None where none are published."""
        return None


FAMILIES: Registry[Family] = Registry("family", __package__, lambda name, kind: kind(name))
register = FAMILIES.register
