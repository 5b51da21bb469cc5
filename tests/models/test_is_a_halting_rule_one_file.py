"""Is a way of halting one new file, known to configs, run by networks and stated in manifests?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from models.errors import ModelError
from models.halting import policies
from models.halting.policies import POLICIES
from models.halting.recursion import register
from models.networks.config import GRANULARITIES, HaltingConfig
from models.operations import describe
from tests.messages import refused, said
from tests.models.tiny_networks import lively, noise, tiny_config

NAME = "first_tokens"
FILE = '''"""Halts every token but the first ones."""

import torch

from models.halting.recursion import Policy, register


@register("first_tokens")
class FirstTokens(Policy):
    """Keeps the tokens with the lowest numbers, as many as the budget."""

    def before(self, state, entering, step):
        kept = torch.arange(entering.shape[1]) < self.config.budget * entering.shape[1]
        return state._replace(active=state.active & kept)
'''
CHECKED = [(name, each) for name in POLICIES.names() for each in GRANULARITIES[1:]]


@pytest.fixture
def first_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The policy of another folder, as that of another package."""
    (tmp_path / f"{NAME}.py").write_text(FILE)
    monkeypatch.setattr(policies, "__path__", [*policies.__path__, str(tmp_path)])
    yield NAME
    del POLICIES[NAME]


def test_a_new_file_is_named_checked_and_run(first_tokens: str) -> None:
    assert first_tokens in POLICIES.names()
    with refused(ModelError):
        HaltingConfig("block", policy=first_tokens)  # it gives no weights for a mean field
    halting = HaltingConfig("two_dimensional", policy=first_tokens, output="last", budget=0.5)
    model = lively(tiny_config(halting=halting))
    with torch.no_grad():
        active = model(noise(2, model.config)).active
    tokens = model.config.tokens
    assert active.sum() == active.numel() // 2
    assert bool(active[..., : tokens // 2].all())
    with pytest.raises(ValueError, match=said("a policy twice")):
        register(first_tokens)(POLICIES.named(first_tokens))


@pytest.mark.parametrize(("name", "granularity"), CHECKED)
def test_each_runs_with_its_granularities_and_no_other(name: str, granularity: str) -> None:
    """A trace lists as many checks as it has: none of what halts no token by a score."""
    policy = POLICIES.named(name)
    output = "mean_field" if policy.accumulates else "last"
    if granularity not in policy.granularities:
        with refused(ModelError):
            HaltingConfig(granularity, policy=name, output=output)
        return
    config = tiny_config(halting=HaltingConfig(granularity, policy=name, output=output))
    model = lively(config)
    with torch.no_grad():
        found = model(noise(2, config))
    assert found.active is not None
    assert found.active.shape == (2, config.timesteps, config.size.blocks, config.tokens)
    assert (found.weights is not None) == policy.accumulates
    listed = sum(each["kind"] == "halting" for each in describe(config).operations)
    ends = 1 if granularity == "timestep" else config.size.blocks
    ahead = {"gate": 1, "token_importance": config.size.blocks}
    assert listed == (ends if policy.accumulates else ahead.get(name, 0))
