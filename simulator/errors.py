"""The errors a user can cause: each carries one message that names file, place, value and rule.

The command line prints the message and exits with code 2; no traceback reaches the user.
"""

from __future__ import annotations


class SimulatorError(Exception):
    """Base of every error whose cause lies in what the user gave us.

    Its arguments are the parts of its message: the place, a value where there is one, the rule.
    """

    def __str__(self) -> str:
        return ": ".join(map(str, self.args))


class ArchitectureError(SimulatorError):
    """Say that an architecture file, or an override of one of its fields, breaks a rule."""


class TraceError(SimulatorError):
    """Say that a trace file is truncated, corrupt, hostile, of another version, or inconsistent."""


class LoweringError(SimulatorError):
    """Say that a trace cannot be executed on an architecture, and which rule forbids it."""


class PricingError(SimulatorError):
    """Say that an action has no price in the chosen energy table, or lies outside its range."""


class ResultError(SimulatorError):
    """Say that a saved result cannot be read back, or breaks one of its own bounds."""


class StreamError(SimulatorError):
    """Say that arrivals of a stream cannot be read, or break a rule."""


class TimelineError(SimulatorError):
    """Say that a timeline cannot be written where or how it was asked for."""


class DeviceError(SimulatorError):
    """Say that a device cannot be built or reached, is too late, or answers nonsense."""


class ExecutionError(SimulatorError):
    """Say that the processes or the cluster that work was to run on are not there, or died."""


class SpaceError(SimulatorError):
    """Say that a space of designs breaks a rule, or asks for what traces or machines lack."""
