"""Recordings of a device: its answers in a JSON file, replayed without it.

An answer is found by a hash of the work it was given for and of all work of the image before it,
so images may come in any order, and a run that departs from the recorded one by a single bit is
refused instead of being given a wrong cost.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import pydantic

from simulator.config.read_back import read_object
from simulator.config.sealed import content_hash, sealed
from simulator.config.staged_file import written_file
from simulator.errors import DeviceError
from simulator.hil.base import Cost, Device, Work

SCHEMA = "stasim-recording/1"
LIMIT_BYTES = 1 << 28
"""A larger file is refused before it is read."""

_Count = Annotated[int, pydantic.Field(ge=0, lt=2**62)]
_Number = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)


class Answer(_Strict):
    """Hold a cost, and for readers where it was given: `layers` of the work, its `timestep`."""

    layers: list[str]
    timestep: _Count
    cycles: _Count
    clock_mhz: Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
    energy_pj: _Number | None
    busy_cycles: dict[str, _Count]


class Recording(_Strict):
    """Hold what a recording's file does; `answers` by the hash of the run before them."""

    schema_: Annotated[str, pydantic.Field(alias="schema")]
    device: str
    made_by: dict[str, str]
    answers: dict[str, Answer]
    content_hash: str


class Recorder:
    """Pass another device's answers on and keep them."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.answers: dict[str, Answer] = {}
        self._run = b""

    @property
    def name(self) -> str:
        """The recorded device's name."""
        return self.device.name

    def begin_image(self) -> None:
        """Start an image."""
        self._run = b""
        self.device.begin_image()

    def estimate(self, work: Work) -> Cost:
        """Return the device's answer."""
        cost = self.device.estimate(work)
        self._run = run_digest(self._run, work)
        self.answers[self._run.hex()] = Answer(
            layers=list(work.layers),
            timestep=work.timestep,
            cycles=cost.cycles,
            clock_mhz=float(cost.clock_mhz),
            energy_pj=None if cost.energy_pj is None else float(cost.energy_pj),
            busy_cycles=dict(cost.busy_cycles),
        )
        return cost

    def close(self) -> None:
        """Close the device."""
        self.device.close()

    def save(self, path: str | os.PathLike[str], made_by: Mapping[str, str]) -> None:
        """Write all answers so far, whole or not at all; `made_by`: programs and versions.

        Raises DeviceError if the file cannot be written.
        """
        content = {
            "schema": SCHEMA,
            "device": self.name,
            "made_by": dict(made_by),
            "answers": {key: answer.model_dump() for key, answer in self.answers.items()},
        }
        text = json.dumps(sealed(content), indent=1, sort_keys=True, allow_nan=False)
        with written_file(Path(path), SCHEMA.encode(), DeviceError) as file:
            file.write(text.encode())


class RecordedDevice:
    """Answer from a recording, with neither the device nor its tools."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Read and check the file; raises DeviceError for whatever is wrong with it."""
        self.path = Path(path)
        self.recording = _read(self.path)
        self._run = b""

    @property
    def name(self) -> str:
        """The recorded device's name and the file."""
        return f"recorded {self.recording.device} ({self.path.name})"

    def begin_image(self) -> None:
        """Start an image."""
        self._run = b""

    def estimate(self, work: Work) -> Cost:
        """Return the recorded answer; DeviceError where the run departs from the recorded one."""
        self._run = run_digest(self._run, work)
        answer = self.recording.answers.get(self._run.hex())
        if answer is None:
            raise DeviceError(
                f"{self.path}: no answer for {', '.join(work.layers)}, timestep {work.timestep}, "
                "of this image: the run departs from the recorded one here or before (another "
                "image, network, or halting)"
            )
        return Cost(answer.cycles, answer.clock_mhz, answer.energy_pj, answer.busy_cycles)

    def close(self) -> None:
        """Do nothing: nothing is held."""


def run_digest(before: bytes, work: Work) -> bytes:
    """Return sha256 of a run: `before`, that of the image's earlier work, and this work's bits."""
    digest = hashlib.sha256(before)
    digest.update(json.dumps([work.layers, work.timestep]).encode())
    for arrays in (work.tensors, work.active):
        for name in sorted(arrays):
            array = arrays[name]
            digest.update(json.dumps([name, str(array.dtype), array.shape]).encode())
            digest.update(array.tobytes())
        digest.update(struct.pack("<q", len(arrays)))
    return digest.digest()


def _read(path: Path) -> Recording:
    content = read_object(path, LIMIT_BYTES, DeviceError, SCHEMA, "a recording's file")
    try:
        recording = Recording.model_validate(content)
        intact = content_hash(content)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DeviceError(path, place, first["msg"]) from error
    except ValueError as error:
        raise DeviceError(path, "must hold finite numbers only") from error
    if recording.content_hash != intact:
        raise DeviceError(
            f"{path}: content_hash {recording.content_hash}: must be {intact}: the file has changed"
        )
    return recording
