"""Does `prosperity_compat` give the cycles of Prosperity's simulator, operation by operation?"""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.peer_figures import PUBLISHED, figures, names, workload
from experiments.peers import PUBLISHED_BITS
from experiments.prosperity import run_design
from experiments.prosperity.energy import energy_mj, published
from experiments.prosperity.prosperity import dram_bits

FOLDER = Path(__file__).parents[2].parent / "shared" / "oracles" / "prosperity"
NAMES = names(FOLDER)
ABSENT = "the figures of Prosperity's simulator are not beside the project"


@pytest.mark.skipif(not NAMES, reason=ABSENT)
@pytest.mark.parametrize("name", NAMES or ["absent"])
def test_every_operation_of_every_design_to_the_cycle(name: str) -> None:
    operations = workload(FOLDER, name)
    for design, expected in figures(FOLDER, name).items():
        run = run_design(design, operations)
        assert run.total_cycles == expected["total_cycles"], design
        costs = {cost.name: cost for cost in run.operations}
        for figure in expected["ops"]:
            place, cost = f"{design}: {figure['op']}", costs.get(figure["op"])
            if cost is None:
                assert not figure["counted_cycles"], place  # pools, and what a design leaves out
                continue
            assert cost.counted_cycles == figure["counted_cycles"], place
            assert cost.standalone_cycles == figure["standalone_cycles"], place
            assert cost.dram_read_bits == figure["reads"].get("dram", 0), place
            assert cost.dram_write_bits == figure["writes"].get("dram", 0), place
            # The peer adds attention's own counts to themselves once more.
            twice = 2 if place.startswith("Prosperity") and "attention" in place else 1
            assert cost.compute_cycles * twice == figure["compute"], place
            assert cost.stall_cycles * twice == figure["mem_stall"], place


@pytest.mark.skipif("vgg9_cifar10" not in NAMES, reason=ABSENT)
def test_the_product_density_of_real_spikes_to_eleven_digits() -> None:
    run = run_design("Prosperity", workload(FOLDER, "vgg9_cifar10"))
    assert f"{run.bit_density:.11f}" == "0.13501125833"
    assert f"{run.product_density:.11f}" == "0.04556440270"


@pytest.mark.nojit
@pytest.mark.parametrize("name", PUBLISHED)
def test_what_follows_from_shapes_alone_is_exact(name: str) -> None:
    assert dram_bits(PUBLISHED[name]) == PUBLISHED_BITS[name]
    for design in ("Eyeriss", "Eyeriss_linear"):
        time_ms = published()[name, design].time_ms
        assert run_design(design, PUBLISHED[name]).time_ms == pytest.approx(time_ms, rel=1e-12)


@pytest.mark.nojit
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_times_give_the_published_energies(name: str) -> None:
    checked = 0
    for (workload_name, design), figure in published().items():
        if workload_name != name or figure.time_ms is None or figure.energy_mj is None:
            continue
        if design == "A100":
            continue  # a measured power, not the rule
        found = energy_mj(design, figure.time_ms, PUBLISHED_BITS[name])
        assert found == pytest.approx(figure.energy_mj, rel=1e-9), design
        checked += 1
    assert checked >= 6


@pytest.mark.nojit
def test_one_number_of_bits_explains_the_energies_of_all_designs_of_every_workload() -> None:
    table = published()
    for name in {name for name, _ in table}:
        ours = table[name, "Prosperity"]
        assert ours.time_ms is not None
        assert ours.energy_mj is not None
        bits = (ours.energy_mj - energy_mj("Prosperity", ours.time_ms, 0)) / 12.45e-9
        for design in ("Eyeriss", "Eyeriss_linear", "PTB", "SATO", "MINT"):
            figure = table.get((name, design))
            if figure is None or figure.time_ms is None:
                continue
            found = energy_mj(design, figure.time_ms, round(bits))
            assert found == pytest.approx(figure.energy_mj, rel=1e-6), (name, design)
