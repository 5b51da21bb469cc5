"""python -m reports.boards: times measured or stated for machines, beside what we give for them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from reports.generated import ROOT, command, line, markdown, run_case
from simulator.results.result import Result

NETWORKS = {"spikingformer_4_256": ("cifar10", 5.072), "spikingformer_2_512": ("cifar100", 19.573)}
"""ExSpike's board, ms an image (FPL'26)."""
IAND_FPS = 46.72
"""Spike-IAND-Former's accelerator (ISCAS'25), CIFAR-10, T = 4, 73.88 % spike sparsity."""
BANDWIDTH = "memories.dram.bandwidth_gb_per_s"
PLENTY_GB_PER_S = 256.0


def drawn_trace(network: str, folder: Path) -> Path:
    """A trace of the network's shapes with spikes at published rates."""
    path = folder / f"{network}.npz"
    made = [sys.executable, "-m", "models.drawn", "--model", network]
    made += ["--dataset", NETWORKS[network][0], "--out", str(path)]
    subprocess.run(made, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return path


def latency_ms(result: Result) -> float:
    """Mean over the images."""
    return float(result.tables["images"].latency_ms.mean())


def exspike() -> str:
    """Both networks as the file describes the machine, and with more bandwidth than it can use."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for network, (dataset, board_ms) in NETWORKS.items():
            trace = drawn_trace(network, Path(folder))
            cells = [network, dataset, f"{board_ms:.3f}"]
            for sets in ((), (f"{BANDWIDTH}={PLENTY_GB_PER_S}",)):
                ours = latency_ms(run_case("exspike", trace, *sets))
                cells += [f"{ours:.3f}", f"{ours / board_ms - 1:+.1%}"]
            rows.append(line(cells))
    header = (
        "| network | shapes of | board ms | ours ms | deviation | "
        f"at {PLENTY_GB_PER_S:g} GB/s ms | deviation |"
    )
    return markdown(header, rows)


def spike_iand_former() -> str:
    """Frames a second on our CIFAR-10 trace; a dense array's time does not depend on sparsity."""
    result = run_case("spike_iand_former", "cifar10_baseline")
    fps = 1e3 / latency_ms(result)
    deviation = f"{fps / IAND_FPS - 1:+.0%}"
    cells = ["Spikformer-4-384, traces/cifar10_baseline.npz", f"{IAND_FPS:g}", f"{fps:.1f}"]
    cells += [deviation, f"{result.tables['images'].utilization.mean():.1%}"]
    header = "| our network | stated frames/s | ours | deviation | our utilization |"
    return markdown(header, [line(cells)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables, or write them between the markers of a file."""
    what = "ExSpike's board and Spike-IAND-Former's accelerator beside our times."
    return command(
        "reports.boards",
        what,
        "docs/validation.md",
        lambda: {"exspike": exspike(), "spike-iand-former": spike_iand_former()},
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
