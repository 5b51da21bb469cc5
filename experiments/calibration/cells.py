"""A library of standard cells in Liberty form: what areas, loads and energies need of it.

Understood is what combinational cells and plain flip-flops say. The reader is our own: the parsers
on PyPI stand under another kind of licence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simulator.errors import DeviceError

OSU018 = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
"""Where Debian's qflow-tech-osu018 puts a 180 nm library of Oklahoma State University."""

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[A-Za-z0-9_.+-]+|[{}():;,]')
_NOISE = re.compile(r"/\*.*?\*/|\\\n", re.DOTALL)
_SLEW, _LOAD = 1, 1
"""Which entry of the energy tables is taken: the second input slew and the second output load."""


class LibertyCell(NamedTuple):
    """A cell: `area_um2`; `inputs`: in the order of the truth table's digits, the first lowest.

    `loads_pf` by input; `output`: its pin; `truth`: bit i is the output for inputs i, of a
    flip-flop None (then the inputs are D and the clock); `internal_pj`: of one toggle of the
    output; `input_pj`: of one toggle, by input.
    """

    area_um2: float
    inputs: tuple[str, ...]
    loads_pf: dict[str, float]
    output: str
    truth: int | None
    internal_pj: float
    input_pj: dict[str, float]


class Library(NamedTuple):
    """Cells by name, and the voltage that they are characterised at."""

    name: str
    voltage_v: float
    cells: dict[str, LibertyCell]


class _Group(NamedTuple):
    kind: str
    name: str
    values: dict[str, str]
    groups: list[_Group]

    def all(self, kind: str) -> list[_Group]:
        return [group for group in self.groups if group.kind == kind]


def read_library(path: Path) -> Library:
    """Read a Liberty file. Raises DeviceError if it is not there or not understood."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise DeviceError("cells", path, error.strerror) from error
    tokens = iter(_TOKEN.findall(_NOISE.sub(" ", text)))
    try:
        file = _Group("", "", {}, [])
        _entry(file, next(tokens), tokens)
        library = file.groups[0]
        cells = {group.name: _cell(group) for group in library.all("cell") if _is_known(group)}
        return Library(library.name, float(library.values["nom_voltage"]), cells)
    except (KeyError, StopIteration, ValueError, IndexError) as error:
        what = str(error) or "it ends in the middle"
        raise DeviceError(f"cells: {path}: not understood as Liberty: {what}") from error


def _group(kind: str, name: str, tokens: Iterator[str]) -> _Group:
    """The entries of a group, whose body has just begun."""
    group = _Group(kind, name, {}, [])
    for token in tokens:
        if token == "}":
            return group
        if token != ";":
            _entry(group, token, tokens)
    raise ValueError(f"{kind} {name} does not end")


def _entry(group: _Group, name: str, tokens: Iterator[str]) -> None:
    """`name : value ;`, `name (values) ;` or `name (arguments) { entries }`."""
    token = next(tokens)
    if token == ":":
        group.values[name] = " ".join(_until(";", tokens)).strip('"')
        return
    if token != "(":
        raise ValueError(f"{name} {token}")
    arguments = list(_until(")", tokens))
    if next(tokens) == "{":
        group.groups.append(_group(name, " ".join(arguments), tokens))
    else:
        group.values[name] = " ".join(argument.strip('"') for argument in arguments)


def _until(end: str, tokens: Iterator[str]) -> Iterator[str]:
    for token in tokens:
        if token == end:
            return
        if token != ",":
            yield token


def _is_known(cell: _Group) -> bool:
    """One output with a function of the inputs, or a flip-flop of clock and D alone."""
    outputs = [pin for pin in cell.all("pin") if pin.values["direction"] == "output"]
    if len(outputs) != 1 or "function" not in outputs[0].values or cell.all("latch"):
        return False
    states = cell.all("ff")
    return not states or not {"clear", "preset"} & set(states[0].values)


def _cell(cell: _Group) -> LibertyCell:
    pins = {pin.name: pin for pin in cell.all("pin")}
    inputs = tuple(name for name, pin in pins.items() if pin.values["direction"] == "input")
    output = next(name for name, pin in pins.items() if pin.values["direction"] == "output")
    states = cell.all("ff")
    function = pins[output].values["function"]
    return LibertyCell(
        area_um2=float(cell.values["area"]),
        inputs=inputs,
        loads_pf={name: float(pins[name].values["capacitance"]) for name in inputs},
        output=output,
        truth=None if states else _truth(function, inputs),
        internal_pj=_energy(pins[output]),
        input_pj={name: _energy(pins[name]) for name in inputs},
    )


def _energy(pin: _Group) -> float:
    """pJ inside a cell for a toggle of a pin: the mean of rise and fall over what causes it."""
    found = [
        _table(table)
        for power in pin.all("internal_power")
        for table in power.all("rise_power") + power.all("fall_power")
    ]
    return float(np.mean(found)) if found else 0.0


def _table(table: _Group) -> float:
    slews = len(table.values["index_2" if "index_2" in table.values else "index_1"].split())
    values = [float(value) for value in table.values["values"].replace(",", " ").split()]
    return values[(_LOAD * slews if "index_2" in table.values else 0) + _SLEW]


def _truth(function: str, inputs: tuple[str, ...]) -> int:
    """The outputs for all inputs as bits of a number."""
    truth = 0
    for index, digits in enumerate(product((False, True), repeat=len(inputs))):
        known = dict(zip(inputs, reversed(digits), strict=True))
        truth |= _Formula(function, known).value() << index
    return truth


class _Formula:
    """Evaluates `!`, juxtaposition or `*` for and, `+` for or, `^`, and parentheses."""

    def __init__(self, text: str, known: dict[str, bool]) -> None:
        self.tokens = re.findall(r"[A-Za-z0-9_]+|[!+*^()]", text)
        self.known = known

    def value(self) -> bool:
        result = self._or()
        if self.tokens:
            raise ValueError(f"left over: {' '.join(self.tokens)}")
        return result

    def _or(self) -> bool:
        result = self._exclusive()
        while self._took("+"):
            result = self._exclusive() or result
        return result

    def _exclusive(self) -> bool:
        result = self._and()
        while self._took("^"):
            result ^= self._and()
        return result

    def _and(self) -> bool:
        result = self._one()
        while self._took("*") or (self.tokens and self.tokens[0] not in "+^)"):
            result = self._one() and result
        return result

    def _one(self) -> bool:
        if self._took("!"):
            return not self._one()
        if self._took("("):
            result = self._or()
            if not self._took(")"):
                raise ValueError("a parenthesis is missing")
            return result
        return self.known[self.tokens.pop(0)]

    def _took(self, token: str) -> bool:
        if self.tokens and self.tokens[0] == token:
            self.tokens.pop(0)
            return True
        return False
