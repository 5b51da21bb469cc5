"""A timeline's slices nest, never overlap, and add up to the result, in both file formats."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protocol

from simulator.errors import TimelineError
from simulator.lowering.tables import CATEGORIES
from simulator.run import main
from simulator.simulate import Simulation
from simulator.timeline import TimelineRecording, write_timeline
from simulator.trace import Trace
from tests.factories import tiny_trace
from tests.machines import machine
from tests.messages import said

ROOT = Path(__file__).parents[2]
# Buffers so small that weights, spikes and membranes go to DRAM and back.
SMALL = (
    *(f"CORE.buffers.{name}.banks=1" for name in ("weights", "spikes", "membranes")),
    *(f"CORE.buffers.{name}.size_kib=2" for name in ("spikes", "membranes")),
    "CORE.buffers.weights.size_kib=4",
)
MACHINES = {
    "sparse": machine(),
    "dense": machine("dense_pe"),
    "small buffers": machine("sparse_pe_noskip", *SMALL),
    "global buffer": machine(global_kib=64),
    "two cores": machine("sparse_pe", *SMALL, cores=2, split="tokens", global_kib=64),
}


class Piece(NamedTuple):
    """A slice as it was read back: cycles, name, arguments, arrows that leave and arrive."""

    start: int
    end: int
    name: str
    arguments: dict[str, Any]
    sends: list[int]
    receives: list[int]


class Read(NamedTuple):
    """A timeline file by (process, track): slices in file order, and samples by counter."""

    processes: list[str]
    slices: dict[tuple[int, str], list[Piece]]
    counters: dict[tuple[int, str], list[tuple[int, float]]]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_trace(
        tmp_path_factory.mktemp("trace") / "tiny.npz", images=3, blocks=2, channels=48
    )


@pytest.fixture(scope="module", params=MACHINES)
def simulation(request: pytest.FixtureRequest, trace: Path) -> Simulation:
    return Simulation(Trace.open(trace), MACHINES[request.param])


@pytest.fixture(scope="module")
def recordings(simulation: Simulation) -> list[TimelineRecording]:
    return [simulation.record(index) for index in range(2)]


@pytest.fixture(params=["json", "pftrace"])
def read(
    request: pytest.FixtureRequest, recordings: list[TimelineRecording], tmp_path: Path
) -> Read:
    path = tmp_path / f"timeline.{request.param}"
    write_timeline(recordings, path)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    return _read_json(path) if request.param == "json" else _read_perfetto(path)


def _read_json(path: Path) -> Read:
    events = json.loads(path.read_text())["traceEvents"]
    names: dict[tuple[int, int], str] = {}
    processes: list[str] = []
    found = Read(processes, defaultdict(list), defaultdict(list))
    for event in events:
        where = (event["pid"], event.get("tid"))
        if event["name"] == "process_name":
            processes.append(event["args"]["name"])
        elif event["name"] == "thread_name":
            names[where] = event["args"]["name"]
        elif event["ph"] == "X":
            start, cycles = event["ts"] * 1000, event["dur"] * 1000
            assert abs(start - round(start)) < 1e-3
            piece = Piece(
                round(start), round(start) + round(cycles), event["name"], event["args"], [], []
            )
            found.slices[event["pid"], names[where]].append(piece)
        elif event["ph"] in "sf":
            piece = found.slices[event["pid"], names[where]][-1]
            assert round(event["ts"] * 1000) == piece.start
            (piece.sends if event["ph"] == "s" else piece.receives).append(event["id"])
        elif event["ph"] == "C":
            (value,) = event["args"].values()
            name = event["name"].rpartition(" (")[0]
            found.counters[event["pid"], name].append((round(event["ts"] * 1000), value))
    return found


def _read_perfetto(path: Path) -> Read:
    """Through the package's own classes, as the trace processor would."""
    packets = protocol.Trace.FromString(path.read_bytes()).packet
    tracks: dict[int, tuple[int, str]] = {}
    process_of: dict[int, int] = {}
    found = Read([], defaultdict(list), defaultdict(list))
    open_slices: dict[int, list[tuple[int, Any, int]]] = defaultdict(list)
    for packet in packets:
        if packet.HasField("track_descriptor"):
            told = packet.track_descriptor
            if told.HasField("process"):
                process_of[told.uuid] = told.process.pid
                found.processes.append(told.process.process_name)
            else:
                tracks[told.uuid] = (process_of[told.parent_uuid], told.name)
            continue
        event = packet.track_event
        where = tracks[event.track_uuid]
        if event.type == event.TYPE_COUNTER:
            found.counters[where].append((packet.timestamp, event.double_counter_value))
        elif event.type == event.TYPE_SLICE_BEGIN:
            open_slices[event.track_uuid].append(
                (packet.timestamp, event, len(found.slices[where]))
            )
            found.slices[where].append(Piece(0, 0, "", {}, [], []))
        else:
            start, begin, place = open_slices[event.track_uuid].pop()
            arguments = {
                each.name: each.string_value or each.int_value for each in begin.debug_annotations
            }
            found.slices[where][place] = Piece(
                start,
                packet.timestamp,
                begin.name,
                arguments,
                list(begin.flow_ids),
                list(begin.terminating_flow_ids),
            )
    assert not any(open_slices.values())
    return found


