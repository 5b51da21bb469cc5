"""Ways of halting: one file each, whose name is the policy's.

`policy_names` reads the folder and needs no torch; `policy_named` imports the file.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.halting.recursion import Policy
    from models.networks.config import ModelConfig


def policy_names() -> tuple[str, ...]:
    """Return the names of all policies."""
    return tuple(found.name for found in pkgutil.iter_modules(__path__))


def policy_named(name: str) -> type[Policy]:
    """Return the class of a policy of the folder."""
    importlib.import_module(f"{__name__}.{name}")
    from models.halting.recursion import POLICIES

    return POLICIES[name]


def make_policy(config: ModelConfig) -> Policy | None:
    """Return the config's way of halting, None where nobody halts."""
    return policy_named(config.halting.policy).of(config) if config.halts else None
