"""Does a page of a captured CNN speak of its layers, and one of a Transformer of its tokens?"""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.compare import compare_cards, page_data
from reports.page import page, result_cards
from reports.runs import load_runs
from simulator.architecture import load_architecture
from simulator.results.summary import summary
from simulator.results.terminal import terminal_table
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.models.foreign_networks import captured

ARCH = Path(__file__).parents[2] / "arch_configs" / "sparse_pe.yaml"


@pytest.mark.parametrize(("network", "has_tokens"), [("cnn", False), ("spikformer", True)])
def test_a_page_speaks_of_what_the_network_has(
    network: str, has_tokens: bool, tmp_path: Path
) -> None:
    with Trace.open(captured(network, tmp_path / "trace.npz")) as trace:
        result = Simulation(trace, load_architecture(ARCH)).run(range(2))
    facts = summary(result)
    assert ("Active tokens" in terminal_table(result)) == has_tokens
    assert ("Active tokens" in page(result)) == has_tokens
    names = {card.name for card in result_cards(result, facts)}
    assert ("tokens" in names) == has_tokens
    assert "cycles" in names
    result.save(tmp_path / "result")
    runs = load_runs([str(tmp_path / "result")])
    cards = {card.name: card for card in compare_cards(runs)}
    assert ("tokens" in cards) == has_tokens
    overview = next(iter(cards["overview"].plots.values())).table
    assert ("active tokens" in overview.columns) == has_tokens
    assert ("active tokens" in page_data(runs, [runs[0].design])["metrics"]) == has_tokens
    layers = next(iter(cards["why"].plots.values())).table
    assert len(layers) == len(facts["layers"])
