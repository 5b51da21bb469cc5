"""python -m experiments.boards: times that were measured or stated, beside ours for them."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from experiments.exspike import exspike_networks, write_exspike
from experiments.generated import command, line, markdown, run_case
from experiments.rtl_runs import IMAGE_BURST
from simulator.results.result import Result

CLOCK_MHZ = 200
BURSTS = (149, 180, 197)
"""Cycles of a burst of 144 words: of the RTL with its own DDR model, and longer ones."""
IAND_TSOPS, OPERATIONS = 3.456, 2
"""Spike-IAND-Former's accelerator (arXiv 2503.19643): its peak, with two operations a sum."""


def latency_ms(result: Result) -> float:
    """Mean over the images."""
    return float(result.tables["images"].latency_ms.mean())


def exspike() -> str:
    """Each network at several lengths of a burst; nothing else is changed."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for network, measured in exspike_networks()["boards"].items():
            trace = write_exspike(network, Path(folder) / f"{network}.npz")
            cells = [network, str(exspike_networks()["timesteps"][network])]
            cells.append(f"{measured / CLOCK_MHZ / 1e3:.3f}")
            for burst in BURSTS:
                ours = latency_ms(
                    run_case("exspike", trace, f"memories.dram.gap_cycles={burst - 144}")
                )
                cells.append(f"{ours:.3f}")
                cells.append(f"{ours * CLOCK_MHZ * 1e3 / measured - 1:+.1%}")
            rows.append(line(cells))
    columns = " | ".join(f"{burst} cycles a burst, ms | deviation" for burst in BURSTS)
    return markdown(f"| network | T | board ms | {columns} |", rows)


def spike_iand_former() -> str:
    """The peak, and what our CIFAR-10 network would have on it."""
    result = run_case("spike_iand_former", "cifar10_baseline")
    machine = result.provenance["architecture"]
    sums = machine["roofline"]["peak_accumulations_per_cycle"]
    peak = sums * machine["clock_mhz"] * 1e6 * OPERATIONS / 1e12
    cells = [f"{IAND_TSOPS:g}", f"{peak:g}", f"{peak / IAND_TSOPS - 1:+.1%}"]
    cells += [
        f"{1e3 / latency_ms(result):.1f}",
        f"{result.tables['images'].utilization.mean():.1%}",
    ]
    header = (
        "| stated TSOPS | ours | deviation | frames/s of Spikformer-4-384, ours | utilization |"
    )
    return markdown(header, [line(cells)])


def fpga_spiking_transformer() -> str:
    """Patch splitting and first block of Spikformer-4-384, which have the shapes of the board's.

    The encoder may or may not be in the 48 ms; the second pair of columns has its image reader go
    on, as in the RTL.
    """
    quiet = _parts()
    running = _parts(f"cores.engines.convolutions.rival_words={IMAGE_BURST}")
    rows = []
    for part, (ours, stated) in quiet.items():
        cells = [part, f"{stated:g}"]
        for found in (ours, running[part][0]):
            cells += [f"{found:.3f}", f"{found / stated - 1:+.1%}"]
        rows.append(line(cells))
    header = "| part | stated ms | ours ms | deviation | image reader goes on, ms | deviation |"
    return markdown(header, rows)


def _parts(*overrides: str) -> dict[str, tuple[float, float]]:
    """Milliseconds of each part on the board's machine, and those that are stated."""
    result = run_case("fpga_spiking_transformer", "cifar10_baseline", *overrides, images="0:1")
    layers = result.tables["layers"].set_index("layer")
    busy = layers.pe_busy_cycles + layers.vector_busy_cycles
    encoder = busy["sps.0.conv"]
    stem = busy[[name for name in busy.index if name.startswith("sps.")]].sum()
    after = sum(busy[f"blocks.0.{name}"] for name in _AFTER)
    attention = sum(busy[f"blocks.0.{name}"] for name in _ATTENTION)
    parts = {
        "convolutions and pools": (stem - encoder, 48.0),
        "encoder, convolutions and pools": (stem, 48.0),
        "projection and MLP": (after, 4.634),
        "all": (stem + attention + after, 53.0),
    }
    return {part: (cycles / CLOCK_MHZ / 1e3, stated) for part, (cycles, stated) in parts.items()}


_ATTENTION = ("attn.q_linear", "attn.k_linear", "attn.v_linear", "attn.scores", "attn.context")
_AFTER = ("attn.proj", "mlp.fc1", "mlp.fc2")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables, or write them between the markers of a file."""
    what = "ExSpike's board and Spike-IAND-Former's accelerator beside our times."
    return command(
        "experiments.boards",
        what,
        "docs/validation.md",
        lambda: {
            "exspike": exspike(),
            "fpga-spiking-transformer": fpga_spiking_transformer(),
            "spike-iand-former": spike_iand_former(),
        },
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
