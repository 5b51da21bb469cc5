"""Is a layer on arch_configs/exspike.yaml as long as in ExSpike's own RTL, from the same spikes?"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from experiments.drawn_convolutions import Bits, ConvLayer
from experiments.rtl_runs import EXSPIKE, exspike_ends, exspike_layers, rows

needs_rtl = pytest.mark.skipif(not EXSPIKE.is_dir(), reason="figures of ExSpike's RTL are not here")


def drawn(events: int, timesteps: int, positions: int, channels: int, *, pairs: bool) -> Bits:
    """Draw spikes of which each timestep has so many events, every one of them in every pair."""
    random = np.random.default_rng(0)
    shape = (timesteps, positions, channels)
    found: Bits = random.random(shape) < 0.95 * events / positions / channels
    found[:, :, 0] = True
    found[:, 1::2, 1:] &= random.random((timesteps, positions // 2, channels - 1)) < 0.95
    for step in found:
        even, odd = step[0::2], step[1::2]
        while (missing := events - _events(step, pairs=pairs)) > 0:
            # A bit in an even position whose partner has none is one more event.
            free = np.argwhere(~even & ~odd)
            chosen = free[random.choice(len(free), missing, replace=False)]
            even[chosen[:, 0], chosen[:, 1]] = True
    return found


def _events(step: Bits, *, pairs: bool) -> int:
    common = int((step[0::2] & step[1::2]).sum())
    return int(step.sum()) - (common if pairs else 0)


@needs_rtl
@pytest.mark.parametrize("row", range(9))
def test_chains_take_the_cycles_of_the_rtl(row: int, tmp_path: Path) -> None:
    """Four layers in a row: from the second on each takes as long as in the RTL.

    The spikes of these runs are not known. Of a layer that weights bound they do not matter; of
    another its events follow from its cycles, and spikes with so many take them again.
    """
    chain = rows(EXSPIKE / "rtl_chains.csv")[row]
    pairs, timesteps = chain["group"] == "2", int(chain["T"])
    positions, channels, outputs = int(chain["in_size"]) ** 2, int(chain["cin"]), int(chain["cout"])
    measured = int(chain["rtl_cycles_layer2"])
    tiles, ends = outputs // 32, positions * (outputs // 32) + (31 if pairs else 29)
    restarts = (timesteps - 1) * 4770
    a_tile = (measured - restarts) // timesteps - ends
    bound_by_weights = measured == 4770 * tiles * channels // 512
    events = a_tile // tiles - (8 if pairs else 7) * positions
    if bound_by_weights:
        events = int(float(chain["density"]) * positions * channels)
    given = drawn(events, timesteps, positions, channels, pairs=pairs)
    layers = [ConvLayer("first", "given", 32)]
    layers += [ConvLayer(f"layer{number}", "given", outputs) for number in range(3)]
    found = exspike_ends(tmp_path, layers, given, int(chain["in_size"]), pairs=pairs)
    for before, after in pairwise(found[1:]):
        if bound_by_weights:
            assert after - before == measured
        else:  # 29 or 31 cycles to end a layer, some 40 to begin a timestep
            assert abs(after - before - measured) <= 2 + 40 * (timesteps - 1)


@needs_rtl
def test_single_layers_take_the_cycles_of_the_rtl(tmp_path: Path) -> None:
    errors = {run.case: abs(run.error) for run in exspike_layers(tmp_path)}
    assert np.mean(list(errors.values())) <= 0.01, errors
    assert max(errors.values()) <= 0.06, errors
