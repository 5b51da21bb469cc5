"""The networks of the joint design: each value of the model's axes meets each of the others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

Fields = dict[str, Any]

THRESHOLDS = (0.5, 0.9, 0.99)
"""Of the accumulated score at which a token halts; networks are trained at the last one."""
TIMESTEPS = (1, 2, 4)
FORMS = {
    "none": ("baseline_t4", "baseline_t2", "sps"),
    "late_sum": ("isps_late_sum", "isps_late_sum_t2", "late"),
    "early_integration": ("isps_early", "isps_early_t2", "early"),
    "single_step": ("isps_single", "isps_single_t2", "single"),
}
"""Form of I-SPS: its arms trained at T = 4 and 2, and what the names of its others begin with."""
TRAINED_SO = "none, trained at T"
GRANULARITIES = ("none", TRAINED_SO, "block", "timestep", "two_dimensional")
"""`none` is trained at T = 4 for as long as the arms that halt, and run at T, as these are."""
# Arms that the study has under names of its own.
NAMED = {
    "early_block": "block",
    "early_timestep": "timestep",
    "early_two_dimensional": "two_dim",
    "sps_two_dimensional": "sps_two_dim",
    "sps_long": "static_long",
}
ENTROPIES = (0.1, 0.2, 0.4, 0.6)
EXIT: Fields = {"granularity": "timestep", "policy": "entropy_exit", "output": "last"}


class Variant(NamedTuple):
    """A trained arm of the study, run for `timesteps`; `halting`: its fields that differ."""

    axes: Fields
    arm: str
    timesteps: int
    halting: Fields

    @property
    def stem(self) -> str:
        """The name of its trace: variants that run alike share one."""
        changed = "".join(f"_{name}_{value}" for name, value in self.halting.items())
        return f"{self.arm}_t{self.timesteps}{changed}"


def of_task(task: str) -> list[Variant]:
    """Every variant of a task."""
    return list(_in_time() if task == "stream" else _still())


def _still() -> Iterator[Variant]:
    """Still pictures: I-SPS form x granularity x T x threshold.

    A network trained at one timestep is the same under every form of I-SPS.
    """
    for form, granularity, timesteps, threshold in itertools.product(
        FORMS, GRANULARITIES, TIMESTEPS, THRESHOLDS
    ):
        axes = {
            "isps": form,
            "granularity": granularity,
            "timesteps": timesteps,
            "halting_threshold": threshold,
        }
        four, two, prefix = FORMS[form]
        if granularity == TRAINED_SO:
            arm = {1: "baseline_t1", 2: two, 4: four}[timesteps]
            yield Variant(axes, arm, timesteps, {})
            continue
        halts = granularity != "none"
        arm = f"{prefix}_{granularity if halts else 'long'}"
        yield Variant(axes, NAMED.get(arm, arm), timesteps, at(threshold) if halts else {})


def _in_time() -> Iterator[Variant]:
    """The stream, whose frames differ, so that no form of I-SPS applies: who halts x T."""
    for timesteps in TIMESTEPS:
        plain = "baseline_t1" if timesteps == 1 else "baseline_t4"
        yield Variant({"halting": "none", "timesteps": timesteps}, plain, timesteps, {})
        for arm, words in (("stas", "STAS"), ("stas_mean", "STAS, mean score")):
            for threshold in THRESHOLDS:
                axes = {"halting": f"{words}, {threshold}", "timesteps": timesteps}
                yield Variant(axes, arm, timesteps, at(threshold))
        for entropy in ENTROPIES:
            axes = {"halting": f"entropy exit, {entropy}", "timesteps": timesteps}
            yield Variant(axes, "baseline_t4", timesteps, EXIT | {"entropy": entropy})


def at(threshold: float) -> Fields:
    """The field of a halting that says the threshold; rounded, so that 1 - 0.99 is 0.01."""
    return {"eps": round(1.0 - threshold, 12)}
