"""Do links carry what is moved, no more and no less, and never make a machine faster?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.architecture import Architecture
from simulator.components.base import build
from simulator.components.interconnects.base import End, Interconnect
from simulator.components.interconnects.mesh import Mesh
from simulator.components.interconnects.ring import Ring
from simulator.engine.replay import replay
from simulator.errors import LoweringError
from simulator.lowering import Lowered, make_plan
from simulator.operations import read_network
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.machines import lowered, machine
from tests.messages import cases, refused
from tests.programs import agreed

BUS = {"kind": "bus", "width_bits": 128, "hop_cycles": 1, "link_um": 1000}
MESH = {
    "kind": "mesh", "columns": 2, "rows": 2, "width_bits": 128, "hop_cycles": 1, "link_um": 1000,
    "dram": [1, 0], "global_buffer": [1, 1],
}  # fmt: skip
RING = {
    "kind": "ring", "routers": 5, "width_bits": 128, "hop_cycles": 1, "link_um": 1000,
    "dram": 2, "global_buffer": 4,
}  # fmt: skip
BYTES = "memories.dram.burst_bytes=1"
"""DRAM that moves single bytes, so that what it counts is what was asked for."""
LITTLE = (
    "CORE.buffers.spikes={kind: sram, size_kib: 1.0, banks: 1, width_bits: 128}",
    "CORE.buffers.membranes={kind: sram, size_kib: 2.0, banks: 1, width_bits: 256}",
)


def joined(fields: dict[str, object] | None, *overrides: str, cores: int = 1) -> Architecture:
    """A machine with an interconnect and little room in its cores."""
    return machine(
        "sparse_pe", f"interconnect={json.dumps(fields)}", *LITTLE, *overrides,
        cores=cores, global_kib=8 if cores > 1 else 0,
    )  # fmt: skip


def cycles(path: Path, architecture: Architecture) -> int:
    return replay(lowered(path, architecture).program).makespan_cycles


def counted(found: Lowered, part: str, *actions: str) -> int:
    return sum(n for (_, p, name), n in found.counts.items() if p == part and name in actions)


def busy(found: Lowered, unit: str) -> int:
    program = found.program
    return int(program.busy_cycles[program.unit == found.unit_names.index(unit)].sum())


@pytest.mark.parametrize("split", ["tokens", "output_channels"])
@pytest.mark.parametrize("cores", [1, 3])
@pytest.mark.parametrize("fields", [BUS, MESH, RING], ids=["bus", "mesh", "ring"])
def test_both_engines_agree(fields: dict[str, object], cores: int, split: str, tiny: Path) -> None:
    program = lowered(tiny, joined(fields, f"split={split}", cores=cores)).program
    agreed(program)


def test_a_wide_bus_without_latency_takes_no_time(tiny: Path) -> None:
    wide = BUS | {"width_bits": 65536, "hop_cycles": 0}
    assert cycles(tiny, joined(wide)) == cycles(tiny, joined(None))


def test_a_bus_moves_the_bytes_of_dram(tiny: Path) -> None:
    """One core without a global buffer: all that passes the bus is from or to DRAM."""
    found = lowered(tiny, joined(BUS | {"width_bits": 8}, BYTES))
    moved = counted(found, "memories.dram", "read_bit", "write_bit")
    assert busy(found, "interconnect.bus") * 8 == moved > 0


def test_a_mesh_moves_the_bytes_of_both_memories(tiny: Path) -> None:
    """Both memories in the west, the cores in a row: what moves passes the links between."""
    fields = MESH | {
        "columns": 3, "rows": 1, "dram": [0, 0], "global_buffer": [0, 0],
        "cores": [[1, 0], [2, 0]], "width_bits": 8,
    }  # fmt: skip
    words = "memories.global_buffer={kind: sram, size_kib: 8, banks: 1, width_bits: 8}"
    found = lowered(tiny, joined(fields, BYTES, words, cores=2))
    moved = counted(found, "memories.dram", "read_bit", "write_bit")
    moved += 8 * counted(found, "memories.global_buffer", "read_word", "write_word")
    to_cores, from_cores = (
        busy(found, f"interconnect.{link}") for link in ("0.0.east", "1.0.west")
    )
    assert (to_cores + from_cores) * 8 == moved
    assert 0 < busy(found, "interconnect.1.0.east") < to_cores
    assert 0 < busy(found, "interconnect.2.0.west") < from_cores


@pytest.mark.parametrize("fields", [BUS, MESH, RING], ids=["bus", "mesh", "ring"])
def test_flits_by_hops_are_the_cycles_of_the_links(fields: dict[str, object], tiny: Path) -> None:
    with Trace.open(tiny) as trace:
        result = Simulation(trace, joined(fields, cores=4)).run([0])
    result.check()
    units, actions = result.tables["units"], result.tables["actions"]
    links = units[units["unit"].str.startswith("interconnect.")]
    hops = actions[actions["action"] == "flit_hop"]
    assert hops["count"].sum() == links["busy_cycles"].sum() > 0
    # 0.102 pJ for a bit over a millimetre, 128 bits a flit.
    assert hops["energy_pj"].sum() == pytest.approx(hops["count"].sum() * 128 * 0.102)
    assert result.tables["stalls"].set_index("cause")["stall_cycles"]["interconnect"] > 0


@pytest.mark.parametrize("cores", [1, 4])
@pytest.mark.parametrize("fields", [BUS, MESH, RING], ids=["bus", "mesh", "ring"])
def test_narrower_links_are_never_faster(fields: dict[str, object], cores: int, tiny: Path) -> None:
    widths = (8, 32, 128, 512, 4096)
    took = [cycles(tiny, joined(fields | {"width_bits": width}, cores=cores)) for width in widths]
    assert took == sorted(took, reverse=True)
    assert took[0] > took[-1] >= cycles(tiny, joined(None, cores=cores))


def test_more_hops_are_never_faster(tiny: Path) -> None:
    took = []
    for away in range(5):
        fields = {
            "columns": 5,
            "rows": 1,
            "dram": [0, 0],
            "global_buffer": [0, 0],
            "cores": [[away, 0]],
        }
        took.append(cycles(tiny, joined(MESH | fields)))
    assert took == sorted(took)
    assert took[0] == cycles(tiny, joined(None)) < took[-1]


def test_routes_go_along_rows_first() -> None:
    mesh = build("interconnects", MESH | {"columns": 3, "rows": 3, "dram": [2, 2]})
    assert isinstance(mesh, Mesh)
    assert mesh.route(0, "dram") == ("0.0.east", "1.0.east", "2.0.south", "2.1.south")
    assert mesh.route("dram", 0) == ("2.2.west", "1.2.west", "0.2.north", "0.1.north")
    assert mesh.route("global_buffer", 4) == ()
    assert len(mesh.links(9)) == 24


@pytest.mark.parametrize("fields", [BUS, MESH, RING], ids=["bus", "mesh", "ring"])
def test_a_route_is_made_of_links(fields: dict[str, object]) -> None:
    part = build("interconnects", fields)
    assert isinstance(part, Interconnect)
    ends: tuple[End, ...] = (0, 1, 2, 3, "dram", "global_buffer")
    links = part.links(4)
    assert len(set(links)) == len(links)
    for source in ends:
        for target in ends:
            assert set(part.route(source, target)) <= set(links)


@pytest.mark.parametrize("routers", [2, 3, 4, 7, 8])
def test_a_ring_takes_the_shorter_way(routers: int) -> None:
    """Against steps from router to router, both ways at once, until one arrives."""
    ends = {"dram": 0, "global_buffer": routers - 1}
    ring = build("interconnects", RING | ends | {"routers": routers})
    assert isinstance(ring, Ring)
    for source in range(routers):
        for target in range(routers):
            steps = 0
            while target not in ((source + steps) % routers, (source - steps) % routers):
                steps += 1
            route, at = ring.route(source, target), source
            for link in route:
                begin, way = link.split(".")
                assert int(begin) == at
                assert link in ring.links(routers)
                at = (at + (1 if way == "clockwise" else -1)) % routers
            assert (len(route), at) == (steps, target)
    assert ring.route("dram", "global_buffer") == ring.route(0, routers - 1)


def test_a_ring_carries_what_cores_on_one_side_ask_for(tiny: Path) -> None:
    """Both memories at one router, the cores behind each other: the first link carries it all."""
    fields = RING | {"dram": 0, "global_buffer": 0, "cores": [1, 2], "width_bits": 8}
    words = "memories.global_buffer={kind: sram, size_kib: 8, banks: 1, width_bits: 8}"
    found = lowered(tiny, joined(fields, BYTES, words, cores=2))
    moved = counted(found, "memories.dram", "read_bit", "write_bit")
    moved += 8 * counted(found, "memories.global_buffer", "read_word", "write_word")
    out, back = (busy(found, f"interconnect.{link}") for link in ("0.clockwise", "1.back"))
    assert (out + back) * 8 == moved
    assert 0 < busy(found, "interconnect.1.clockwise") < out
    assert busy(found, "interconnect.3.clockwise") == 0


def test_a_ring_whose_ends_are_in_one_place_takes_no_time(tiny: Path) -> None:
    fields = RING | {"dram": 0, "global_buffer": 0}
    assert cycles(tiny, joined(fields)) == cycles(tiny, joined(None))
    assert cycles(tiny, joined(fields | {"dram": 2})) > cycles(tiny, joined(None))


@cases("a_ring_without_room_says_so")
def test_a_ring_without_room_says_so(fields: dict[str, object], rule: str, tiny: Path) -> None:
    with Trace.open(tiny) as trace, refused(LoweringError, "sparse_pe", "interconnect", rule=rule):
        make_plan(read_network(trace), joined(RING | fields, cores=3))


@cases("a_mesh_without_room_says_so")
def test_a_mesh_without_room_says_so(fields: dict[str, object], rule: str, tiny: Path) -> None:
    with Trace.open(tiny) as trace, refused(LoweringError, "sparse_pe", "interconnect", rule=rule):
        make_plan(read_network(trace), joined(MESH | fields, cores=3))
