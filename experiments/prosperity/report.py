"""A trace in another simulator's accounting: run, said in words, and written."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

import simulator
from experiments.prosperity.designs import DesignRun, design_of, run_design
from experiments.prosperity.energy import energy_mj
from experiments.prosperity.from_trace import operations_of
from experiments.prosperity.prosperity import dram_bits
from simulator.architecture import Architecture
from simulator.config.read_back import read_text
from simulator.config.staged_folder import check_folder, write_folder
from simulator.config.wording import cell
from simulator.errors import ResultError
from simulator.trace import Trace

SCHEMA = "stasim-compat/1"
KIND, DOCUMENT = "compat report", "compat.json"
MOST_BYTES = 1 << 28
COLUMNS = (
    "image",
    "operation",
    "counted_cycles",
    "compute_cycles",
    "stall_cycles",
    "dram_read_bits",
    "dram_write_bits",
)
NOT_CHARGED = (
    "first layer, pools, residuals, batch-norms, head, halting decisions; of PTB, SATO and MINT "
    "attention. Halted tokens run on as zeros; integers count as spikes where they are not zero; "
    "energy is chip power x time + DRAM bits, not counted actions"
)


class CompatReport:
    """What one design costs for some images; `runs` by image, in order."""

    def __init__(self, trace: Trace, architecture: Architecture, command: str = "") -> None:
        self.design = design_of(architecture)
        self.trace = trace
        self.command = command
        self.architecture = architecture
        self.prosperity_dram_bits = dram_bits(operations_of(trace))
        self.runs: dict[int, DesignRun] = {}

    def run(self, images: Iterable[int]) -> None:
        """Cost some images of the trace."""
        for index in images:
            operations = operations_of(self.trace, self.trace.read(index))
            self.runs[index] = run_design(self.design, operations)

    def energy_mj(self, run: DesignRun) -> float:
        """By the rule of the source; the DRAM bits are Prosperity's times the design's ratio."""
        return energy_mj(self.design, run.time_ms, self.prosperity_dram_bits)

    def operations(self) -> pd.DataFrame:
        """One row an operation and image."""
        rows = [
            (
                image,
                cost.name,
                cost.counted_cycles,
                cost.compute_cycles,
                cost.stall_cycles,
                cost.dram_read_bits,
                cost.dram_write_bits,
            )
            for image, run in self.runs.items()
            for cost in run.operations
        ]
        return pd.DataFrame(rows, columns=COLUMNS)

    def document(self) -> dict[str, Any]:
        """Everything but the single operations, ready for JSON."""
        manifest = self.trace.manifest
        return {
            "schema": SCHEMA,
            "stasim": simulator.__version__,
            "accounting": "prosperity_compat",
            "command": self.command,
            "design": self.design,
            "architecture": self.architecture.name,
            "not_charged": NOT_CHARGED,
            "trace": {
                "file": self.trace.path.name,
                "content_hash": self.trace.content_hash,
                "model": manifest["model"],
                "weights": manifest["weights"],
            },
            "prosperity_dram_bits": self.prosperity_dram_bits,
            "images": [
                {
                    "image": image,
                    "cycles": run.total_cycles,
                    "time_ms": run.time_ms,
                    "energy_mj": self.energy_mj(run),
                }
                | self._densities(run)
                for image, run in self.runs.items()
            ],
        }

    @staticmethod
    def _densities(run: DesignRun) -> dict[str, float]:
        if not any(cost.elements for cost in run.operations):
            return {}
        return {"bit_density": run.bit_density, "product_density": run.product_density}

    def to_json(self) -> str:
        """`document` as text."""
        return json.dumps(self.document(), indent=1) + "\n"

    def text(self) -> str:
        """For a terminal."""
        document = self.document()
        found = document["images"]
        count = len(found)
        mean = {
            name: sum(each[name] for each in found) / count for name in found[0] if name != "image"
        }
        lines = [
            f"{document['trace']['file']} on {document['architecture']}, accounting "
            f"prosperity_compat: the rules of Prosperity's simulator for {self.design}",
            f"weights: {document['trace']['weights']['origin']}",
            f"not charged: {NOT_CHARGED}",
            "",
            f"images        {count}",
            f"cycles        {mean['cycles']:,.1f} mean",
            f"time          {mean['time_ms']:.4f} ms mean at 500 MHz",
            f"energy        {mean['energy_mj']:.4f} mJ mean, by chip power and DRAM bits",
        ]
        if "product_density" in mean:
            lines.append(f"bit density   {mean['bit_density']:.5f} mean")
            lines.append(f"reused to     {mean['product_density']:.5f} mean (product density)")
        longest = self.operations().groupby("operation", sort=False).counted_cycles.sum() / count
        lines += ["", "longest operations, mean cycles:"]
        lines += [f"  {name:<28} {cycles:>14,.1f}" for name, cycles in longest.nlargest(8).items()]
        return "\n".join(lines)

    def save(self, folder: Path) -> None:
        """Write compat.json and operations.csv, both at once. Raises ResultError."""
        table = io.StringIO()
        self.operations().map(cell).to_csv(table, index=False, lineterminator="\n")
        texts = {"operations.csv": table.getvalue(), DOCUMENT: self.to_json()}
        try:
            contents = {
                name: text.encode("utf-8", "backslashreplace") for name, text in texts.items()
            }
            write_folder(folder, KIND, contents, _is_earlier)
        except OSError as error:
            raise ResultError(folder, f"{error.strerror or error}") from None


def check_target(folder: Path) -> None:
    """Raise ResultError, before any work, where a report must not be written."""
    try:
        check_folder(folder, KIND, _is_earlier)
    except OSError as error:
        raise ResultError(folder, f"{error.strerror or error}") from None


def _is_earlier(folder: Path) -> bool:
    """Whether a folder holds a report from before there were manifests."""
    try:
        return f'"schema": "{SCHEMA}"' in read_text(folder / DOCUMENT, MOST_BYTES, ResultError)
    except ResultError:
        return False
