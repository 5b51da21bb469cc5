"""python -m experiments.validation: one table of all that is held against others.

Each row follows from figures of its own section: recorded RTL is run against here, the other rows
are read from the tables of the page, which commands of theirs have made.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.generated import ROOT, command, line, markdown
from experiments.rtl_runs import BOARD_RUNS, EXSPIKE, FPGA_ST, board_stages, exspike_layers, rows
from simulator.errors import ResultError

PAGE = "docs/validation.md"
CONFIDENCE = ("measured", "RTL", "recorded simulator", "shapes only", "second-hand")
PHASES = {
    "encoder": ("conv0",),
    "convolutions": ("conv1", "conv2", "conv3", "rpe"),
    "pools, residual": ("maxpool", "residual"),
    "q, k, v": ("qkv",),
    "attention": ("attention",),
    "projection, MLP": ("proj", "mlp"),
}
"""Stages of FPGA_SpikingTransformer by the beginning of their names."""


class Held(NamedTuple):
    """A row: deviations (ours / theirs - 1) of the cases of a phase."""

    machine: str
    against: str
    phase: str
    deviations: tuple[float, ...]
    confidence: str

    def cells(self) -> list[str]:
        """Mean of the absolute deviations, and the largest with its sign."""
        found = np.array(self.deviations)
        largest = found[np.argmax(np.abs(found))]
        mean = f"{np.abs(found).mean():.2%}"
        numbers = [str(len(found)), mean, f"{largest:+.2%}"]
        return [self.machine, self.against, self.phase, *numbers, self.confidence]


def table(page: str) -> str:
    """All rows in markdown; `page`: text with the sections that others have made."""
    found = [*_prosperity(page), *_tools(page), *_exspike(page), *_second_board(page), *_iand(page)]
    for each in found:
        assert each.confidence in CONFIDENCE
    header = "| machine or tool | held against | phase | cases | mean | largest | confidence |"
    return markdown(header, [line(each.cells()) for each in found])


def _section(page: str, name: str) -> list[list[str]]:
    """Cells of the lines of a generated table, its header left out."""
    begin, end = page.index(f"<!-- {name}: begin"), page.index(f"<!-- {name}: end")
    lines = [text for text in page[begin:end].splitlines() if text.startswith("|")]
    return [[cell.strip() for cell in text.strip("|").split("|")] for text in lines[2:]]


def _share(text: str) -> float:
    """A deviation as a page prints it."""
    return float(re.sub(r"[ %+,]", "", text)) / 100


def _prosperity(page: str) -> Iterable[Held]:
    against = "cycles of operations, recorded runs of its simulator"
    by_design: dict[str, list[float]] = {}
    for _, design, _, deviation, *_ in _section(page, "prosperity-operations"):
        by_design.setdefault(design, []).append(_share(deviation))
    for design, found in by_design.items():
        yield Held(design, against, "all", tuple(found), "recorded simulator")
    shapes = _section(page, "prosperity-shapes")
    for column, design, what in (
        (2, "Prosperity", "DRAM bits"),
        (4, "Eyeriss", "time"),
        (6, "Eyeriss_linear", "time"),
    ):
        of_shapes = tuple(_share(row[column]) for row in shapes)
        yield Held(design, f"published table, {what}", "all", of_shapes, "shapes only")
    random = _section(page, "prosperity-random")
    for design, *_, deviation in random:
        what = "published time, random spikes in place of its own"
        yield Held(design, what, "all", (_share(deviation),), "second-hand")


def _tools(page: str) -> Iterable[Held]:
    arrays = tuple(_share(row[-1]) for row in _section(page, "scalesim"))
    yield Held(
        "dense_systolic", "SCALE-Sim 3.0.0, cycles", "products", arrays, "recorded simulator"
    )
    streams = _section(page, "dram-streams")
    for standard in dict.fromkeys(row[0] for row in streams):
        found = tuple(_share(row[5]) for row in streams if row[0] == standard)
        what = "Ramulator 2.1, time, largest of each set"
        yield Held(f"dram_channels, {standard}", what, "streams", found, "recorded simulator")


def _exspike(page: str) -> Iterable[Held]:
    with tempfile.TemporaryDirectory() as folder:
        runs = exspike_layers(Path(folder))
    for bound in ("weights", "events"):
        found = tuple(run.error for run in runs if run.bound_by == bound)
        yield Held("exspike", "its RTL, given spikes", f"layers that {bound} bound", found, "RTL")
    for network, _, _, _, deviation, *_ in _section(page, "exspike"):
        what = f"its board, {network}, drawn spikes"
        yield Held("exspike", what, "all", (_share(deviation),), "measured")


def _second_board(page: str) -> Iterable[Held]:
    recorded = rows(FPGA_ST / "stage_cycles.csv")
    for run, (latency, unchanged) in BOARD_RUNS.items():
        measured = {row["stage"]: int(row["cycles"]) for row in recorded if row["run"] == run}
        ours = board_stages(latency, unchanged=unchanged)
        for phase, begins in PHASES.items():
            found = tuple(
                cycles / measured[stage] - 1
                for stage, cycles in ours.items()
                if stage.startswith(begins)
            )
            reader = "" if unchanged else ", image reader stopped"
            what = f"its RTL{reader}, DRAM latency {latency} cycles"
            yield Held("fpga_spiking_transformer", what, phase, found, "RTL")
    for part, _, _, deviation, *_ in _section(page, "fpga-spiking-transformer"):
        what = "published time"
        yield Held("fpga_spiking_transformer", what, part, (_share(deviation),), "second-hand")


def _iand(page: str) -> Iterable[Held]:
    for _, _, deviation, *_ in _section(page, "spike-iand-former"):
        yield Held("spike_iand_former", "stated peak", "peak", (_share(deviation),), "shapes only")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or write it between the markers of a file."""
    what = f"All that is held against others, from the sections of {PAGE} and recorded RTL."

    def made() -> dict[str, str]:
        if not (EXSPIKE.is_dir() and FPGA_ST.is_dir()):
            raise ResultError("the recorded runs of others' RTL are not beside the project")
        return {"everything": table((ROOT / PAGE).read_text("utf-8"))}

    return command("experiments.validation", what, PAGE, made, arguments)


if __name__ == "__main__":
    sys.exit(main())
