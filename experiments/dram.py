"""python -m experiments.dram: our DRAM channels beside Ramulator's, as tables.

Reads recorded runs from a folder that is not part of this project, and writes its sections of
docs/validation.md between their markers, and a plot.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.dram_streams import Replay, StreamRow, measure, read_rows, replays
from experiments.generated import RECORDED, command, table
from simulator.errors import ResultError

PAGE = "docs/validation.md"


def made_sections(
    oracles: Path, rows: Path | None = None, plot: Path | None = None
) -> dict[str, str]:
    """The tables by the name of their markers; draws the plot where one is asked for."""
    found = [measure(row) for row in read_rows(rows or oracles / "dram_streams.csv")]
    sections = {
        "dram-streams": streams_table(found),
        "dram-replays": replays_table(replays(oracles)),
    }
    if plot:
        draw(found, plot)
    return sections


def streams_table(found: Sequence[StreamRow]) -> str:
    """Mean and largest error of the time, by standard and mapping."""
    lines = []
    groups = dict.fromkeys((each.row["standard"], each.row["mapper"]) for each in found)
    for standard, mapper in groups:
        own = [
            each
            for each in found
            if (each.row["standard"], each.row["mapper"]) == (standard, mapper)
        ]
        worst = max(own, key=lambda each: abs(each.error))
        mean = sum(abs(each.error) for each in own) / len(own)
        where = f"{worst.row['pattern']}, {worst.row['block_bytes']} B"
        channels = ", ".join(sorted({each.row["channels"] for each in own}))
        lines.append(
            [
                standard,
                channels,
                mapper,
                str(len(own)),
                f"{100 * mean:.2f} %",
                f"{100 * worst.error:+.1f} %",
                where,
            ]
        )
    header = ["standard", "channels", "mapping", "rows", "mean error", "largest", "its pattern"]
    return table(header, lines)


def replays_table(found: Sequence[Replay]) -> str:
    """Images back to back, and the mean time of an operation issued when our machine did."""
    lines = []
    for each in found:
        line = [each.image, each.mapping, "yes" if each.refresh else "no"]
        for theirs, ours in (each.back_to_back_ns, each.operation_ns):
            line += [f"{ours:,.1f}", f"{theirs:,.1f}", f"{100 * (ours / theirs - 1):+.2f} %"]
        lines.append(line)
    header = ["image of", "mapping", "refresh", "back to back, ns", "Ramulator", "error"]
    return table([*header, "mean operation, ns", "Ramulator", "error"], lines)


def draw(found: Sequence[StreamRow], path: Path) -> None:
    """Our bandwidth of each row over the recorded one."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ResultError(path, "a plot needs matplotlib (the extra `models`)") from None
    figure = Figure(figsize=(6, 5), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for standard in dict.fromkeys(each.row["standard"] for each in found):
        own = [each for each in found if each.row["standard"] == standard]
        theirs = [float(each.row["bytes"]) / float(each.row["ns"]) for each in own]
        ours = [float(each.row["bytes"]) / each.ours_ns for each in own]
        axes.loglog(theirs, ours, "o", markersize=4, alpha=0.6, label=standard)
    low, high = axes.get_xlim()
    axes.plot([low, high], [low, high], color="#7a838d", linewidth=0.8)
    axes.set_xlabel("Ramulator 2.1, GB/s")
    axes.set_ylabel("kind: dram_channels, GB/s")
    axes.legend()
    figure.savefig(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the sections, or write them between the markers of a file."""
    what = "Compare DRAM times with recorded runs of Ramulator."
    paths: dict[str, tuple[Path | None, str]] = {
        "oracles": (RECORDED / "ramulator", "folder with dram_streams.csv, replay.csv, replay/"),
        "rows": (None, "other rows than its own"),
        "plot": (None, "draw ours over theirs (PNG)"),
    }
    return command("experiments.dram", what, PAGE, made_sections, arguments, paths)


if __name__ == "__main__":
    sys.exit(main())
