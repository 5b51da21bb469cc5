"""Where everything is: which memory holds each tensor, membrane and weight, decided by capacity.

A core's own buffers come first, then the global buffer, then DRAM.

- A tensor stays where there is room for it from its making to its last use, in order of execution.
  A timestep-serial machine holds one timestep of a block's tensors. Several cores exchange tensors
  through the global buffer, so none but those that only their maker reads stay in a core.
- Membranes stay in order of the layers, as long as there is room.
- Weights that are used at every timestep: the global buffer keeps those of one layer after the
  other, in order, in what tensors and membranes leave free. Pinned ones need no place there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import NamedTuple

from simulator.architecture import Architecture
from simulator.components.dataflows.base import SHARED
from simulator.components.pe_arrays.base import PEArray
from simulator.lowering.tables import FROM_DRAM, FROM_GLOBAL, ON_CHIP
from simulator.operations import Layer, Network

CORE, GLOBAL, OUTSIDE = "core", "global", "dram"
"""In a core's own buffers, in the global buffer, in DRAM."""


class Room(NamedTuple):
    """Count bits that a plan may use: of each core's two buffers, and of the global one."""

    spikes: int
    membranes: int
    shared: int

    @classmethod
    def of(cls, architecture: Architecture) -> Room:
        """Return all that a machine has."""
        buffers, shared = architecture.core.buffers, architecture.memories.global_buffer
        return cls(
            buffers.spikes.capacity_bits,
            buffers.membranes.capacity_bits,
            shared.capacity_bits if shared else 0,
        )


def made_by(layer: Layer) -> list[str]:
    """Return what a layer makes: its own result, and those of its element-wise operations."""
    return [layer.output, *(op.output for op in layer.vector_ops)]


