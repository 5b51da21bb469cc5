"""Published figures of the field that models and tests are held against."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml


def firing_rates() -> dict[str, Any]:
    """Published firing rates by network: the fraction of ones in the input of each layer.

    The tree of firing_rates.yaml, which names the source of each network's numbers.
    """
    return _tree("firing_rates.yaml")


def exspike_networks() -> dict[str, Any]:
    """The networks of ExSpike with what is published of their spikes; the tree of the file."""
    return _tree("exspike_networks.yaml")


def _tree(name: str) -> dict[str, Any]:
    text = files(__name__).joinpath(name).read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found
