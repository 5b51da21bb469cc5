"""Does a calibrated machine say what it was calibrated against, and is a bad file one message?"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from simulator import calibrate
from simulator.architecture import load_architecture
from simulator.energy.machine import MachinePrices
from simulator.errors import DeviceError
from simulator.hil.network.calibrated import placed_clock, write_calibrated
from simulator.hil.network.files import FixedFile, read_fixed, write_fixed
from simulator.hil.network.table import NetworkRow, NetworkTable, network_table
from simulator.results.provenance import machine_provenance
from tests.messages import said
from tests.rtl.fixed_cases import digits, machine, network
from tests.rtl.rtl_cases import ROOT, needs_verilator

ARCH = ROOT / "arch_configs" / "sparse_pe.yaml"
PAGE = (ROOT / "docs" / "calibration.md").read_text()
TABLE = NetworkTable(20, 20, 0, [NetworkRow("whole image", 1000, 999, -0.001)], 12, 2)


def content(images: int) -> FixedFile:
    pixels, labels = digits()
    origin = {"right": 1, "judged": 1}
    return FixedFile(network(), pixels[:images], labels[:images], origin)


def test_its_results_say_so(tmp_path: Path) -> None:
    target = tmp_path / "machine.yaml"
    write_calibrated(ARCH, target, TABLE)
    made, before = load_architecture(target), load_architecture(ARCH)
    assert made.core.vector_unit.halting_latency_cycles == 2
    assert before.core.vector_unit.halting_latency_cycles == 8
    assert made.name == "sparse_pe_calibrated"
    said = "calibrated against its RTL (network_top): score_latency_cycles 2, measured on 20 images"
    told = machine_provenance(made, MachinePrices(made), "none")
    assert said in told["architecture"]["source"]
    # Nothing else has changed.
    lines = set(target.read_text().splitlines()) - set(ARCH.read_text().splitlines())
    assert len(lines) == 4


def test_the_clock_of_a_placed_unit_becomes_the_machines(tmp_path: Path) -> None:
    target, placed = tmp_path / "machine.yaml", tmp_path / "placed.json"
    units = [{"unit": "fifo", "clock_mhz": 400.0}, {"unit": "network_top", "clock_mhz": 31.25}]
    content = {"schema": "stasim-placed/1", "device": "ECP5-85k", "units": units}
    placed.write_text(json.dumps(content))
    write_calibrated(ARCH, target, TABLE, placed_clock(placed))
    made = load_architecture(target)
    assert made.clock_mhz == 31.25
    assert "clock_mhz: 31.25, of network_top placed and routed on an ECP5-85k" in made.source
    units[1]["unit"] = "top\\1\nname: other"  # text, whatever it says
    placed.write_text(json.dumps(content))
    write_calibrated(ARCH, target, TABLE, placed_clock(placed))
    assert load_architecture(target).name == "sparse_pe_calibrated"
    assert "of top\\1\\x0aname: other placed" in load_architecture(target).source
    units[1]["clock_mhz"] = 0.0  # synthesized only
    placed.write_text(json.dumps(content))
    with pytest.raises(DeviceError) as raised:
        placed_clock(placed)
    assert raised.value.args[0] == placed
    assert "clock_mhz: 0" in str(raised.value.args[1])


def test_a_machine_without_the_field_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source.yaml"
    source.write_text(ARCH.read_text().replace(", score_latency_cycles: 8", ""))
    with pytest.raises(DeviceError, match=said("a machine without the field")):
        write_calibrated(source, tmp_path / "made.yaml", TABLE)
    assert list(tmp_path.iterdir()) == [source]


def test_a_file_holds_the_network_and_its_images(tmp_path: Path) -> None:
    path, wanted = tmp_path / "network.npz", content(2)
    write_fixed(path, wanted)
    found = read_fixed(path)
    assert np.array_equal(found.images, wanted.images)
    assert found.origin == wanted.origin
    for stage, other in zip(found.network.stages, wanted.network.stages, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(stage.layer, other.layer, strict=True))
    for block, other_block in zip(found.network.blocks, wanted.network.blocks, strict=True):
        for part, layer in block.items():
            pairs = zip(layer, other_block[part], strict=True)
            assert all(np.array_equal(*pair) for pair in pairs)
    assert np.array_equal(found.network.head_bias, wanted.network.head_bias)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 cut", b"\x93NUMPY"])
def test_a_broken_file_is_one_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "network.npz"
    path.write_bytes(data)
    with pytest.raises(DeviceError, match=said("a broken fixed-point network")):
        read_fixed(path)


@needs_verilator
def test_the_command_writes_what_it_measures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, target = tmp_path / "network.npz", tmp_path / "made.yaml"
    write_fixed(path, content(1))
    words = ["--arch", str(ARCH), "--trace", str(ROOT / "traces" / "mnist.npz"), "--images", "1"]
    assert calibrate.main([*words, "--network", str(path), "--write", str(target)]) == 0
    said = capsys.readouterr().out
    assert "0 values differ" in said
    assert "halting latency: 2 cycles measured, 8 stated" in said
    assert "calibrated against its RTL" in load_architecture(target).source


@needs_verilator
def test_the_page_has_the_network() -> None:
    # The page has sums over 20 images; the worst of these two is no worse than the worst of those.
    table = network_table(machine(), content(2), str(ROOT / "traces" / "mnist.npz"), 2)
    assert table.wrong == 0
    assert table.right == 2
    assert table.decision_cycles == 2
    assert abs(table.rows[-1].deviation) < 0.01
    page = dict(re.findall(r"(?m)^\| ([^|]+) \|.* ([-+]\d+\.\d\d)% \|$", PAGE))
    for row in table.rows:
        assert abs(row.worst) <= abs(float(page[row.case])) / 100 + 0.00005, row.case
    assert "**0 values differ**" in PAGE
