"""Do images that run together fetch weights once, and do everything else as if alone?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulator.architecture import load_architecture
from simulator.results.result import Result
from simulator.simulate import Simulation
from simulator.trace import Trace

ROOT = Path(__file__).parents[2]
TRACES = ("mnist", "mnist_baseline")
# Room for the tensors and membranes of eight images, so that only the weights are shared.
ROOM = ["cores.0.buffers.membranes.size_kib=16384", "cores.0.buffers.spikes.size_kib=16384"]
OWN = ("pe_array", "vector_unit", "token_skip", "buffers.membranes", "buffers.masks")


def run(trace: str, together: int, images: int = 8, *overrides: str) -> Result:
    architecture = load_architecture(
        ROOT / "arch_configs" / "sparse_pe.yaml",
        [*ROOM, *overrides, f"dataflow.images_together={together}"],
    )
    with Trace.open(ROOT / "traces" / f"{trace}.npz") as opened:
        result = Simulation(opened, architecture).run(range(images))
    result.check()
    return result


def counted(result: Result) -> pd.DataFrame:
    """Counts by image, part and action."""
    actions = result.tables["actions"]
    return actions.groupby(["part", "action", "image"])["count"].sum().unstack(fill_value=0)


@pytest.mark.parametrize("trace", TRACES)
def test_bytes_an_image_are_its_own_and_its_part_of_the_weights(trace: str) -> None:
    alone, together = run(trace, 1), run(trace, 8)
    # What passes the DRAM and is no weight: the image and what the buffers cannot hold.
    one = counted(alone).loc["memories.dram"].loc["read_bit"]
    fetched = run(trace, 1, 1, "dataflow.images_together=1").tables["layers"]
    assert int(fetched["dram_bytes"].sum()) * 8 == one[0]
    shared = counted(together).loc["memories.dram"].loc["read_bit"]
    saved = one.to_numpy() - shared.to_numpy()
    # Every image saves seven eighths of the same weights; bits that do not divide go to the last.
    assert saved.max() - saved.min() <= len(alone.tables["layers"])
    weights = int(saved.sum()) / 7
    assert weights == int(weights)
    four = counted(run(trace, 4)).loc["memories.dram"].loc["read_bit"].to_numpy()
    assert int((one.to_numpy() - four).sum()) == int(weights) * 6


@pytest.mark.parametrize("trace", TRACES)
def test_the_work_of_an_image_is_that_of_the_image_alone(trace: str) -> None:
    alone, together = run(trace, 1), run(trace, 8)
    before, now = counted(alone), counted(together)
    for part, action in before.index:
        if part.removeprefix("cores.0.") in OWN and action != "weight_write":
            np.testing.assert_array_equal(now.loc[part, action], before.loc[part, action])
    for column in ("useful_accumulations", "active_tokens"):
        np.testing.assert_array_equal(
            together.tables["images"][column], alone.tables["images"][column]
        )


@pytest.mark.parametrize("trace", TRACES)
def test_images_together_take_no_longer_than_one_after_another(trace: str) -> None:
    alone = run(trace, 1).tables["images"]["latency_cycles"].sum()
    together = run(trace, 8).tables["images"]
    assert together["latency_cycles"].nunique() == 1
    assert together["latency_cycles"][0] <= alone
    assert (together["images_together"] == 8).all()


def test_images_that_are_left_run_in_a_smaller_group() -> None:
    images = run("mnist", 4, 6).tables["images"]
    assert images["images_together"].tolist() == [4, 4, 4, 4, 2, 2]


def test_batches_need_room_for_the_membranes_of_all_images() -> None:
    small = "cores.0.buffers.membranes.size_kib=64"
    dram = [run("mnist_baseline", n, 8, small).tables["images"]["dram_bytes"].sum() for n in (1, 8)]
    roomy = [run("mnist_baseline", n).tables["images"]["dram_bytes"].sum() for n in (1, 8)]
    assert roomy[1] < roomy[0]
    assert dram[1] - roomy[1] > dram[0] - roomy[0]


def test_an_array_with_a_port_of_its_own_streams_weights_once_for_all() -> None:
    """Three images in groups of two: the sums hold, and the first two fetch less than alone."""
    machine = ROOT / "arch_configs" / "fpga_spiking_transformer.yaml"
    moved = {}
    for together in (1, 2):
        architecture = load_architecture(machine, [f"dataflow.images_together={together}"])
        with Trace.open(ROOT / "traces" / "mnist_baseline.npz") as trace:
            result = Simulation(trace, architecture).run(range(3))
        result.check()
        moved[together] = result.tables["images"]["dram_bytes"].tolist()
    assert moved[2][2] == moved[1][2]
    assert sum(moved[2][:2]) < sum(moved[1][:2])
