"""The error a user of the PyTorch side can cause."""

from __future__ import annotations

from simulator.errors import SimulatorError


class ModelError(SimulatorError):
    """Say which rule a model name, a weights file, a data folder or a switch breaks."""
