"""The probe that records a batch bit-packed, as a trace stores it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from models.networks.probes import Probe
from models.networks.rows import Rows
from models.operations.topology import Tensor, Topology

Packed = npt.NDArray[np.uint8]


class ImageRecording(NamedTuple):
    """Hold an image's tensors uint8 (timestep, plane, row, byte), masks bool (timestep, token)."""

    tensors: dict[str, Packed]
    active: dict[str, npt.NDArray[np.bool_]]


class RecordingProbe(Probe):
    """Pack every tensor of a batch on the fly; refuse one that is not listed as it comes."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._tensors: dict[str, list[Packed]] = {}
        self._active: dict[str, list[npt.NDArray[np.bool_]]] = {}

    def record(self, name: str, values: torch.Tensor, rows: Rows) -> None:
        """Pack computed rows, halted ones zero."""
        self._pack(name, rows.restore(values))

    def record_maps(self, name: str, maps: torch.Tensor) -> None:
        """Pack maps, pixels row-major."""
        self._pack(name, maps.flatten(3).transpose(2, 3))

    def record_active(self, block: int, active: torch.Tensor) -> None:
        """Keep the mask of one timestep."""
        self._active.setdefault(str(block), []).append(active.numpy().copy())

    def record_image(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Pack the 8-bit image (image, [timestep,] channel, h, w) as it is stored, before any
        scaling.
        """
        frames = torch.from_numpy(pixels)
        self.record_maps(
            "sps.image", frames.unsqueeze(0) if frames.dim() == 4 else frames.transpose(0, 1)
        )

    def take(self) -> Iterator[ImageRecording]:
        """Hand out the batch image by image and forget it."""
        tensors = {}
        for name, listed in self.topology.tensors.items():
            parts = self._tensors.pop(name, [])
            tensors[name] = np.concatenate(parts) if parts else np.zeros(0, np.uint8)
            if len(tensors[name]) != listed.timesteps:
                raise RuntimeError(f"{name}: {len(tensors[name])} of {listed.timesteps} timesteps")
        active = {name: np.stack(parts) for name, parts in self._active.items()}
        self._active.clear()
        if active:
            self._leave_out_unneeded(tensors, active["0"])
        for image in range(tensors["sps.image"].shape[1]):
            yield ImageRecording(
                {name: packed[:, image] for name, packed in tensors.items()},
                {name: mask[:, image] for name, mask in active.items()},
            )

    def _leave_out_unneeded(
        self, tensors: dict[str, Packed], entering: npt.NDArray[np.bool_]
    ) -> None:
        """Zero what the stem made for timesteps that no token of an image ran.

        Behind any integration no later timestep depends on it, so inference never computes it;
        `entering` is the first block's mask bool (timestep, image, token).
        """
        operations = self.topology.operations
        merged = [at for at, each in enumerate(operations) if each["kind"] == "integrate"]
        behind = operations[merged[-1] + 1 if merged else 0 :]
        needed = entering.any(2)
        for name in {each["output"] for each in behind if each["stage"] == "sps"}:
            if name in tensors and len(tensors[name]) > 1:
                tensors[name][~needed] = 0

    def _pack(self, name: str, values: torch.Tensor) -> None:
        """Pack (step, image, row, channel) into (step, image, plane, row, byte)."""
        packed = pack(self.topology.tensors.get(name), name, values)
        self._tensors.setdefault(name, []).append(packed)


def pack(listed: Tensor | None, name: str, values: torch.Tensor) -> Packed:
    """Return values (step, image, row, channel) packed as (step, image, plane, row, byte).

    Refuses values that are not listed as they come.
    """
    if listed is None or tuple(values.shape[2:]) != (listed.rows, listed.channels):
        raise RuntimeError(f"{name}: the topology does not list a tensor of {values.shape[2:]}")
    scaled = values if listed.unit == 1 else (values * listed.unit).round()
    integers = scaled.to(torch.uint8 if listed.planes <= 8 else torch.int32).numpy()
    if int(integers.max(initial=0)) >> listed.planes:
        raise RuntimeError(f"{name}: {integers.max()} does not fit {listed.planes} planes")
    planes = [
        np.packbits((integers >> plane) & 1, axis=-1, bitorder="little")
        for plane in range(listed.planes)
    ]
    return np.stack(planes, axis=2)
