"""The switches of a network as options of a command, and what they change in a config."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any, NamedTuple

from models.halting.policies import POLICIES
from models.networks.config import (
    ATTENTION_ORDERS,
    EXITS,
    GRANULARITIES,
    ISPS_FORMS,
    MEMBRANES,
    OUTPUTS,
    SCORES,
    HaltingConfig,
    ModelConfig,
)
from models.neurons import NEURONS

OF_MODEL = ("isps", "integration", "pool", "membrane_leak", "attention_order", "neuron")
# An option `--seed` is that of the weights.
OF_HALTING = {each.name for each in dataclasses.fields(HaltingConfig)} - {"seed"}


class Switches(NamedTuple):
    """Hold fields of ModelConfig and of its HaltingConfig that were asked for."""

    model: dict[str, Any]
    halting: dict[str, Any]

    @property
    def given(self) -> bool:
        """Return whether any was asked for."""
        return bool(self.model or self.halting)

    def applied(self, config: ModelConfig) -> ModelConfig:
        """Return the config so changed; raises ModelError where the switches do not fit together.

        A policy without weights for a mean field takes output `last` unless asked otherwise.
        """
        halting = dataclasses.asdict(config.halting) | self.halting
        known, policy = POLICIES.names(), halting["policy"]
        if policy in known and not POLICIES.named(policy).accumulates:
            halting["output"] = self.halting.get("output", "last")
        return dataclasses.replace(config, halting=HaltingConfig(**halting), **self.model)


def add_switches(parser: argparse.ArgumentParser) -> None:
    """Add the options; none given leaves a config as its name, or its weights file, says."""
    group = parser.add_argument_group(
        "switches of the network", "defaults are the model's: what its name or weights file says"
    )
    add = group.add_argument
    add("--isps", choices=ISPS_FORMS, help="form of I-SPS")
    add("--integration", choices=("mean", "sum"), help="what I-SPS feeds on: sum over T, or mean")
    add("--pool", choices=("before_lif", "after_lif"), help="of Spikformer's patch splitting")
    add(
        "--membrane-leak",
        action="store_true",
        default=None,
        help="of QKFormer: one projection's membranes run from image to image, as in its own code, "
        "with which its accuracy was published",
    )
    add(
        "--attention-order",
        choices=ATTENTION_ORDERS,
        help="(q k^T) v or q (k^T v): the same spikes, other work; default: the original's",
    )
    add("--neuron", choices=NEURONS.names(), help="of every layer")
    add("--granularity", choices=GRANULARITIES, help="where halting is checked and begins again")
    add(
        "--policy",
        choices=POLICIES.names(),
        help="who halts: A-SSA's score, or a control: random tokens, TP-Spikformer's importance, "
        "DT-SNN's entropy exit (with granularity timestep), or a gate (with granularity waking)",
    )
    add("--exit", choices=EXITS, help="whether images end beside their tokens")
    add("--output", choices=OUTPUTS, help="what the head sees of halted tokens")
    add("--membranes", choices=MEMBRANES, help="of halted tokens")
    add("--score", choices=SCORES, help="what the score reads")
    add("--gamma", type=float, help="slope of the score")
    add("--beta", type=float, help="offset of the score")
    add("--budget", type=float, help="mean fraction of tokens that random and importance keep")
    add("--profile", type=float, nargs="+", help="the fraction kept at every check, instead")
    add("--halting-seed", dest="seed_of_halting", type=int, help="of random tokens")
    add("--entropy", type=float, help="normalised entropy under which images exit")


def switches_asked(options: argparse.Namespace) -> Switches:
    """Return the switches that the options give."""
    given = {name: value for name, value in vars(options).items() if value is not None}
    halting = {name: given[name] for name in OF_HALTING if name in given}
    if "seed_of_halting" in given:
        halting["seed"] = given["seed_of_halting"]
    return Switches({name: given[name] for name in OF_MODEL if name in given}, halting)