class Places:
    """Find the place of each tensor by name, and of each layer's membranes by its index.

    `in_time`: layers that run timestep by timestep; `global_free`: bits of the global buffer that
    tensors and membranes leave free; `taken`: of `room`, the most that was used at once.
    """

    def __init__(
        self,
        network: Network,
        architecture: Architecture,
        in_time: Set[int],
        homes: Sequence[int],
        room: Room,
    ) -> None:
        self.network = network
        self.architecture = architecture
        self.in_time = in_time
        self.homes = homes
        self.cores = len(architecture.cores)
        self.images = architecture.dataflow.images_together
        self.global_free = room.shared
        self.makers = {name: layer for layer in network.layers for name in made_by(layer)}
        self.tensors = self._tensors(room.spikes)
        left = self.global_free
        self.membranes = self._membranes(room.membranes)
        self.taken = Room(
            room.spikes - self._spikes_left,
            room.membranes - self._membranes_left,
            room.shared - min(left, self.global_free),
        )

    def tensor_bits(self, name: str) -> int:
        """Return the bits of a tensor that exist at once, of all images that run together."""
        tensor, maker = self.network.held[name], self.makers.get(name)
        steps = tensor.timesteps * self.images
        if maker is not None and maker.index in self.in_time:
            in_flight = self.architecture.dataflow.timesteps_in_flight
            steps = min(tensor.timesteps, in_flight) * self.images
        return steps * tensor.planes * tensor.rows * tensor.channels

    def outside(self, names: Iterable[str]) -> str:
        """Return the one place for those of a layer's results that are not in its core."""
        places = {self.tensors[name] for name in names} - {CORE}
        return OUTSIDE if OUTSIDE in places else GLOBAL

    def _tensors(self, core_bits: int) -> dict[str, str]:
        """First come, first served, in order of execution; the image is in DRAM anyway."""
        places = {name: OUTSIDE for name in self.network.held if name not in self.makers}
        free = {GLOBAL: self.global_free} | self._pools(core_bits)
        least_free = dict(free)
        held: dict[str, tuple[str, int]] = {}
        for layer in self.network.layers:
            for name in (name for name in made_by(layer) if name in self.network.held):
                bits, own = self.tensor_bits(name), f"{CORE} {self.homes[layer.index]}"
                allowed = (own, GLOBAL) if self.cores == 1 or self._stays(name) else (GLOBAL,)
                pool = next((pool for pool in allowed if bits <= free[pool]), OUTSIDE)
                places[name] = CORE if pool == own else pool
                if pool != OUTSIDE:
                    held[name] = pool, self._last_use(name)
                    free[pool] -= bits
                    least_free[pool] = min(least_free[pool], free[pool])
            for name in [name for name, (_, last) in held.items() if last <= layer.index]:
                pool, _ = held.pop(name)
                free[pool] += self.tensor_bits(name)
        self.global_free = least_free.pop(GLOBAL)
        self._spikes_left = self._left(least_free)
        return places

    def _left(self, free: dict[str, int]) -> int:
        """Return what is left of each core's buffer, of the fullest."""
        return min(free.values()) // (self.cores if SHARED in self.homes else 1)

    def _array(self, layer: Layer) -> PEArray:
        core = self.architecture.core
        return core.arrays[core.array_for(layer.product_class)]

    def _pools(self, core_bits: int) -> dict[str, int]:
        """What cores hold: one pool where they share all layers, else one a core."""
        if SHARED in self.homes:
            return {f"{CORE} {SHARED}": core_bits * self.cores}
        return {f"{CORE} {core}": core_bits for core in range(self.cores)}

    def _stays(self, name: str) -> bool:
        """Whether a tensor is read by the core that makes it, or its part: heads, cut as cores."""
        users = [self.network.layers[user] for user in self.network.consumers.get(name, ())]
        home = self.homes[self.makers[name].index]
        if home != SHARED:
            return all(self.homes[user.index] == home for user in users)
        if self.architecture.split != "heads":
            return False
        if not users or not all(user.is_attention for user in users):
            return False
        heads, channels = users[0].groups, self.network.held[name].channels
        columns = self._array(self.makers[name]).tile_columns
        tiles = -(-channels // columns)
        return all(
            core * tiles // self.cores * columns == core * heads // self.cores * channels // heads
            for core in range(self.cores)
        )

    def _last_use(self, name: str) -> int:
        users, maker = self.network.consumers.get(name, ()), self.makers.get(name)
        once = maker is not None and maker.index not in self.in_time
        if once and any(user in self.in_time for user in users):
            # Read again at every timestep, so it stays until the last of them has ended.
            return len(self.network.layers)
        return max(users, default=-1)

    def _membranes(self, core_bits: int) -> dict[int, str]:
        """Of the layers whose neurons wait for their next timestep; cores hold equal shares."""
        places: dict[int, str] = {}
        free = self._pools(core_bits)
        width = self.architecture.core.vector_unit.membrane_bits
        for layer in self.network.layers:
            neurons = sum(op.rows * op.channels for op in layer.vector_ops if op.kind == "lif")
            bits = width * neurons * self.images
            if layer.index not in self.in_time or bits == 0:
                continue
            own = f"{CORE} {self.homes[layer.index]}"
            if bits <= free[own]:
                places[layer.index] = CORE
                free[own] -= 0 if self.architecture.dataflow.timesteps_in_turn else bits
            elif bits <= self.global_free:
                places[layer.index] = GLOBAL
                self.global_free -= bits
            else:
                places[layer.index] = OUTSIDE
        self._membranes_left = self._left(free)
        return places

    def sources(self, pinned: Sequence[int]) -> tuple[int, ...]:
        """Return where the weights of each layer come from; `pinned`: chunks that stay in cores."""
        free = self.global_free
        found = []
        for layer, own in zip(self.network.layers, pinned, strict=True):
            array = self._array(layer)
            bits = array.stored_weight_bits(layer.inputs, layer.outputs, layer.weight_bits)
            bits *= layer.groups
            shared = self.fetched_again(layer) and not own and bits <= free
            free -= bits * shared
            source = FROM_GLOBAL if shared else FROM_DRAM
            inside = array.holds_weights or array.streams_weights
            found.append(source if layer.weight_bits and not inside else ON_CHIP)
        return tuple(found)

    def fetched_again(self, layer: Layer) -> bool:
        """Return whether a layer's weights are used at several timesteps, or by several cores."""
        array = self._array(layer)
        if layer.weight_bits == 0 or layer.kind == "head":
            return False
        if array.holds_weights or array.streams_weights:
            return False
        by_cores = self.cores > 1 and self.homes[layer.index] == SHARED
        return layer.index in self.in_time or (by_cores and self.architecture.split == "tokens")
