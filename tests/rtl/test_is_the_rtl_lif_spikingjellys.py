"""Is the RTL's neuron the one of the networks: SpikingJelly's LIF, in fixed point, bit for bit?"""

from __future__ import annotations

import numpy as np
import pytest

from experiments.calibration.reference import lif_step
from experiments.calibration.units import LIF_LATENCY_CYCLES, lif_design, run_lif
from simulator.hil.verilator import lint
from tests.rtl.rtl_cases import needs_verilator

pytestmark = needs_verilator
LANES, FRACTION = 32, 4


def run_steps(sums: np.ndarray, bias: np.ndarray, threshold: int) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and membranes (step, vector, lane) of the RTL from rest, each step one stream."""
    design = lif_design(LANES, 16, 16, FRACTION)
    membrane = np.full(sums.shape[1:], 77, np.int64)  # not looked at in the first step
    spikes, membranes = [], []
    for step in range(len(sums)):
        rest = np.full(sums.shape[1], step == 0)
        run = run_lif(design, sums[step], bias, membrane, threshold, rest)
        assert (run.latency_cycles == LIF_LATENCY_CYCLES).all()
        membrane = run.membrane
        spikes.append(run.spikes)
        membranes.append(membrane)
    return np.array(spikes), np.array(membranes)


def test_it_equals_spikingjelly_where_fixed_point_is_exact() -> None:
    torch = pytest.importorskip("torch")
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    random = np.random.default_rng(0)
    steps, vectors, threshold = 4, 200, 100
    sums = random.integers(-900, 900, (steps, vectors, LANES))
    bias = random.integers(-100, 100, (vectors, LANES))
    spikes, membranes = run_steps(sums, bias, threshold << FRACTION)
    lif = neuron.LIFNode(tau=2.0, decay_input=True, v_threshold=float(threshold), v_reset=0.0)
    for step in range(steps):
        fired = lif(torch.from_numpy(sums[step] + bias).float())
        np.testing.assert_array_equal(spikes[step], fired.numpy() > 0)
        np.testing.assert_array_equal(membranes[step] / 2**FRACTION, lif.v.numpy())
    assert 0.05 < spikes.mean() < 0.95


def test_it_equals_its_formula_where_it_rounds_and_saturates() -> None:
    random = np.random.default_rng(1)
    design = lif_design(LANES, 16, 16, FRACTION)
    edges = np.array([-32768, 32767, -1, 0, 1, 2047, 2048, -2048, -2049])
    sums = random.choice(edges, (400, LANES))
    bias = random.choice(edges, (400, LANES))
    membrane = random.choice(edges, (400, LANES))
    for threshold in (1, 1600, 32767, -5):
        run = run_lif(design, sums, bias, membrane, threshold, np.zeros(400, bool))
        spikes, after = lif_step(sums + bias, membrane, threshold, 16, FRACTION)
        np.testing.assert_array_equal(run.spikes, spikes)
        np.testing.assert_array_equal(run.membrane, after)


def test_it_equals_its_formula_in_other_widths() -> None:
    random = np.random.default_rng(2)
    design = lif_design(5, 12, 20, 3)
    sums, bias = random.integers(-2048, 2048, (2, 100, 5))
    membrane = random.integers(-(1 << 19), 1 << 19, (100, 5))
    run = run_lif(design, sums, bias, membrane, 900, np.zeros(100, bool))
    spikes, after = lif_step(sums + bias, membrane, 900, 20, 3)
    np.testing.assert_array_equal(run.spikes, spikes)
    np.testing.assert_array_equal(run.membrane, after)
    assert lint(design) == ""
    assert lint(lif_design(LANES, 16, 16, FRACTION)) == ""
