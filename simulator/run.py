"""python -m simulator.run: load a machine, load a trace, simulate, price, write.

Results go to stdout and, with --out, to files; everything else goes to stderr. What is wrong with
the input is one message and exit code 2.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.command import add_overrides, add_places, command, integer_option, program
from simulator.results.verify import add_verify

if TYPE_CHECKING:
    from tqdm import tqdm

    from simulator.distributed.parts import Part
    from simulator.results.result import Result

COMMAND = "python -m simulator.run"
PICTURES = 8
"""Of how many images, from the first on, a result keeps picture and token masks."""
EXAMPLE = f"{COMMAND} --arch arch_configs/sparse_pe.yaml --trace traces/cifar10.npz"

STREAM_EXAMPLE = (
    "python -m simulator.run --arch arch_configs/sparse_pe.yaml --trace traces/mnist.npz "
    "--arrivals poisson:4500,seed=1,images=1000"
)


@command()
def main(arguments: Sequence[str] | None = None) -> int | None:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.in_flight:
        options.overrides.append(f"dataflow.images_in_flight={options.in_flight}")
    return _run(options, _command(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("simulator.run"),
        description="Replay a trace of a spiking Transformer on a described accelerator.",
        epilog=f"examples: {EXAMPLE} --out reports/out/cifar10; {STREAM_EXAMPLE}",
    )
    add = parser.add_argument
    add("--arch", required=True, metavar="FILE", help="architecture (YAML), or a shipped machine")
    add("--trace", required=True, metavar="FILE", help="trace (.npz), or a shipped one")
    add("--out", metavar="DIR", help="write result.json, CSV tables and page.html there")
    add_verify(parser)
    add(
        "--stream",
        action="store_true",
        help="for very many images: write --out as Parquet, part by part, in bounded memory; a run "
        "that was killed goes on",
    )
    add(
        "--arrivals",
        metavar="WHEN",
        help="also replay the images as a stream that shares the machine: closed, rate:R or "
        "poisson:R,seed=S (images a second), each with ,images=N for a longer stream, or a .csv "
        "or .txt of times in seconds",
    )
    add(
        "--in-flight",
        type=integer_option(1, 64),
        metavar="N",
        help="images of the stream under way at once: --set dataflow.images_in_flight=N",
    )
    add("--images", metavar="A:B", help="simulate images A to B - 1 only (or a single A)")
    add(
        "--engine",
        choices=("numba", "simpy"),
        default="numba",
        help="numba, or the slow reference simpy (same result)",
    )
    add_places(parser)
    add_overrides(parser)
    add(
        "--pictures",
        type=integer_option(0, 1024),
        default=PICTURES,
        metavar="N",
        help=f"keep picture and token masks of the first N simulated images (default {PICTURES})",
    )
    add("--timeline", metavar="FILE", help="write a Perfetto timeline: FILE.json or FILE.pftrace")
    add(
        "--timeline-images",
        type=integer_option(1, 1024),
        default=1,
        metavar="N",
        help="of the first N simulated images (default 1)",
    )
    add(
        "--strict",
        action="store_true",
        help="refuse a result whose numbers are doubtful (findings that are errors or warnings)",
    )
    add("--json", action="store_true", help="print the whole result as JSON instead of a summary")
    add(
        "--time-only",
        action="store_true",
        help="print times alone, of a machine with a part that the energy table does not hold",
    )
    return parser


def _command(options: argparse.Namespace) -> str:
    """The command that gives this result again: what cannot change it is left out."""
    words = COMMAND.split()
    words += ["--arch", options.arch, "--trace", options.trace]
    words += ["--images", options.images] if options.images else []
    words += ["--arrivals", options.arrivals] if options.arrivals else []
    for override in options.overrides:
        words += ["--set", override]
    words += ["--pictures", str(options.pictures)] if options.pictures != PICTURES else []
    return shlex.join(words)


def _run(options: argparse.Namespace, command: str) -> int:
    from simulator.results.findings import refuse_doubtful
    from simulator.trace import Trace, image_range

    if options.timeline:
        from simulator.timeline import check_target

        check_target(Path(options.timeline))
    with Trace.open(options.trace) as trace:
        images = image_range(options.images, trace.images)
    if options.arrivals:
        from simulator.streams.arrivals import read_arrivals

        read_arrivals(options.arrivals)
    if options.time_only:
        return _time_only(options, images, command)
    if options.stream:
        return _stream(options, images, command)
    if options.out:
        from simulator.results.files import check_target as check_folder

        check_folder(Path(options.out))
    result = _simulate(options, images, command)
    result = _with_arrivals(options, images, result)
    result.check()
    if options.strict:
        refuse_doubtful(result.findings)
    if options.out:
        _write(result, Path(options.out))
    if options.timeline:
        _write_timeline(options, images[: options.timeline_images], result)
    if options.json:
        sys.stdout.write(result.to_json())
    else:
        from simulator.results.terminal import terminal_table

        print(terminal_table(result))
    return 0


def _time_only(options: argparse.Namespace, images: range, command: str) -> int:
    """Print times: a result would hold energies, so none is written."""
    from simulator.errors import ResultError
    from simulator.results.summary import summary
    from simulator.results.terminal import short_table

    for flag in ("out", "json", "stream", "arrivals"):
        if getattr(options, flag):
            raise ResultError(f"--{flag}: must not be given with --time-only: it needs energies")
    result = _simulate(options, images, command)
    print(short_table(result.provenance, summary(result)))
    return 0


def _stream(options: argparse.Namespace, images: range, command: str) -> int:
    """All images, to Parquet part by part."""
    from simulator.distributed.executor import open_executor
    from simulator.distributed.stream import stream
    from simulator.errors import ResultError
    from simulator.results.findings import refuse_doubtful

    for flag, there in (
        ("--json", options.json),
        ("--timeline", options.timeline is not None),
        ("--arrivals", options.arrivals is not None),
    ):
        if there:
            raise ResultError(flag, "must not be given with --stream")
    if not options.out:
        raise ResultError("--stream", "needs --out, the folder to write")
    with open_executor(options.jobs, options.dask) as executor, _progress(len(images)) as bar:
        entire = _entire(options, images, command, absolute=executor.is_remote)
        streamed = stream(entire, Path(options.out), executor, bar.update)
    if options.strict:
        refuse_doubtful(streamed.findings())
    print(streamed.text())
    print(f"written: {options.out}", file=sys.stderr)
    return 0


def _simulate(options: argparse.Namespace, images: range, command: str) -> Result:
    """All images, in this process or spread over workers, in order."""
    from simulator.distributed.executor import open_executor
    from simulator.distributed.parts import simulate_part, simulate_parts, split

    with open_executor(min(options.jobs, len(images)), options.dask) as executor:
        entire = _entire(options, images, command, absolute=executor.is_remote)
        with _progress(len(images)) as bar:
            if executor.workers == 1 and not executor.is_remote:
                return simulate_part(entire, lambda images: _ticking(images, bar))
            parts = split(entire, -(-len(images) // executor.workers))
            return simulate_parts(parts, executor, bar.update)


def _with_arrivals(options: argparse.Namespace, images: range, result: Result) -> Result:
    """The result with the tables of the stream that is asked for, or that the machine is for."""
    dataflow = result.provenance["architecture"]["document"]["dataflow"]
    if not options.arrivals and dataflow["images_in_flight"] == 1:
        return result
    from simulator.architecture import load_architecture
    from simulator.results.result import Result
    from simulator.simulate import Simulation
    from simulator.streams.arrivals import read_arrivals
    from simulator.streams.simulate import simulate_arrivals
    from simulator.trace import Trace

    with Trace.open(options.trace) as trace:
        architecture = load_architecture(options.arch, options.overrides)
        simulation = Simulation(trace, architecture, engine=options.engine)
        arrivals = read_arrivals(options.arrivals or "closed")
        streamed = simulate_arrivals(simulation, images, arrivals)
    provenance = result.provenance | {"stream": streamed.provenance}
    return Result(provenance, result.all_columns() | streamed.tables)


def _entire(options: argparse.Namespace, images: range, command: str, *, absolute: bool) -> Part:
    """All the work of the command, as one part."""
    from simulator.config.shipped import MACHINES, TRACES, file_of
    from simulator.distributed.parts import Part
    from simulator.errors import ArchitectureError, TraceError

    arch = file_of(options.arch, MACHINES, "machine", ArchitectureError)
    trace = file_of(options.trace, TRACES, "trace", TraceError)
    place = os.path.abspath if absolute else str
    return Part(
        place(arch),
        tuple(options.overrides),
        place(trace),
        options.engine,
        command,
        images.start,
        images.stop,
        pictured=images[: options.pictures],
        time_only=options.time_only,
    )


def _ticking(images: range, bar: tqdm[Any]) -> Iterator[int]:
    for image in images:
        yield image
        bar.update()


def _progress(images: int) -> tqdm[Any]:
    """A bar on a terminal."""
    from tqdm import tqdm

    hidden = not sys.stderr.isatty()
    return tqdm(total=images, unit="image", disable=hidden, leave=False, file=sys.stderr)


def _write(result: Result, folder: Path) -> None:
    """result.json, tables and the page that is drawn from them, all at once."""
    # The one place where both upper floors meet; nothing else in simulator/ knows of plots.
    from reports.page import page
    from simulator.config.staged_file import named

    result.save(folder, {"page.html": page(result)})
    print(f"written: {named(folder)}", file=sys.stderr)


def _write_timeline(options: argparse.Namespace, images: range, result: Result) -> None:
    """Replay these images once more and write when each operation ran; the stream comes first."""
    from simulator.architecture import load_architecture
    from simulator.config.staged_file import named
    from simulator.distributed.leaving import simulation_of
    from simulator.timeline import TimelineRecording, record_stream, write_timeline
    from simulator.trace import Trace

    with Trace.open(options.trace) as trace:
        architecture = load_architecture(options.arch, options.overrides)
        simulation = simulation_of(trace, architecture, engine=options.engine)

        def recordings() -> Iterator[TimelineRecording]:
            if "stream" in result.provenance:
                name = f"{architecture.name}, {result.provenance['stream']['arrivals']}"
                tables = (result.columns("stream"), result.columns("stream_queue"))
                yield record_stream(name, architecture.clock_mhz, *tables)
            yield from (simulation.record(index) for index in images)

        write_timeline(recordings(), Path(options.timeline))
    print(f"written: {named(options.timeline)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
