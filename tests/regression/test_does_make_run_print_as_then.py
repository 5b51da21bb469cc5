"""Does `make run` print the figures that it printed at bff3e41, at the prices of then?

What differs: units (35.46 MB were 34,631 KiB, 0.09371 mW 93.71 uW), the digits of energies below a
nJ, and the field's habit, whose tokens that halt later are zeros now (CHANGELOG.md). The rest of
today's output is new.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.run import main
from tests.regression.replays import TABLE_ALONE

ROOT = Path(__file__).parents[2]

PRINTED = """
sparse_pe: spike_skip, compact, timestep_serial, 500 MHz, 28 nm
cifar10.npz: stas_spikformer_4_384, cifar10, images: 20
horowitz_28nm, 28 nm, 0.9 V; engine numba
Latency            1,827,216     1,790,733     2,158,813     2,174,833 cycles
3.654         3.581         4.318         4.350 ms
Throughput    273.6 images/s (1 / mean latency: one image after another, no overlap)
Utilization   75.4%
Occupancy     pe_array 98.6%, weight_port 13.5%, dram 15.2%, vector_unit 8.3%, token_skip 0.0%
Roofline      compute-bound: 9.950
193.1 of 256.0 attainable acc/cycle (75.4%)
DRAM traffic  35.46 MB per image
SRAM 1.373 mm
logic 0.04072 mm
57.50 mW on chip
0.09371 mW
3,742 dynamic, 0.3425
EDP 13,701
memories.dram            3,532
pe_array                 129.0
buffers.weights          39.82
buffers.partial_sums     31.83
buffers.spikes           7.482
buffers.membranes        1.723
vector_unit             0.2686
vector_unit                        9,639     0.5
weight_port                        7,375     0.4
halting                            7,230     0.4
dram_activations                   411.9     0.0
array_latency                      220.1     0.0
token_skip                         90.00     0.0
dram_weights                       51.00     0.0
Active tokens 589.9 of 1,024 (57.6%) per image
0                 64.0  64.0  63.9  63.8
1                 60.7  59.2  52.6  41.4
2                 28.2  26.5  21.4  15.4
3                  9.7   8.4   6.6   4.1
"""


def test_make_run_prints_what_it_printed(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--arch", str(ROOT / "arch_configs/sparse_pe.yaml")]
    command += ["--trace", str(ROOT / "traces/cifar10.npz")]
    for override in TABLE_ALONE:
        command += ["--set", override]
    assert not main(command)
    out = capsys.readouterr().out
    assert [line for line in PRINTED.strip().splitlines() if line not in out] == []
