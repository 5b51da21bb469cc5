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
    `budget_of`: the arm whose share of active tokens at every step it keeps; `phase`: fields of the
    recipe's phase with halting; `imposed`: whose masks an evaluation obeys without any training,
    one of gap.ORACLES, `events` (experiments/study/events.py) or `thresholds` (thresholds.py).
    """

    name: str
    title: str
    switches: Switches = PLAIN
    halting: Switches = STANDING
    start: str | None = None
    budget_of: str | None = None
    timesteps: int = 4
    phase: Switches = PLAIN
    imposed: str = ""

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

    @property
    def tuned(self) -> bool:
        """Whether it goes on from another arm without halting, for as long as halting arms do."""
        return self.start is not None and not self.halts and not self.imposed


def assa(granularity: str, output: str = "mean_field") -> dict[str, Any]:
    """A-SSA with gamma and beta learned."""
    return {"granularity": granularity, "output": output, "learned": True, "gamma": 1.0}


def budgeted(policy: str) -> dict[str, Any]:
    """A control that keeps a given share of tokens at every step."""
    return {"granularity": "two_dimensional", "policy": policy, "output": "last"}


TWO_DIM = assa("two_dimensional")
READOUT = {
    **assa("two_dimensional", "last"),
    "score": "readout",
    "gamma": 4.0,
    "exit": "learned",
    "entropy": 0.4,
}
WAKING = {
    **assa("waking", "last"),
    "policy": "gate",
    "score": "readout",
    "gamma": 4.0,
    "entropy": 0.4,
}
WAKING_AT_RANDOM = budgeted("random") | {"granularity": "block"}
# STAS as reconstructed: its phase on the stream, and the parts that each control changes alone.
STAS_PHASE: dict[str, Any] = {"survival": 0.0, "active_tokens": 0.6}
STAS_CONTROLS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "stas_last": ("STAS, head sees last output", {"output": "last"}, {}),
    "stas_mean": ("STAS, score the mean of channels", {"score": "mean"}, {}),
    "stas_sharp": ("STAS, gamma 4 at the start", {"gamma": 4.0}, {}),
    "stas_survival": (
        "STAS, gradient through survival",
        {},
        {"survival": 1.0, "survival_target": 0.48, "ponder": 0.0},
    ),
    "stas_offsets": ("STAS, an offset for each check", {"offsets": True}, {}),
    "stas_long": ("STAS, three times as long", {}, {"epochs": 18}),
}
GRANULARITIES = {"block": "block", "timestep": "timestep", "two_dimensional": "two-dimensional"}
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
    Arm("static_long", "baseline, trained as long as halting arms", start="baseline_t4"),
    Arm("baseline_t8", "baseline, T = 8", timesteps=8),
    # The other outputs of the arms that halt by a mean field.
    Arm("block_last", "B + block, last output", EARLY, assa("block", "last"), "isps_early"),
    Arm(
        "timestep_last", "B + timestep, last output", EARLY, assa("timestep", "last"), "isps_early"
    ),
    Arm(
        "sps_two_dim_last",
        "SPS + two-dimensional, last output",
        PLAIN,
        assa("two_dimensional", "last"),
        "baseline_t4",
    ),
    # On the stream: A-SSA as reconstructed, then what is beyond it.
    Arm(
        "stas",
        "SPS + STAS",
        PLAIN,
        TWO_DIM,
        "baseline_t4",
        phase=STAS_PHASE,
    ),
    *(
        Arm(name, title, PLAIN, TWO_DIM | halting, "baseline_t4", phase=STAS_PHASE | phase)
        for name, (title, halting, phase) in STAS_CONTROLS.items()
    ),
    Arm(
        "readout",
        "the same, score of its own, exit",
        PLAIN,
        READOUT,
        "baseline_t4",
        phase={"survival_target": 0.48, "ponder": 0.0, "active_tokens": 0.9},
    ),
    Arm("gate", "waking tokens", PLAIN, WAKING, "baseline_t4", phase={"survival_target": 0.57}),
    Arm(
        "gate_exit",
        "waking tokens, learned exit",
        PLAIN,
        WAKING | {"exit": "learned"},
        "baseline_t4",
    ),
    Arm(
        "random_stas",
        "random tokens of STAS's profile",
        PLAIN,
        budgeted("random"),
        "baseline_t4",
        "stas",
    ),
    Arm(
        "random_readout",
        "random tokens of that score's profile",
        PLAIN,
        budgeted("random"),
        "baseline_t4",
        "readout",
    ),
    Arm("random_gate", "random waking tokens", PLAIN, WAKING_AT_RANDOM, "baseline_t4", "gate"),
    Arm(
        "random_gate_exit",
        "random waking tokens, as after exits",
        PLAIN,
        WAKING_AT_RANDOM,
        "baseline_t4",
        "gate_exit",
    ),
    Arm(
        "event_exit",
        "most ink in each frame, entropy exit, untrained",
        start="baseline_t4",
        imposed="events",
    ),
    Arm(
        "random_event_exit",
        "random tokens in each frame, as after those exits",
        PLAIN,
        WAKING_AT_RANDOM,
        "baseline_t4",
        "event_exit",
    ),
    Arm(
        "event_exit_long",
        "most ink in each frame, entropy exit, weights trained as long",
        start="static_long",
        imposed="events",
    ),
    Arm(
        "entropy_long",
        "DT-SNN, entropy exit, weights trained as long",
        PLAIN,
        EXITING,
        "static_long",
    ),
    Arm(
        "block_exit",
        "exit of images after a block, by entropy, untrained",
        start="baseline_t4",
        imposed="depth",
    ),
    Arm(
        "stas_thresholds",
        "STAS, a threshold for each check, searched",
        start="stas",
        imposed="thresholds",
    ),
    Arm("oracle_time", "until the square's frame", start="baseline_t4", imposed="time"),
    Arm("oracle_space", "tokens at or beside ink", start="baseline_t4", imposed="space"),
    Arm("oracle", "both", start="baseline_t4", imposed="both"),
    Arm("oracle_long", "both, trained as long", start="static_long", imposed="both"),
    # Of the joint design alone: what is left of I-SPS form x granularity, and forms at T = 2.
    *(
        Arm(f"{form}_{granularity}", f"{title} + {words}", switches, assa(granularity), start)
        for form, title, switches, start in (
            ("sps", "SPS", PLAIN, "baseline_t4"),
            ("late", "A", {"isps": "late_sum"}, "isps_late_sum"),
            ("single", "C", {"isps": "single_step"}, "isps_single"),
        )
        for granularity, words in GRANULARITIES.items()
        if (form, granularity) != ("sps", "two_dimensional")
    ),
    *(
        Arm(f"{form}_long", f"{title}, trained as long", switches, start=start)
        for form, title, switches, start in (
            ("late", "A", {"isps": "late_sum"}, "isps_late_sum"),
            ("early", "B", EARLY, "isps_early"),
            ("single", "C", {"isps": "single_step"}, "isps_single"),
        )
    ),
    Arm("isps_late_sum_t2", "I-SPS A, late sum, T = 2", {"isps": "late_sum"}, timesteps=2),
    Arm("isps_early_t2", "I-SPS B, early integration, T = 2", EARLY, timesteps=2),
    Arm("isps_single_t2", "I-SPS C, single step, T = 2", {"isps": "single_step"}, timesteps=2),
)
BY_NAME = {arm.name: arm for arm in ARMS}
STILL = tuple(BY_NAME)[: list(BY_NAME).index("entropy") + 1]
DIGITS = (
    *STILL,
    "baseline_t8",
    "static_long",
    "early_long",
    "block_last",
    "timestep_last",
    "sps_two_dim_last",
)
MAIN = (
    "baseline_t4",
    "baseline_t1",
    "isps_early",
    "two_dim",
    "sps_two_dim",
    "random",
    "entropy",
)
STREAM = (
    "baseline_t4",
    "baseline_t2",
    "baseline_t1",
    "static_long",
    "stas",
    *STAS_CONTROLS,
    "readout",
    "gate",
    "gate_exit",
    "event_exit",
    "random_stas",
    "random_readout",
    "random_gate",
    "random_gate_exit",
    "random_event_exit",
    "entropy",
    "event_exit_long",
    "entropy_long",
    "block_exit",
    "stas_thresholds",
    "oracle_time",
    "oracle_space",
    "oracle",
    "oracle_long",
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
    Task("digits", "digits at 16 x 16", "digits", DIGITS),
    # In a single timestep all rows would be shown at once: that is the task above.
    Task(
        "rows",
        "digits, a band of rows a timestep",
        "digits_rows",
        tuple(name for name in STILL if name != "baseline_t1"),
    ),
    Task("order", "two digits in turn: which came first", "digits_first_of_two", ORDER),
    Task("stream", "a stream of digits, a square marks the one that counts", "stream", STREAM),
)
TASK_BY_NAME = {task.name: task for task in TASKS}
SEEDS = (0, 1, 2)
