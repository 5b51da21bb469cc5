"""A-SSA itself, by the recursion of models/halting/recursion.py."""

from __future__ import annotations

from models.halting.recursion import Halting, register

register("score")(Halting)
