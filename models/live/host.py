"""The host as a device: the network's own layers, timed where they run, on a CPU or a GPU.

A piece of work is run again on the spikes that it names, some times over, and the median counts.
On a GPU, CUDA events give the time and, where nvidia-ml-py is installed, the board's energy counter
the energy of all of its power, idle power included, over runs that last long enough to differ.
A CPU's energy is not known.
"""

from __future__ import annotations

import copy
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.networks.layers import Context
from models.networks.probes import SILENT
from models.networks.rows import DroppedRows, Membranes, Rows
from models.networks.stas import STAS
from models.operations.recording import Packed
from models.operations.topology import Topology
from simulator.errors import DeviceError
from simulator.hil.base import Cost, Work

REPEATS = 5
NANOSECONDS_MHZ = 1000.0
METERED_S = 0.2
"""A run of this length moves the board's energy counter, which ticks every 20 to 100 ms."""


class HostDevice:
    """Time the machine that this program runs on; `cycles` are nanoseconds."""

    def __init__(
        self, model: STAS, topology: Topology, place: str | None = None, repeats: int = REPEATS
    ) -> None:
        """`place`: cpu or cuda; None takes a GPU where there is one."""
        place = place or ("cuda" if torch.cuda.is_available() else "cpu")
        self.place = torch.device(place)
        self.topology = topology
        self.repeats = repeats
        # A copy, without the steered halting that may hold this very device.
        self.sps, self.blocks, self.head = (
            copy.deepcopy(part).to(self.place).eval()
            for part in (model.sps, model.blocks, model.head)
        )
        self.config = model.config
        self.scaled = model.normalised
        self.meter = board_energy() if self.place.type == "cuda" else None

    @property
    def name(self) -> str:
        """Return what the host is."""
        if self.place.type == "cuda":
            return f"host {torch.cuda.get_device_name(self.place)}"
        return f"host {platform.processor() or platform.machine()}"

    def begin_image(self) -> None:
        """Do nothing: nothing is kept from one image to the next."""

    @torch.no_grad()
    def estimate(self, work: Work) -> Cost:
        """Run the piece and return how long it took; raises DeviceError for work of another net."""
        blocks = {name.split(".")[1] for name in work.layers if name.startswith("blocks.")}
        if len(blocks) > 1:
            raise DeviceError(self.name, ", ".join(work.layers), "must be of one block")
        run = self._block(int(blocks.pop()), work) if blocks else self._outside(work)
        run()  # whatever is only done once
        nanoseconds = round(statistics.median(self._times_ns(run)))
        energy = None if self.meter is None else self._energy_pj(run, self.meter)
        return Cost(nanoseconds, NANOSECONDS_MHZ, energy, {"host": nanoseconds})

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def _outside(self, work: Work) -> Callable[[], Any]:
        """Return the stem on the image's pixels and the head, or, at its end, the head alone."""
        features = torch.zeros(1, self.config.size.embed_dim, device=self.place)
        if "sps.image" not in work.tensors:
            return lambda: self.head(features)
        pixels = self._values("sps.image", work.tensors["sps.image"])[:1]
        side = self.config.dataset.image_size
        image = pixels.transpose(1, 2).unflatten(2, (side, side))
        frames = self.scaled(image.cpu()).to(self.place).unsqueeze(0)
        return lambda: (self.sps(frames, SILENT), self.head(features))

    def _block(self, block: int, work: Work) -> Callable[[], Any]:
        """Return a block on the live rows of its input, with membranes from a first run on."""
        if not 0 <= block < len(self.blocks):
            raise DeviceError(self.name, f"block {block}", f"must be 0 to {len(self.blocks) - 1}")
        live = torch.from_numpy(work.active[str(block)].copy()).to(self.place)
        shape = (1, 1, self.config.tokens, self.config.size.embed_dim)
        name, stream = f"blocks.{block}.x", torch.zeros(shape, device=self.place)
        if name in work.tensors and self.topology.tensors[name].channels == shape[-1]:
            stream = self._values(name, work.tensors[name])[:1].unsqueeze(1)
        # Else a stream of real values, which no trace stores: time depends on the shape alone.
        rows = Rows(*shape[:3], neuron=self.config.neurons)
        if not bool(live.all()):
            rows = DroppedRows(live.unsqueeze(0), 1.0, self.config.neurons)
        context = Context(rows, Membranes(), SILENT)
        return lambda: self.blocks[block](stream, context)

    def _values(self, name: str, packed: Packed) -> Tensor:
        """Return numbers (timestep, row, channel) of packed planes (timestep, plane, row, byte)."""
        tensor = self.topology.tensors[name]
        bits = np.unpackbits(packed, axis=-1, count=tensor.channels, bitorder="little")
        weights = (1 << np.arange(bits.shape[1], dtype=np.int64))[:, None, None]
        values = (bits * weights).sum(1).astype(np.float32) / np.float32(tensor.unit)
        return torch.from_numpy(values).to(self.place)

    def _times_ns(self, run: Callable[[], Any]) -> list[float]:
        if self.place.type != "cuda":
            return [_timed_ns(run) for _ in range(self.repeats)]
        times = []
        for _ in range(self.repeats):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            run()
            end.record()
            torch.cuda.synchronize()
            times.append(begin.elapsed_time(end) * 1e6)
        return times

    def _energy_pj(self, run: Callable[[], Any], meter: Callable[[], int]) -> float:
        """Measure the board's energy for one run, the mean of as many as METERED_S holds."""
        began_mj, began, runs = meter(), time.perf_counter(), 0
        while time.perf_counter() - began < METERED_S:
            run()
            runs += 1
            if self.place.type == "cuda":
                torch.cuda.synchronize()
        return (meter() - began_mj) * 1e9 / runs


def board_energy() -> Callable[[], int] | None:
    """Return the GPU's energy counter in mJ, None without nvidia-ml-py or such a counter."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(torch.cuda.current_device())
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except (ImportError, RuntimeError, OSError, AttributeError):
        return None
    except pynvml.NVMLError:
        return None
    return lambda: int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))


def _timed_ns(run: Callable[[], Any]) -> float:
    began = time.perf_counter_ns()
    run()
    return float(time.perf_counter_ns() - began)
