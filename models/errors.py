"""The error a user of the PyTorch side can cause."""

from __future__ import annotations

from simulator.errors import SimulatorError


class ModelError(SimulatorError):
    """A model name, a weights file, a data folder or a switch breaks a rule; the message says
    which.
    """
