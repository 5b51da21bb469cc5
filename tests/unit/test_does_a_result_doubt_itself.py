"""Does a result say itself when its numbers mean little, or nothing?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.page import page
from simulator.architecture import load_architecture
from simulator.distributed.executor import Executor
from simulator.distributed.parts import Part
from simulator.distributed.stream import stream
from simulator.results.findings import CHECKS
from simulator.results.result import Result, merge
from simulator.results.streamed import result_of
from simulator.results.summary import summary
from simulator.results.terminal import terminal_table
from simulator.run import main
from simulator.simulate import Simulation
from simulator.trace import Trace, unpack_bits
from tests.factories import Content, tiny_content, tiny_trace
from tests.messages import cases, said
from tests.sample_result import sample_result

MACHINE = Path(__file__).parents[2] / "arch_configs" / "sparse_pe.yaml"
TRAINED = {"origin": "trained", "accuracy": {"test_top1": 0.9}}


def run(path: Path, content: Content, machine: str = "", **weights: Any) -> Result:
    content.manifest["weights"] |= TRAINED | weights
    architecture = load_architecture(MACHINE, [machine] if machine else [])
    with Trace.open(content.write(path)) as trace:
        return Simulation(trace, architecture).run(range(trace.images))


def found(result: Result, severity: str = "") -> dict[str, list[str]]:
    """Places by check."""
    told: dict[str, list[str]] = {}
    for each in result.findings:
        if not severity or each.severity == severity:
            told.setdefault(each.check, []).append(each.place)
    return told


def test_a_sound_run_has_notes_only(tmp_path: Path) -> None:
    result = run(tmp_path / "a.npz", tiny_content(images=3))
    assert set(found(result)) <= {"few_images", "one_unit"}
    assert {each.severity for each in result.findings} == {"note"}
    assert "p95 and p99 of n = 3 images" in terminal_table(result).splitlines()[-1]


def test_a_dead_network_is_said_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tiny_trace(tmp_path / "dead.npz", density=0)
    command = ["--arch", str(MACHINE), "--trace", str(path), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    rule = "the network is dead: firing rate 0 in all layers; no number below means anything"
    assert capsys.readouterr().out.splitlines()[0] == f"Error         {rule}"
    result = Result.load(tmp_path / "out")
    assert summary(result)["findings"][0]["message"] == rule
    saved = json.loads((tmp_path / "out" / "result.json").read_text())
    assert saved["tables"]["findings"]["message"][0] == rule
    text = (tmp_path / "out" / "page.html").read_text()
    assert text.index(rule) < text.index('class="tiles"')
    # Each silent layer is not said once more.
    assert "silent_layer" not in found(result)


def test_doubts_are_refused_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tiny_trace(tmp_path / "dead.npz", density=0)
    command = ["--arch", str(MACHINE), "--trace", str(path), "--strict"]
    for more in ([], ["--stream"]):
        out = tmp_path / f"out{len(more)}"
        assert main([*command, "--out", str(out), *more]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert said("a dead network") in told.err
        assert out.exists() == bool(more)  # parts are kept, so that nothing is simulated again
    good = tiny_content()
    good.manifest["weights"] |= TRAINED
    command[3] = str(good.write(tmp_path / "good.npz"))
    assert main(command) == 0


@pytest.mark.parametrize(("density", "check"), [(0.0, "silent_layer"), (1.0, "saturated_layer")])
@pytest.mark.parametrize("tensor", ["sps.1.out", "blocks.0.attn.q"])
def test_a_layer_that_never_or_always_fires_is_named(
    tensor: str, density: float, check: str, tmp_path: Path
) -> None:
    content = tiny_content(densities={tensor: density}, density=0.5)
    assert found(run(tmp_path / "a.npz", content), "warning") == {check: [tensor]}


def test_firing_rates_are_those_of_live_tokens(tmp_path: Path) -> None:
    content = tiny_content(images=2, halting="block", density=0.4)
    result = run(tmp_path / "a.npz", content)
    name, live, ones = "blocks.1.mlp.hidden", 0, 0
    for image in content.images:
        live += int(image.active["1"].sum()) * 48
        ones += int(unpack_bits(image.tensors[name], 48).sum())
    (rate,) = (each["rate"] for each in summary(result)["firing"] if each["tensor"] == name)
    assert rate == ones / live
    assert live < 2 * 2 * 16 * 48


@pytest.mark.parametrize("dark", [[1], [0, 1, 2]])
def test_an_input_of_zeros_is_an_error(dark: list[int], tmp_path: Path) -> None:
    content = tiny_content(images=3)
    for index in dark:
        content.images[index].tensors["sps.image"][...] = 0
    result = run(tmp_path / "a.npz", content)
    assert found(result, "error") == {"silent_input": ["sps.image"]}
    told = "all images of 3" if len(dark) == 3 else "images 1 of 3"
    assert result.findings[0].message.endswith(told)


def test_a_rounded_input_is_said(tmp_path: Path) -> None:
    content = tiny_content()
    content.manifest["tensors"][0] |= {"scale": 0.01, "error": 0.005}
    assert found(run(tmp_path / "a.npz", content), "warning") == {"rounded_input": ["sps.image"]}


@cases("weights_of_which_nothing_is_known_are_said")
def test_weights_of_which_nothing_is_known_are_said(
    weights: dict[str, Any], doubtful: bool, tmp_path: Path
) -> None:
    result = run(tmp_path / "a.npz", tiny_content(), **weights)
    assert ("unknown_weights" in found(result, "warning")) == doubtful


def test_an_order_in_time_without_blocks_is_said(tmp_path: Path) -> None:
    """A trace that declares everything a stem runs all timesteps together, whatever is asked."""
    content = tiny_content(halting="none")
    content.manifest["stages"] = {"sps": "stem", "blocks": "stem", "head": "head"}
    for operation in content.manifest["operations"]:
        operation["block"] = None
    for kind, doubtful in (("timestep_serial", True), ("tick_batched", False)):
        result = run(tmp_path / f"{kind}.npz", content, f"dataflow.kind={kind}")
        assert ("order_without_stages" in found(result, "warning")) == doubtful


def test_more_than_the_array_can_do_is_an_error() -> None:
    """An own part that costs one cycle a tile once printed 138.4 %."""
    tables = sample_result().all_columns()
    images = dict(tables["images"])
    factor = 1.384 / np.max(images["utilization"])  # type: ignore[arg-type]
    images["utilization"] = images["utilization"] * factor
    result = Result(sample_result().provenance, tables | {"images": images})
    assert found(result, "error") == {"too_fast": ["cores.pe_array"]}
    assert "138.4%" in result.findings[0].message


@pytest.mark.parametrize(("images", "ranks"), [(1, "p95 and p99"), (20, "p99"), (100, "")])
def test_percentiles_of_few_images_are_said(images: int, ranks: str) -> None:
    told = [each.message for each in sample_result(range(images)).findings]
    said = [message for message in told if "the slowest" in message]
    assert [message.partition(" of n")[0] for message in said] == ([ranks] if ranks else [])


def test_a_machine_that_waits_for_one_unit_says_so() -> None:
    tables = sample_result().all_columns()
    units = dict(tables["units"])
    latency = np.repeat(tables["images"]["latency_cycles"], 3)  # type: ignore[arg-type]
    rows = units["unit"].where("dram")  # type: ignore[union-attr]
    units["busy_cycles"] = np.where(rows, latency * 97 // 100, units["busy_cycles"])  # type: ignore[arg-type]
    result = Result(sample_result().provenance, tables | {"units": units})
    assert found(result, "note")["one_unit"] == ["dram"]


def test_findings_follow_from_the_result_whoever_made_it(tmp_path: Path) -> None:
    """Parts, streams, saved and older results have those of the whole."""
    path = tiny_trace(tmp_path / "a.npz", images=3, densities={"sps.1.out": 0})
    part = Part(str(MACHINE), (), str(path), "numba", "", 0, 3)
    with Trace.open(path) as trace:
        simulation = Simulation(trace, load_architecture(MACHINE))
        whole = simulation.run(range(3))
        parts = [simulation.run([index]) for index in range(3)]
    assert found(whole)["silent_layer"] == ["sps.1.out"]
    assert merge(parts).findings == whole.findings
    assert parts[0].findings != whole.findings
    streamed = stream(part, tmp_path / "stream", Executor(1), lambda done: None)
    assert streamed.findings() == result_of(streamed).findings == whole.findings
    assert streamed.text().startswith("Warning ")
    whole.save(tmp_path / "out")
    saved = tmp_path / "out" / "result.json"
    data = json.loads(saved.read_text())
    data["tables"]["findings"] = {"of": ["a later version"]}
    saved.write_text(json.dumps(data))
    assert Result.load(saved) == whole
    del data["tables"]["findings"], data["tables"]["firing"]
    saved.write_text(json.dumps(data))
    assert found(Result.load(saved)).keys() == found(whole).keys() - {"silent_layer"}


def test_a_check_is_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/extending.md says of an own check."""
    monkeypatch.setitem(CHECKS, "own", ("warning", lambda facts: iter([("dram", "is far away")])))
    result = sample_result()
    assert found(result, "warning")["own"] == ["dram"]
    assert "is far away" in terminal_table(result).splitlines()[0]
    assert "is far away" in page(result)


def test_every_check_says_what_it_is_for() -> None:
    for _, function in CHECKS.values():
        assert function.__doc__


def test_the_page_of_metrics_lists_every_check() -> None:
    text = (MACHINE.parents[1] / "docs" / "metrics.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (error|warning|note) \|", text, re.MULTILINE)
    assert rows == [(name, severity) for name, (severity, _) in CHECKS.items()]
