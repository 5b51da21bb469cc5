"""The RTL as a device: a layer or a block runs on compiled SystemVerilog, cycle by cycle.

Each piece of work runs alone on an idle layer engine, with all data on chip; so the costs of an
image add up to its time without DRAM, and without what overlaps from one piece to the next. Linear
layers and attention only: patch splitting, head and the halting decision have no RTL. Spikes, keys
and scores are those of the work; weights, of which a trace holds none, are random: they do not
change a cycle. There is no energy in it.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from pathlib import Path

from simulator.architecture import Architecture, load_architecture
from simulator.errors import DeviceError
from simulator.hil.base import Cost, Work
from simulator.hil.jobs import check_order, layer_jobs
from simulator.hil.layer_design import engine_design
from simulator.hil.layer_engine import run_jobs
from simulator.hil.simulated import blank_image, take_in
from simulator.hil.verilator import build
from simulator.lowering import make_plan
from simulator.operations import read_network
from simulator.trace import Outline, Trace


class RtlDevice:
    """Run layers on the layer engine of an architecture file's machine."""

    def __init__(self, trace: Trace | Outline, architecture: Architecture) -> None:
        """Plan the trace's network and build the RTL, which takes some seconds the first time.

        Raises LoweringError if the network cannot run on the machine, DeviceError if the RTL
        cannot be that machine or cannot be built.
        """
        self.architecture = architecture
        design = engine_design(architecture)
        self.network = read_network(trace)
        self.plan = make_plan(self.network, architecture)
        check_order(self.plan)
        self._layers = {plan.layer.name: plan.layer for plan in self.plan.layers}
        build(design)
        self.begin_image()

    @property
    def name(self) -> str:
        """The machine's name."""
        return f"rtl {self.architecture.name}"

    def begin_image(self) -> None:
        """Start an image of which nothing is known."""
        self.image = blank_image(self.network)
        self._known: set[tuple[str, int]] = set()

    def estimate(self, work: Work) -> Cost:
        """Return cycles and busy cycles of the piece alone; DeviceError if the RTL has no such."""
        take_in(self.name, self._layers, self.image, work)
        for name, array in (*work.tensors.items(), *work.active.items()):
            first = work.timestep if len(self._stored(name)) > 1 else 0
            self._known |= {(name, step) for step in range(first, first + len(array))}
        arrays = (*work.active.values(), *work.tensors.values())
        length = max((len(array) for array in arrays), default=1)
        timesteps = range(work.timestep, work.timestep + length)
        for name in work.layers:
            self._check_known(name, timesteps)
        jobs = layer_jobs(self.plan, self.image, work.layers, timesteps)
        if not jobs:
            # No token is alive: the issuer of layers issues none.
            return Cost(0, self.architecture.clock_mhz, None, {})
        run = run_jobs(self.architecture, jobs)
        return Cost(run.cycles, self.architecture.clock_mhz, None, run.busy_cycles)

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def _stored(self, name: str) -> Sized:
        return self.image.tensors[name] if name in self.image.tensors else self.image.active[name]

    def _check_known(self, name: str, timesteps: range) -> None:
        """Whether all that a layer reads has come, with this piece of work or one before."""
        layer = self._layers[name]
        needed = [layer.operand, layer.second, layer.mask]
        if layer.kind == "attention_context":
            made_by = [self.plan.layers[producer].layer for producer in layer.producers]
            needed += [
                tensor
                for maker in made_by
                if maker.kind == "attention_scores"
                for tensor in (maker.operand, maker.second)
            ]
        for tensor in needed:
            for step in timesteps if tensor is not None else ():
                at = step if len(self._stored(tensor or "")) > 1 else 0
                if (tensor, at) not in self._known:
                    raise DeviceError(
                        self.name, f"layer {name}", f"nothing given for {tensor} at timestep {step}"
                    )


def rtl_device(
    trace: Trace | Outline, architecture: str | Path, overrides: Sequence[str] = ()
) -> RtlDevice:
    """Return the device of an architecture file, some of its values replaced (`path=value`).

    Raises ArchitectureError, and what RtlDevice raises.
    """
    return RtlDevice(trace, load_architecture(architecture, overrides))
