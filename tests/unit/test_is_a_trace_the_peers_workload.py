"""Does a trace become the operations that Prosperity's simulator would see?"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from experiments.peer_figures import PUBLISHED
from experiments.prosperity import DESIGNS, Attention, Neurons, Product, run_design
from experiments.prosperity.__main__ import main
from experiments.prosperity.from_trace import operations_of
from experiments.prosperity.prosperity import dram_bits
from simulator.errors import LoweringError
from simulator.trace import Trace, unpack_bits
from tests.factories import Content, tiny_trace, traces
from tests.messages import cases, said

ROOT = Path(__file__).parents[2]
PROSPERITY = "cores.0.pe_array={kind: product_sparse, columns: 128}"
ARGUMENTS = ["--arch", str(ROOT / "arch_configs" / "sparse_pe.yaml"), "--set", PROSPERITY]


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


@pytest.mark.nojit
@given(traces(attention="products"))
@settings(max_examples=15)
def test_any_trace_can_be_accounted(content: Content) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Trace.open(content.write(Path(folder) / "tiny.npz")) as trace,
    ):
        shapes = operations_of(trace)
        for image in trace:
            operations = operations_of(trace, image)
            runs = {design: run_design(design, operations) for design in DESIGNS}
            assert runs["Eyeriss"].total_cycles <= runs["Eyeriss_linear"].total_cycles
            assert runs["Prosperity"].dram_bits == dram_bits(shapes)
            reused, walked = runs["Prosperity"], runs["Prosperity_bit"]
            assert reused.product_density <= reused.bit_density == walked.bit_density
            for run in runs.values():
                for cost in run.operations:
                    assert 0 <= cost.counted_cycles <= cost.standalone_cycles, cost


@pytest.mark.nojit
def test_column_attention_has_its_rule_and_token_attention_none(tmp_path: Path) -> None:
    path = tiny_trace(tmp_path / "sdt.npz", attention="spike_driven", channels=24)
    with Trace.open(path) as trace:
        operations = operations_of(trace, trace.read(0))
    columns = [each for each in operations if isinstance(each, Attention)]
    assert [(each.kind, each.tokens, each.heads) for each in columns] == [("sdt", 16, 2)] * 2
    run = run_design("Prosperity", operations)
    costs = {cost.name: cost for cost in run.operations}
    size = columns[0].timesteps * columns[0].tokens * 24
    neurons = -(-24 // 32) * columns[0].timesteps * 2
    assert costs[columns[0].name].compute_cycles == max(size // 128, neurons) + size // 128
    path = tiny_trace(tmp_path / "qk.npz", attention="token_qk")
    with (
        Trace.open(path) as trace,
        pytest.raises(LoweringError, match=said("an operation the peer does not know")),
    ):
        operations_of(trace)


@pytest.mark.nojit
@pytest.mark.parametrize(("count", "visible"), [(32, 8), (200_000, 50_000)])
def test_neurons_hide_behind_attention_as_far_as_it_is_longer(count: int, visible: int) -> None:
    spikes = np.zeros((3, 4, 1, 1), np.bool_)
    attention = Attention("attention", "spikformer", 4, 1, 1, 1, lambda: spikes)
    found = run_design("Prosperity", [attention, Neurons("lif", count, 4)])
    # Attention without a spike takes no time, so nothing of its neurons hides behind it.
    assert found.operations[0].standalone_cycles == 0
    assert found.operations[1].counted_cycles == visible


@pytest.mark.nojit
def test_a_layer_of_one_position_pairs_no_inputs() -> None:
    rows = np.zeros((64, 1, 1), np.uint64)  # 16 windows of 4 timesteps
    rows[0] = 0b011  # window 0: inputs 0 and 1
    rows[63] = 0b110  # window 15: inputs 1 and 2
    operation = Product("fc", 64, 1, 3, 16, 1, lambda: rows)
    found = run_design("PTB", [operation])
    # The peer pairs nothing here: each input that is not silent takes a slot of four cycles.
    assert found.operations[0].compute_cycles == 3 * 4 + 32


def test_the_command_prints_and_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tiny_trace(tmp_path / "tiny.npz"))
    assert main([*ARGUMENTS, "--trace", path, "--json", "--out", str(tmp_path / "out")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["design"] == "Prosperity"
    assert document["images"][0]["product_density"] <= document["images"][0]["bit_density"]
    assert json.loads((tmp_path / "out" / "compat.json").read_text()) == document
    table = (tmp_path / "out" / "operations.csv").read_text().splitlines()
    assert len(table) > 10
    assert main([*ARGUMENTS, "--trace", path]) == 0
    assert "not charged" in capsys.readouterr().out


@cases("what_it_cannot_account_is_one_message")
def test_what_it_cannot_account_is_one_message(
    more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tiny_trace(tmp_path / "tiny.npz"))
    assert main([*ARGUMENTS, *more, "--trace", path, "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
