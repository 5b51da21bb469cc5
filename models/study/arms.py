"""The arms of the study: networks that differ in one thing, and where each starts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Switches = Mapping[str, Any]
PLAIN: Switches = {}
EARLY: Switches = {"isps": "early_integration"}
STANDING: Switches = {"granularity": "none"}
EXITING: Switches = {"granularity": "timestep", "policy": "entropy_exit", "output": "last"}


class Arm(NamedTuple):
    """A network of the study.

    `isps`: whether it has I-SPS, which its name tells; `switches`, `halting`: fields of ModelConfig
    and HaltingConfig; `start`: the arm whose trained weights it begins from (None: from scratch);
    `budget_of`: the arm whose share of active tokens at every step it keeps.
    """

    name: str
    title: str
    switches: Switches = PLAIN
    halting: Switches = STANDING
    start: str | None = None
    budget_of: str | None = None
    timesteps: int = 4

    def network(self, stas: str) -> str:
        """The name of its network, of the size of a STAS network such as stas_spikformer_2_32."""
        return stas if self.switches else stas.removeprefix("stas_")

    @property
    def halts(self) -> bool:
        """Whether tokens halt."""
        return self.halting is not STANDING

    @property
    def exits(self) -> bool:
        """Whether images end early by entropy: a threshold is chosen then, nothing is trained."""
        return self.halting is EXITING


def assa(granularity: str, output: str = "mean_field") -> Switches:
    """A-SSA with gamma and beta learned."""
    return {"granularity": granularity, "output": output, "learned": True, "gamma": 1.0}


def budgeted(policy: str) -> Switches:
    """A control that keeps a given share of tokens at every step."""
    return {"granularity": "two_dimensional", "policy": policy, "output": "last"}


TWO_DIM = assa("two_dimensional")
ARMS = (
    Arm("baseline_t4", "baseline, T = 4"),
    Arm("baseline_t2", "baseline, T = 2", timesteps=2),
    Arm("baseline_t1", "baseline, T = 1", timesteps=1),
    Arm("isps_late_sum", "I-SPS A, late sum", {"isps": "late_sum"}),
    Arm("isps_early", "I-SPS B, early integration", EARLY),
    Arm("isps_single", "I-SPS C, single step", {"isps": "single_step"}),
    Arm("block", "B + block", EARLY, assa("block"), "isps_early"),
    Arm("timestep", "B + timestep", EARLY, assa("timestep"), "isps_early"),
    Arm("two_dim", "B + two-dimensional: STAS", EARLY, TWO_DIM, "isps_early"),
    Arm(
        "two_dim_last",
        "the same, head sees last output",
        EARLY,
        assa("two_dimensional", "last"),
        "isps_early",
    ),
    Arm("sps_two_dim", "SPS + two-dimensional", PLAIN, TWO_DIM, "baseline_t4"),
    Arm("random", "B + random tokens", EARLY, budgeted("random"), "isps_early", "two_dim"),
    Arm(
        "importance",
        "B + TP-Spikformer's score",
        EARLY,
        budgeted("token_importance"),
        "isps_early",
        "two_dim",
    ),
    Arm("entropy", "DT-SNN, entropy exit", PLAIN, EXITING, "baseline_t4"),
)
BY_NAME = {arm.name: arm for arm in ARMS}
MAIN = (
    "baseline_t4",
    "baseline_t1",
    "isps_early",
    "two_dim",
    "sps_two_dim",
    "random",
    "entropy",
)
ORDER = ("baseline_t4", "isps_late_sum", "isps_early", "isps_single", "two_dim", "sps_two_dim")


class Task(NamedTuple):
    """A data set of the study: the recipe that its arms share, which arms, in words."""

    name: str
    title: str
    recipe: str
    arms: tuple[str, ...]


TASKS = (
    Task("mnist", "MNIST-5k at 32 x 32", "mnist5k", MAIN),
    Task("digits", "digits at 16 x 16", "digits", tuple(BY_NAME)),
    # In a single timestep all rows would be shown at once: that is the task above.
    Task(
        "rows",
        "digits, a band of rows a timestep",
        "digits_rows",
        tuple(name for name in BY_NAME if name != "baseline_t1"),
    ),
    Task("order", "two digits in turn: which came first", "digits_first_of_two", ORDER),
)
TASK_BY_NAME = {task.name: task for task in TASKS}
SEEDS = (0, 1, 2)
