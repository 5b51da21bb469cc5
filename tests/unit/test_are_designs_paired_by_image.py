"""Are designs compared over the same images only, with intervals that pairing makes narrow?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from reports.compare import compare_page, main
from reports.diff import main as diff
from reports.figures.designs import METRICS, estimates
from reports.runs import load_runs
from simulator.architecture import load_architecture
from simulator.errors import ResultError
from simulator.results.pairing import only, ratio, ratio_of_means, shared
from simulator.results.result import Result
from simulator.simulate import Simulation
from simulator.streams.statistics import independent_mean, student
from simulator.trace import Trace
from tests.messages import said
from tests.sample_result import sample_result

ROOT = Path(__file__).parents[2]
LATENCY = METRICS[0]


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    """Two machines on images 10 and 44 of the shipped MNIST trace."""
    found = {}
    with Trace.open(ROOT / "traces" / "mnist.npz") as trace:
        for name in ("sparse_pe", "sparse_pe_noskip"):
            machine = load_architecture(ROOT / "arch_configs" / f"{name}.yaml")
            found[name] = Simulation(trace, machine).run([10, 44])
    return found


def saved(folder: Path, results: dict[str, Result], **images: int) -> list[str]:
    for name, image in images.items():
        kept = results[name] if image < 0 else only(results[name], [image])
        kept.save(folder / name)
    return [str(folder / name) for name in images]


def test_other_images_are_refused(
    results: dict[str, Result], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One machine on image 44 and the other on image 10 once showed 1.21x without a word."""
    paths = saved(tmp_path, results, sparse_pe=44, sparse_pe_noskip=10)
    assert main([*paths, "--out", str(tmp_path / "page.html")]) == 2
    assert diff(paths) == 2
    for line in capsys.readouterr().err.splitlines():
        assert line.startswith("no image is in all of these, so they cannot be compared: ")
        assert "of mnist.npz; " in line
    assert not (tmp_path / "page.html").exists()


def test_the_shared_images_are_compared_and_the_others_said(
    results: dict[str, Result], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = saved(tmp_path, results, sparse_pe=-1, sparse_pe_noskip=44)
    runs = load_runs(paths)
    assert [run.left_out for run in runs] == [1, 0]
    cells = estimates(runs, LATENCY, "sparse_pe_noskip")
    assert cells["sparse_pe", "mnist"].value == pytest.approx(1.38, abs=0.005)
    assert "are left out: 1 of sparse_pe." in compare_page(runs)
    assert diff(paths) == 0
    told = capsys.readouterr().out
    assert "only one of them ran are left out: 1 of A, 0 of B." in told
    assert "mean of 1 images" in told
    assert diff(paths[:1] * 2) == 0
    assert "left out" not in capsys.readouterr().out


def test_a_result_of_some_images_is_the_run_over_them(results: dict[str, Result]) -> None:
    with Trace.open(ROOT / "traces" / "mnist.npz") as trace:
        machine = load_architecture(ROOT / "arch_configs" / "sparse_pe.yaml")
        assert only(results["sparse_pe"], [44]) == Simulation(trace, machine).run([44])


def named(names: list[str], digest: str, data: str = "cifar10", split: str = "test") -> Result:
    result = sample_result(range(len(names)))
    result.tables["images"]["image_id"] = names
    trace = result.provenance["trace"]
    trace["content_hash"] = digest
    trace["dataset"] |= {"name": data, "split": split}
    return result


def test_images_of_other_traces_are_paired_by_name() -> None:
    """A network and its twin see the same images, whatever their place in the trace."""
    one, other = named(["a", "b", "c"], "x"), named(["c", "d", "a"], "y")
    with pytest.raises(ResultError, match=said("images in another order")):
        ratio(one, other, "latency_ms")
    both = shared([one, other], ["one", "other"])
    assert [each.tables["images"]["image"].tolist() for each in both] == [[0, 2], [0, 2]]
    # Of images whose name stands twice nobody knows which is which.
    assert shared([one, named(["a", "a", "b"], "z")], ["", ""])[0].images == 1


@pytest.mark.parametrize(("data", "split"), [("cifar10", "train"), ("mnist", "test")])
def test_images_of_other_data_are_refused(data: str, split: str) -> None:
    one, other = named(["a", "b"], "x"), named(["a", "b"], "y", data, split)
    with pytest.raises(ResultError, match=said("no image in common")):
        shared([one, other], ["one", "other"])


def test_pairing_makes_intervals_narrow() -> None:
    """Images differ by a factor of four; one machine takes a third more time for each."""
    rng = np.random.default_rng(1)
    second = rng.uniform(1, 4, 30)
    first = second * 1.33 * rng.normal(1, 0.01, 30)
    found = ratio_of_means(first, second)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 1.33 < found.high
    assert found.high - found.low < 0.03
    assert ratio_of_means(first * 2, first) == (2, 2, 2)
    assert ratio_of_means(first[:1], second[:1])[1:] == (None, None)
    assert np.isnan(ratio_of_means(first, first * 0).value)


@pytest.mark.parametrize("count", [2, 5, 20])
def test_intervals_hold_as_often_as_they_say(count: int) -> None:
    """Of 2,000 means of normal values 95 % have the true mean in their interval."""
    rng = np.random.default_rng(count)
    draws = [independent_mean(rng.normal(3, 1, count)) for _ in range(2000)]
    inside = np.mean([low <= 3 <= high for _, low, high in draws])  # type: ignore[operator]
    assert inside == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_students_quantile_is_that_of_scipy(confidence: float) -> None:
    for freedom in (1, 2, 3, 4, 5, 6, 7, 12.5, 100):
        expected = stats.t.ppf((1 + confidence) / 2, freedom)
        within = 1e-6 if freedom < 7 else 0.02
        assert student(freedom, confidence) == pytest.approx(expected, rel=within)
