"""From published firing rates alone: what one pass of the patch splitting saves, without halting.

STAS claims 30.1 % on ImageNet for I-SPS and halting together.
"""

from __future__ import annotations

import pytest

from experiments.study.arithmetic import (
    NETWORKS,
    SPS_CONVS,
    TIMESTEPS,
    early_integration,
    savings,
    spikingformer_layers,
)
from simulator.data import firing_rates
from simulator.energy.field_convention import FieldLayer

EXPECTED = {
    "spikingformer_8_512_imagenet": (48.6, 36.5),
    "spikingformer_8_768_imagenet": (45.9, 34.4),
}


def test_one_pass_saves_more_than_the_claim() -> None:
    found = {saving.network: saving for saving in savings()}
    assert found.keys() == EXPECTED.keys() == NETWORKS.keys()
    for name, (share, saved) in EXPECTED.items():
        saving = found[name]
        assert saving.sps_share == pytest.approx(share / 100, abs=6e-4)
        assert round(100 * saving.of_convolutions, 1) == saved
        assert 0.301 < saving.of_everything < saving.of_convolutions
        assert saving.early_as_macs < saving.early_as_acs < saving.of_convolutions


@pytest.mark.parametrize("name", NETWORKS)
def test_early_integration_changes_the_patch_splitting_only(name: str) -> None:
    before = spikingformer_layers(firing_rates()[name], *NETWORKS[name])
    after = early_integration(before)
    for old, new in zip(before, after, strict=True):
        if old.stage != "sps":
            assert new == old
            continue
        assert isinstance(old, FieldLayer)
        assert isinstance(new, FieldLayer)
        assert (old.timesteps, new.timesteps) == (TIMESTEPS, 1)
        graded = new.name == SPS_CONVS[1]
        assert new.input_kind == ("integer" if graded else old.input_kind)
        silent = (1.0 - old.input_rate) ** 4
        assert new.input_rate == (1.0 - silent if graded else old.input_rate)
