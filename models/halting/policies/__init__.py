"""Ways of halting: one file each, whose name is the policy's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.networks.registry import Registry

if TYPE_CHECKING:
    from models.halting.recursion import Policy

POLICIES: Registry[type[Policy]] = Registry("policy", __name__, lambda name, kind: kind)
