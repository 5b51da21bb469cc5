"""Does a trace become the operations that Prosperity's simulator would see?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from simulator.compat import Attention, Neurons, Product, run_design
from simulator.compat.from_trace import operations_of
from simulator.compat.networks import PUBLISHED
from simulator.compat.prosperity import dram_bits
from simulator.run import main
from simulator.trace import Trace, unpack_bits
from tests.factories import tiny_trace

ROOT = Path(__file__).parents[2]
PROSPERITY = "cores.0.pe_array={kind: product_sparse, columns: 128}"
ARGUMENTS = ["--arch", str(ROOT / "arch_configs" / "sparse_pe.yaml"), "--set", PROSPERITY]
COMPAT = [*ARGUMENTS, "--accounting", "prosperity_compat"]


def test_spikformer_is_the_published_workload() -> None:
    with Trace.open(ROOT / "traces" / "cifar10_baseline.npz") as trace:
        found = operations_of(trace)
    published = PUBLISHED["spikformer_cifar10"]
    assert [type(each) for each in found] == [type(each) for each in published]
    for ours, theirs in zip(found, published, strict=True):
        if not isinstance(ours, Neurons):
            same = {"name": "", "rows": None} if isinstance(ours, Product) else {"name": ""}
            assert ours._replace(**same) == theirs._replace(**same)
    # The source updates the neurons of the second and third convolution before their pools, we
    # after them: three quarters of 4 x 192 x 32 x 32 and of 4 x 384 x 16 x 16 spikes less.
    assert dram_bits(found) == 140_574_720 - 589_824 - 294_912
    assert run_design("Eyeriss_linear", found).time_ms == pytest.approx(44.41288)


@pytest.mark.nojit
def test_halted_tokens_are_rows_of_zeros_and_integers_spikes_where_not_zero(tmp_path: Path) -> None:
    with Trace.open(tiny_trace(tmp_path / "tiny.npz", channels=24)) as trace:
        image = trace.read(0)
        operations = {each.name: each for each in operations_of(trace, image)}
        specs = {spec.name: spec for spec in trace.operations}
        tensors = trace.tensors
    checked = 0
    for name, operation in operations.items():
        if not isinstance(operation, Product) or specs[name].kind != "linear":
            continue
        spec = specs[name]
        planes = image.tensors[spec.input]
        channels = tensors[spec.input].channels
        spikes = np.any([unpack_bits(planes[:, k], channels) for k in range(planes.shape[1])], 0)
        expected = np.broadcast_to(spikes, (spec.timesteps, *spikes.shape[1:]))
        if spec.mask is not None:
            expected = expected & image.active[spec.mask][:, :, None]
        words = operation.words()
        found = np.unpackbits(
            words.view(np.uint8), axis=-1, count=operation.inputs, bitorder="little"
        )
        np.testing.assert_array_equal(found.view(np.bool_), expected)
        checked += 1
    assert checked >= 4
    assert any(isinstance(each, Attention) for each in operations.values())
    assert any(isinstance(each, Neurons) for each in operations.values())


def test_the_command_prints_and_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tiny_trace(tmp_path / "tiny.npz"))
    assert main([*COMPAT, "--trace", path, "--json", "--out", str(tmp_path / "out")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["design"] == "Prosperity"
    assert document["images"][0]["product_density"] <= document["images"][0]["bit_density"]
    assert json.loads((tmp_path / "out" / "compat.json").read_text()) == document
    table = (tmp_path / "out" / "operations.csv").read_text().splitlines()
    assert len(table) > 10
    assert main([*COMPAT, "--trace", path]) == 0
    assert "not charged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "cores.0.pe_array.columns=64"], "pe_array.columns: 64: must be 128"),
        (["--set", "cores.0.pe_array={kind: spike_skip, rows: 8, columns: 8}"], "has rules for"),
        (["--set", "clock_mhz=250"], "clock_mhz: 250: must be 500"),
        (["--engine", "simpy"], "--engine: must not be given"),
    ],
)
def test_what_it_cannot_account_is_one_message(
    more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tiny_trace(tmp_path / "tiny.npz"))
    assert main([*COMPAT, *more, "--trace", path, "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
