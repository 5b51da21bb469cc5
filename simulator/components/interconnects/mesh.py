"""A mesh: routers in a grid, with a link to each neighbour and one back."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from simulator.components.interconnects.base import End, Interconnect

Place = Annotated[tuple[int, int], Field(strict=False)]

DIRECTIONS = {"east": (1, 0), "west": (-1, 0), "south": (0, 1), "north": (0, -1)}


class Mesh(Interconnect, kind="mesh"):
    """A 2-D mesh with XY routing: first along the row, then along the column, one way a link.

    Places are [x, y] from the north-west corner. A core, the global buffer or DRAM at the place of
    another shares its router, and needs no link to reach it. Routers have as many buffers as a
    transfer needs, so that it holds its links for its flits alone.
    """

    example: ClassVar[str] = (
        "kind: mesh\ncolumns: 2\nrows: 2\nwidth_bits: 128\nhop_cycles: 2\nlink_um: 1000\n"
        "dram: [0, 0]\nglobal_buffer: [1, 0]\n"
    )

    columns: int = Field(gt=0, le=64, description="routers in a row")
    rows: int = Field(gt=0, le=64, description="routers in a column")
    dram: Place = Field(description="router of the memory controller")
    global_buffer: Place = Field(default=(0, 0), description="router of the global buffer")
    cores: tuple[Place, ...] = Field(
        default=(), strict=False, description="routers of the cores; none: row by row, from [0, 0]"
    )

    def links(self, cores: int) -> tuple[str, ...]:
        return tuple(
            f"{x}.{y}.{name}"
            for y in range(self.rows)
            for x in range(self.columns)
            for name, (right, down) in DIRECTIONS.items()
            if 0 <= x + right < self.columns and 0 <= y + down < self.rows
        )

    def route(self, source: End, target: End) -> tuple[str, ...]:
        (x, y), (last_x, last_y) = self._place(source), self._place(target)
        links = []
        while x != last_x:
            links.append(f"{x}.{y}.{'east' if x < last_x else 'west'}")
            x += 1 if x < last_x else -1
        while y != last_y:
            links.append(f"{x}.{y}.{'south' if y < last_y else 'north'}")
            y += 1 if y < last_y else -1
        return tuple(links)

    def refusal(self, cores: int, has_global_buffer: bool) -> str:
        size = f"mesh of {self.columns} x {self.rows}"
        crowded = self.crowding(cores, self.cores, self.columns * self.rows, size)
        if crowded:
            return crowded
        own = [("dram", self.dram), ("global_buffer", self.global_buffer)]
        for name, (x, y) in [*own, *(("cores", place) for place in self.cores)]:
            if not (0 <= x < self.columns and 0 <= y < self.rows):
                return f"{name}: [{x}, {y}]: must be a router of {self.columns} x {self.rows}"
        return ""

    def _place(self, end: End) -> Place:
        if end == "dram":
            return self.dram
        if end == "global_buffer":
            return self.global_buffer
        return self.cores[end] if self.cores else (end % self.columns, end // self.columns)
