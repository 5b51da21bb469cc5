"""Published figures of the field that models and tests are held against."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml


def firing_rates() -> dict[str, Any]:
    """Published firing rates by network: the fraction of ones in the input of each layer.

    The tree of firing_rates.yaml, which names the source of each network's numbers.
    """
    text = files(__name__).joinpath("firing_rates.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found