def _operations(pieces: list[Piece]) -> list[Piece]:
    return [piece for piece in pieces if "op" in piece.arguments]


def test_slices_nest_and_none_overlaps_another_on_its_track(read: Read) -> None:
    assert len(read.slices) >= 2 * 3
    for pieces in read.slices.values():
        run = None
        before = {"run": 0, "operation": 0}
        for piece in pieces:
            assert piece.start < piece.end
            if "op" not in piece.arguments:
                assert run is None or before["operation"] == run.end
                assert piece.start >= before["run"]
                run, before["run"] = piece, piece.end
                continue
            assert run is not None
            assert run.start <= piece.start
            assert piece.end <= run.end
            assert piece.start >= before["operation"]
            before["operation"] = piece.end


def test_sums_equal_the_busy_cycles_of_the_result(read: Read, simulation: Simulation) -> None:
    units = simulation.run(range(2)).tables["units"]
    for image, rows in units.groupby("image"):
        for unit, busy in zip(rows["unit"], rows["busy_cycles"].tolist(), strict=True):
            pieces = _operations(read.slices.get((int(str(image)) + 1, unit), []))
            assert sum(piece.end - piece.start for piece in pieces) == busy


def test_each_slice_names_layer_block_and_timestep(read: Read, simulation: Simulation) -> None:
    layers = {plan.layer.name: plan.layer for plan in simulation.plan.layers}
    for pieces in read.slices.values():
        run = pieces[0]
        for piece in pieces:
            if "op" in piece.arguments:
                assert piece.name.partition(": ")[2] == run.name
                continue
            run = piece
            layer = layers[piece.arguments["layer"]]
            assert layer.name in piece.name
            assert "timestep" in piece.name
            if layer.block is not None:
                assert f"block {layer.block}" in piece.name
                assert piece.arguments["block"] == layer.block


def test_arrows_lead_from_a_load_to_a_later_user_on_another_track(read: Read) -> None:
    sent, received = {}, {}
    for track, pieces in read.slices.items():
        for piece in pieces:
            sent.update({arrow: (track, piece) for arrow in piece.sends})
            received.update({arrow: (track, piece) for arrow in piece.receives})
    assert sent
    assert sent.keys() == received.keys()
    for arrow, (track, piece) in sent.items():
        other_track, other = received[arrow]
        assert track[0] == other_track[0]
        assert track != other_track
        assert piece.end <= other.start
        assert piece.name.startswith(("fetch weights", "load weights", "move "))


def test_counters_agree_with_the_result(read: Read, simulation: Simulation) -> None:
    result = simulation.run(range(2))
    for image in range(2):
        moved = result.tables["images"]["dram_bytes"][image]
        samples = read.counters[image + 1, "DRAM bandwidth"]
        cycles = np.diff([cycle for cycle, _ in samples])
        rates = np.array([rate for _, rate in samples[:-1]])
        assert (rates * cycles).sum() / 0.5 == pytest.approx(moved)
        tokens = [value for _, value in read.counters[image + 1, "active tokens"]]
        table = result.tables["active_tokens"]
        own = table[(table["image"] == image) & (table["active_tokens"] > 0)]
        assert tokens == own.sort_values(["timestep", "block"])["active_tokens"].tolist()


