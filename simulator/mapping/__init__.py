"""Mappings that are chosen: candidates under the capacities, costed by replaying an image."""

from simulator.mapping.search import Chosen, plan_for

__all__ = ["Chosen", "plan_for"]
