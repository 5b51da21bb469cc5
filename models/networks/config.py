"""The switches of a network: a frozen dataclass, built from names as `stas_spikformer_4_384`."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from models.errors import ModelError
from models.halting.policies import POLICIES
from models.networks.families import FAMILIES, Family
from models.networks.sizes import DATASETS as DATASETS
from models.networks.sizes import Dataset as Dataset
from models.networks.sizes import Size as Size
from models.neurons import DEFAULT_NEURON, NEURONS

if TYPE_CHECKING:
    from models.halting.recursion import Policy
    from models.neurons.base import Neuron

ISPS_FORMS = ("none", "late_sum", "early_integration", "single_step")
GRANULARITIES = ("none", "block", "timestep", "two_dimensional", "waking")
SCORES = ("channel0", "mean", "readout")
EXITS = ("none", "entropy", "learned")
OUTPUTS = ("mean_field", "last")
MEMBRANES = ("frozen", "zero_input")
ATTENTION_ORDERS = ("scores_first", "key_values_first")


@dataclass(frozen=True)
class HaltingConfig:
    """Hold the switches of halting: A-SSA's, and those of the controls it is compared with.

    `granularity`: where the score is checked and when it begins again (docs/stas.md). `policy`:
    `score` is A-SSA; `random` and `token_importance` (TP-Spikformer's score) keep so many tokens as
    `profile`, a fraction for each step, or, if it is empty, a mean of `budget` asks for;
    `entropy_exit` (DT-SNN) ends an image whose normalised entropy falls under `entropy`; `gate`
    chooses at every timestep who runs it, so that tokens may wake (granularity `waking`). `score`:
    what a score reads of a token: its channel 0, its channels' mean, or a learned `readout`.
    `exit`: whether images end beside their tokens, by `entropy` or by a `learned` level of it.
    `learned` makes gamma and beta parameters of the network; `offsets` adds a number to beta for
    each (timestep, block), a parameter too where those are; `output` is what the head sees;
    `membranes` what happens to those of a halted token; `seed` draws the random policy's tokens;
    `neighbourhood` is the side, in tokens, of token_importance's square.
    """

    granularity: str = "none"
    gamma: float = 1.0
    beta: float = -4.0
    learned: bool = False
    eps: float = 0.01
    score: str = "channel0"
    policy: str = "score"
    output: str = "mean_field"
    membranes: str = "frozen"
    budget: float = 1.0
    profile: tuple[float, ...] = ()
    seed: int = 0
    neighbourhood: int = 3
    entropy: float = 0.1
    exit: str = "none"
    offsets: bool = False

    def __post_init__(self) -> None:
        """Refuse values and pairings that no halting can have."""
        object.__setattr__(self, "profile", tuple(self.profile))  # a list, from a JSON file
        for what, value, known in (
            ("halting granularity", self.granularity, GRANULARITIES),
            ("halting score", self.score, SCORES),
            ("halting exit", self.exit, EXITS),
            ("halting policy", self.policy, POLICIES.names()),
            ("halting output", self.output, OUTPUTS),
            ("halting membranes", self.membranes, MEMBRANES),
        ):
            _one_of(what, value, known)
        if not 0.0 < self.eps < 1.0:
            raise ModelError(f"halting eps is {self.eps}; it must lie between 0 and 1")
        if not 0.0 <= self.entropy <= 1.0:
            raise ModelError(f"halting entropy is {self.entropy}; it must lie in 0..1")
        if self.neighbourhood < 1 or self.neighbourhood % 2 == 0:
            raise ModelError(f"halting neighbourhood is {self.neighbourhood}; it must be odd")
        if self.exit != "none" and self.output == "mean_field":
            raise ModelError(f"halting exit {self.exit} needs logits of a timestep: output last")
        if self.offsets and self.granularity == "none":
            raise ModelError("halting offsets with granularity none: nothing is checked there")
        if self.granularity != "none":
            self._check_policy(POLICIES.named(self.policy))

    def round_length(self, timesteps: int, blocks: int) -> int:
        """Count the steps of a round of halting, at whose end every token has halted."""
        rounds = {"block": blocks, "timestep": timesteps}
        return rounds.get(self.granularity, timesteps * blocks)

    def _check_policy(self, policy: type[Policy]) -> None:
        """Raise ModelError for what the policy cannot do."""
        if not policy.accumulates and self.output == "mean_field":
            raise ModelError(
                f"halting policy {self.policy} gives no weights for the output mean_field; "
                "it must go with output last"
            )
        if self.granularity not in policy.granularities:
            raise ModelError(
                f"halting granularity is {self.granularity}; with policy {self.policy} it must be "
                f"{' or '.join(policy.granularities)}"
            )
        if self.offsets and not policy.accumulates:
            raise ModelError(
                f"halting offsets with policy {self.policy}: "
                "only a score that is accumulated can be shifted by them"
            )


@dataclass(frozen=True)
class ModelConfig:
    """Hold everything that shapes a network.

    `isps`: form of I-SPS; `integration`: `mean` feeds what follows the integration with sum/T, so
    that it sees the scale of one spike map, `sum` with the graded map itself. `pool`: max-pooling
    before the LIF (SpikingJelly) or after it (the original repository). `pooled_stages`: SPS stages
    that halve the grid. A pixel enters as (value * pixel_scale - image_mean) / image_std.
    `earlier_blocks`: of QKFormer, the blocks of the stages ahead of the last one, whose blocks
    `size` counts. `membrane_leak`: the neurons behind its self-attention's projection run over the
    images of a batch, timestep by timestep, as in its repository, whose neurons are handed
    (timestep x image) for a time axis. Its published accuracy was measured so; what an image gives
    depends on its batch then. `attention_order`: (q k^T) v or q (k^T v), the same integers in
    another time; empty takes the original's. `neuron`: of every layer, a name of models/neurons.
    """

    name: str
    size: Size
    dataset: Dataset
    timesteps: int = 4
    mlp_ratio: int = 4
    isps: str = "none"
    integration: str = "mean"
    pool: str = "before_lif"
    halting: HaltingConfig = field(default_factory=HaltingConfig)
    pixel_scale: float = 1.0 / 256.0
    image_mean: tuple[float, ...] = ()
    image_std: tuple[float, ...] = ()
    family: str = "spikformer"
    earlier_blocks: tuple[int, ...] = ()
    membrane_leak: bool = False
    attention_order: str = ""
    neuron: str = DEFAULT_NEURON

    def __post_init__(self) -> None:
        """Refuse values that no network can have."""
        _one_of("family", self.family, tuple(FAMILIES))
        _one_of("isps", self.isps, ISPS_FORMS)
        _one_of("integration", self.integration, ("mean", "sum"))
        _one_of("pool", self.pool, ("before_lif", "after_lif"))
        _one_of("attention_order", self.attention_order, ("", *ATTENTION_ORDERS))
        if not 1 <= self.timesteps <= 64:
            raise ModelError(f"timesteps is {self.timesteps}; it must lie in 1..64")
        if self.size.embed_dim % self.size.heads or self.size.embed_dim % 8:
            raise ModelError(
                f"embed_dim is {self.size.embed_dim}; it must be a multiple of 8 and of heads "
                f"({self.size.heads})"
            )
        _one_of("neuron", self.neuron, NEURONS.names())
        self.kind.check(self)
        if self.halts:
            check_profile(self.halting, self.timesteps, self.size.blocks)

    @property
    def kind(self) -> Family:
        """Return its family: what it is made of."""
        return FAMILIES[self.family]

    @property
    def neurons(self) -> Neuron:
        """Return the neuron of every layer."""
        return NEURONS.named(self.neuron)

    @property
    def order_of_attention(self) -> str:
        """Return which product of self-attention comes first: its choice, or the original's."""
        return self.attention_order or self.kind.attention_order(self)

    @property
    def grid(self) -> tuple[int, int]:
        """Return height and width of the token grid."""
        side = self.dataset.image_size >> len(self.dataset.pooled_stages)
        return side, side

    @property
    def tokens(self) -> int:
        """Count the tokens."""
        return self.grid[0] * self.grid[1]

    @property
    def head_dim(self) -> int:
        """Count the channels of one attention head."""
        return self.size.embed_dim // self.size.heads

    @property
    def spike_stream(self) -> bool:
        """Return whether the residual stream is an integer, of spikes; else it is a potential."""
        return self.kind.spike_stream

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Return the output channels of the five SPS stages; the last is the relative position."""
        dim = self.size.embed_dim
        return dim // 8, dim // 4, dim // 2, dim, dim

    @property
    def halts(self) -> bool:
        """Return whether tokens halt."""
        return self.halting.granularity != "none"

    @property
    def scores(self) -> bool:
        """Return whether a score is accumulated, so that there is a ponder cost."""
        return self.halts and POLICIES.named(self.halting.policy).accumulates

    @property
    def fits_beta(self) -> bool:
        """Return whether a score's offset can be solved for a budget of tokens."""
        return self.halts and POLICIES.named(self.halting.policy).fits_beta

    @property
    def halting_steps(self) -> int:
        """Count the checks that a token can pass, as a ponder cost does."""
        each = 1 if self.halting.granularity == "timestep" else self.size.blocks
        return self.timesteps * each

    def baseline(self) -> ModelConfig:
        """Return the twin without I-SPS and without halting: the same weights fit it."""
        none: dict[str, Any] = {"granularity": "none", "exit": "none"}
        none |= {"policy": HaltingConfig.policy, "learned": False, "offsets": False}
        halting = dataclasses.replace(self.halting, **none)
        name = self.name.removeprefix("stas_")
        return dataclasses.replace(self, name=name, isps="none", halting=halting)


def model_names(family: str | None = None) -> tuple[str, ...]:
    """Return every name that `named_config` knows, or those of a family."""
    names = []
    for each in FAMILIES if family is None else (family,):
        sizes = sorted({size[:2] for group in FAMILIES[each].sizes.values() for size in group})
        names += [f"{stas}{each}_{b}_{d}" for stas in ("stas_", "") for b, d in sizes]
    return tuple(names)


def named_config(name: str, dataset: str, timesteps: int = 4) -> ModelConfig:
    """Return the network `name` for `dataset`; raises ModelError where there is none."""
    if dataset not in DATASETS:
        raise ModelError(unknown("dataset", dataset, tuple(DATASETS)))
    if name not in model_names():
        raise ModelError(unknown("model", name, model_names()))
    base = name.removeprefix("stas_")
    family = base.split("_")[0]
    known = FAMILIES[family].sizes.get(dataset, ())
    sizes = {f"{size.blocks}_{size.embed_dim}": size for size in known}
    size = sizes.get(base.removeprefix(f"{family}_"))
    if size is None:
        fitting = ", ".join(sizes) or "none"
        raise ModelError(f"model {name} has no form for {dataset}; its sizes are {fitting}")
    earlier = FAMILIES[family].earlier_blocks(size.blocks)
    plain = ModelConfig(
        name=name,
        size=size._replace(blocks=size.blocks - sum(earlier)),
        dataset=DATASETS[dataset],
        timesteps=timesteps,
        family=family,
        earlier_blocks=earlier,
        # Counts of events enter as they are.
        pixel_scale=1.0 if dataset == "cifar10dvs" else 1.0 / 256.0,
    )
    if base == name:
        return plain
    halting = HaltingConfig("two_dimensional")
    return dataclasses.replace(plain, isps="early_integration", halting=halting)


def check_profile(halting: HaltingConfig, timesteps: int, blocks: int) -> None:
    """Raise ModelError for a profile or budget that no halting of this granularity can keep."""
    if not POLICIES.named(halting.policy).budgeted:
        return
    steps = timesteps if halting.granularity == "timestep" else timesteps * blocks
    restart = halting.round_length(timesteps, blocks)
    profile, least = halting.profile, 1.0 / restart
    if not profile:
        if not least <= halting.budget <= 1.0:
            raise ModelError(
                f"halting budget is {halting.budget}; with granularity {halting.granularity} it "
                f"must lie in {least:.4g}..1"
            )
        return
    if len(profile) != steps or not all(0.0 <= value <= 1.0 for value in profile):
        raise ModelError(
            f"halting profile has {len(profile)} values; it must have {steps}, each in 0..1"
        )
    for at in range(1, steps):
        if at % restart and profile[at] > profile[at - 1]:
            raise ModelError(
                f"halting profile rises from {profile[at - 1]} to {profile[at]} at step {at}; "
                "a halted token must stay halted"
            )


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ModelError(unknown(what, value, known))


def unknown(what: str, value: str, known: tuple[str, ...]) -> str:
    """Return what a message says of a name that is not known."""
    close = difflib.get_close_matches(value, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown {what} {value!r}{hint} Known: {', '.join(known)}"