def test_waits_over_time_add_up_to_the_stalls(read: Read, simulation: Simulation) -> None:
    result = simulation.run(range(2))
    arrays = len(simulation.plan.graph.with_role("pe_array"))
    table = result.tables["stalls"]
    for image in range(2):
        own = table[(table["image"] == image) & (table["stall_cycles"] > 0)]
        expected = dict(zip(own["cause"], own["stall_cycles"].tolist(), strict=True))
        found = {}
        for (process, name), samples in read.counters.items():
            if process == image + 1 and name.startswith("arrays wait for "):
                cycles = np.diff([cycle for cycle, _ in samples])
                shares = np.array([share for _, share in samples[:-1]])
                assert shares.min() >= 0.0
                assert shares.max() <= 100.0 + 1e-9
                found[name.removeprefix("arrays wait for ")] = (shares * cycles).sum() * arrays
        assert {cause: each / 100.0 for cause, each in found.items()} == pytest.approx(expected)


def test_fetched_weights_never_overfill_the_buffer(
    recordings: list[TimelineRecording], simulation: Simulation
) -> None:
    for index, recording in enumerate(recordings):
        counter = next(each for each in recording.counters if each.unit == "tiles")
        held = [value for _, value in counter.samples]
        # Beside the buffer stands the fetch of the head, which goes to the vector unit.
        if simulation.architecture.memories.global_buffer is None:
            assert (
                max(held)
                <= simulation.plan.machine.cores * simulation.plan.machine.weight_slots + 1
            )
        assert max(held) >= 1
        assert held[-1] == 0
        assert min(held) >= 0
        assert held == _held_slowly(simulation, index, [cycle for cycle, _ in counter.samples])


def _held_slowly(simulation: Simulation, image: int, cycles: list[int]) -> list[int]:
    """The obvious twin: for each fetch all that follows, and then each cycle anew."""
    lowered, timeline = simulation.replay(simulation.trace.read(image))
    program = lowered.program
    names = [CATEGORIES[category] for category in lowered.op_category.tolist()]
    users = defaultdict(list)
    for op in range(len(program.unit)):
        for place in range(program.pred_ptr[op], program.pred_ptr[op + 1]):
            users[int(program.pred[place])].append(op)

    def last_use(op: int) -> int:
        used = [user for user in users[op] if names[user] != "dram_weights"]
        moves = [user for user in used if names[user] in ("weight_port", "global_buffer")]
        return max([*(last_use(user) for user in moves), *(timeline.finish[user] for user in used)])

    fetches = [op for op, name in enumerate(names) if name == "dram_weights"]
    spans = [(timeline.start[op], last_use(op)) for op in fetches if program.unit[op] >= 0]
    return [sum(start <= cycle < end for start, end in spans) for cycle in cycles]


def test_the_command_writes_as_many_images_as_asked(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arch = str(ROOT / "arch_configs" / "sparse_pe.yaml")
    words = ["--arch", arch, "--trace", str(trace), "--json", "--images", "1:3"]
    assert main(words) == 0
    plain = capsys.readouterr().out
    for count, names in ((1, ["image 1"]), (9, ["image 1", "image 2"])):
        file = tmp_path / f"{count}.json"
        timeline = ["--timeline", str(file), "--timeline-images", str(count)]
        assert main([*words, *timeline]) == 0
        assert capsys.readouterr().out == plain
        told = _read_json(file).processes
        assert len(told) == len(names)
        for title, name in zip(told, names, strict=True):
            assert name in title
            assert "1 ns shown = 1 cycle = 2 ns" in title


@pytest.mark.parametrize(
    ("file", "rule"), [("x.html", "must end with .json or .pftrace"), (".", "must end with")]
)
def test_another_kind_of_file_is_refused_before_anything_runs(
    file: str, rule: str, trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--arch", str(ROOT / "arch_configs" / "sparse_pe.yaml"), "--trace", str(trace)]
    assert main([*words, "--timeline", str(tmp_path / file)]) == 2
    output = capsys.readouterr()
    assert rule in output.err
    assert output.out == ""


def test_a_missing_package_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "perfetto.protos.perfetto.trace", None)
    with pytest.raises(TimelineError, match=said("a timeline without its package")):
        write_timeline([], tmp_path / "x.pftrace")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing_behind(
    tmp_path: Path, recordings: list[TimelineRecording]
) -> None:
    def interrupted() -> Any:
        yield recordings[0]
        raise KeyboardInterrupt

    for name in ("x.json", "x.pftrace"):
        with pytest.raises(KeyboardInterrupt):
            write_timeline(interrupted(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
