"""Streams of DRAM requests on our channels beside recorded runs of Ramulator 2.1.

The rows name a pattern, not addresses: `stream` makes them. Random addresses are drawn here, so a
random row compares two draws.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.components.memories.dram_channels import DramChannels
from simulator.config.arrays import Ints
from simulator.errors import ResultError

STANDARDS = {
    "DDR4-2400": "ddr4_2400",
    "DDR5-3200": "ddr5_3200",
    "LPDDR5-6400": "lpddr5_6400",
    "HBM2-2000": "hbm2_2000",
}
MAPPINGS = {"RoBaRaCoCh": "row_bank_column", "MOP4CLXOR": "four_burst_xor"}
"""Ours by the peer's names."""
REGION = 256 << 20
"""From one sequential region to the next, in bytes."""
TURN_SHIFT, INTERLEAVE_SHIFT = 40 << 10, 24 << 10
"""Added to it: for each channel where reads and writes take turns, for each of k regions read."""


class StreamRow(NamedTuple):
    """A recorded row and our time of it."""

    row: Mapping[str, str]
    ours_ns: float

    @property
    def error(self) -> float:
        """How much longer ours takes, as a fraction."""
        return self.ours_ns / float(self.row["ns"]) - 1


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the recorded rows. Raises ResultError where the file is absent or has none."""
    if not path.is_file():
        raise ResultError(path, "no such file")
    lines = path.read_text("utf-8").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    if not rows:
        raise ResultError(path, "holds no row")
    return rows


def measure(row: Mapping[str, str]) -> StreamRow:
    """Serve a row's pattern on our channels."""
    channels, size = int(row["channels"]), int(row["block_bytes"])
    memory = _memory(STANDARDS[row["standard"]], channels, row)
    addresses, writes = stream(row["pattern"], size, int(row["bytes"]) // size, channels)
    if row["pattern"] == "one_outstanding_read":
        done_ns = memory.serve_in_turn(addresses, size).done_ns
    else:
        done_ns = memory.serve(addresses, np.full(len(addresses), size), writes, 0.0).done_ns
    return StreamRow(row, float(done_ns.max()))


def _memory(standard: str, channels: int, row: Mapping[str, str]) -> DramChannels:
    return DramChannels.model_validate(
        {
            "standard": standard,
            "channels": channels,
            "mapping": MAPPINGS[row["mapper"]],
            "refresh": row["refresh"] == "1",
        }
    )


def stream(
    pattern: str, size: int, blocks: int, channels: int
) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Return address and direction of each block. Raises ResultError for an unknown pattern."""
    block = np.arange(blocks, dtype=np.int64)
    reads = np.zeros(blocks, np.bool_)
    if pattern.startswith("sequential_"):
        return block * size, reads | pattern.endswith("write")
    if pattern.startswith("random_block_") or pattern == "one_outstanding_read":
        span = 2 * REGION * min(channels, 2)
        drawn = np.random.default_rng(1).integers(0, span // size, blocks)
        return drawn * size, reads | pattern.endswith("write")
    if pattern.startswith("read_write_turns_"):
        writes = block % 2 == 1
        shift = 0 if pattern.endswith("aligned") else TURN_SHIFT * channels
        return block // 2 * size + writes * (REGION + shift), writes
    if pattern == "three_reads_one_write":
        writes = block % 4 == 3
        read = (block // 4 * 3 + block % 4) * size
        written = block // 4 * size + REGION + TURN_SHIFT * channels
        return np.where(writes, written, read), writes
    if pattern.endswith("_interleaved_sequential_reads"):
        regions = int(pattern.partition("_")[0])
        return block // regions * size + block % regions * (REGION + INTERLEAVE_SHIFT), reads
    raise ResultError(f"pattern {pattern}", "unknown")


class Replay(NamedTuple):
    """An image's DRAM requests on our channels: the peer's nanoseconds, then ours.

    Back to back: until the last is complete. At their issue times: the mean time of an operation.
    """

    image: str
    mapping: str
    refresh: bool
    back_to_back_ns: tuple[float, float]
    operation_ns: tuple[float, float]


def replays(folder: Path) -> list[Replay]:
    """Serve the DRAM requests of recorded images, as replay.csv lists them."""
    found = []
    for row in read_rows(folder / "replay.csv"):
        with np.load(folder / "replay" / f"{row['image']}.npz") as stored:
            image: dict[str, Any] = {name: stored[name] for name in stored.files}
        memory = _memory("ddr4_2400", 4, row)
        requests = [image[name] for name in ("address", "bytes", "write")]
        issued_ns = image["start_cycle"] * 1e3 / float(row["clock_mhz"])
        together = memory.serve(requests[0], requests[1], requests[2], 0.0)
        # Requests enter in order of issue; the file lists them by operation.
        order = np.argsort(issued_ns, kind="stable")
        address, size, write = (column[order] for column in requests)
        timed = memory.serve(address, size, write, issued_ns[order])
        each_ns = float((timed.done_ns - issued_ns[order]).mean())
        found.append(
            Replay(
                row["image"],
                row["mapper"],
                row["refresh"] == "1",
                (float(row["a_back_to_back_ns"]), float(together.done_ns.max())),
                (float(row["b_op_time_mean_ns"]), each_ns),
            )
        )
    return found
