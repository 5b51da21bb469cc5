"""What the parts of a program share while it is written: places in memories, and instructions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from simulator.errors import DeviceError
from simulator.hil.network.contents import Contents
from simulator.hil.network.fixed import FixedNetwork
from simulator.hil.network.instructions import FIELDS

MAP, TOKENS, STREAM, MEMBRANES, CHANNELS = range(5)
"""Memories that a program has places in."""
DEPTHS = ("MAP_DEPTH", "TOKEN_DEPTH", "STREAM_DEPTH", "MEMBRANE_DEPTH", "ATTENTION_CHANNELS")


class WrittenLayer(NamedTuple):
    """Name what an instruction makes: tensors of the trace, empty where nothing has one."""

    layer: str
    tensor: str = ""
    stream: str = ""


class RowSpan(NamedTuple):
    """Say where rows of tokens lie: first entry of their words and of their residual stream."""

    words: int
    stream: int


class Writer:
    """Write a program. `parameters`: of the RTL."""

    def __init__(self, network: FixedNetwork, parameters: Mapping[str, int]) -> None:
        self.network = network
        self.parameters = parameters
        self.columns = parameters["COLUMNS"]
        self.word = parameters["WORD_INPUTS"]
        self.contents = Contents(self.columns, self.word, parameters["PORT_INPUTS"])
        self.used = dict.fromkeys(range(len(DEPTHS)), 0)
        self.program: list[dict[str, int]] = []
        self.made: list[WrittenLayer] = []

    @property
    def tiles(self) -> int:
        """Column tiles of a token's channels."""
        return -(-self.network.dim // self.columns)

    @property
    def slices(self) -> int:
        """Words of a token's channels."""
        return -(-self.network.dim // self.word)

    @property
    def key_channels(self) -> int:
        """Channels of a beat of keys, a bit each."""
        return self.parameters["PORT_INPUTS"] * self.parameters["WEIGHT_BITS"]

    @property
    def score_room(self) -> int:
        """Entries of a head's scores."""
        tiles = self.parameters["TOKENS"] // self.columns
        return tiles * tiles * (self.columns // self.parameters["PORT_INPUTS"])

    def limit(self, what: str, count: int, most: int) -> None:
        """Raise DeviceError for more of something than the engine holds."""
        if count > most:
            raise DeviceError(
                "network engine", self.network.name, f"{what} {count}", f"must be at most {most}"
            )

    def room(self, memory: int, entries: int) -> int:
        """Return the first of some more entries of a memory."""
        base = self.used[memory]
        self.used[memory] += entries
        self.limit(DEPTHS[memory], self.used[memory], self.parameters[DEPTHS[memory]])
        return base

    def add(self, made: WrittenLayer, **fields: int) -> None:
        """Append an instruction; fields that are not given are 0."""
        for name, value in fields.items():
            if not 0 <= value < 1 << FIELDS[name]:
                raise DeviceError(
                    f"network engine: {self.network.name}: {made.layer}: {name} {value}: "
                    f"must fit {FIELDS[name]} bits"
                )
        self.program.append(dict.fromkeys(FIELDS, 0) | fields)
        self.made.append(made)
