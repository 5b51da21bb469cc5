"""What has been listed of a network so far: values by name, and what makes them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from models.capturing.entries import clean, entry
from models.capturing.flow import Node, TapeFlow
from models.capturing.layers import CapturedLayer, Stored
from models.capturing.neurons import NeuronGroup

_FREE = ("move", "factory", "peek")


@dataclass
class Made:
    """Describe what one operation makes: its name, elements a timestep, how they are laid out."""

    operation: dict[str, Any]
    elements: int
    size: tuple[int, int]
    grid: tuple[int, ...] = ()


@dataclass
class Listing:
    """Hold a network as a trace lists it.

    `folded`: what folds into the weights ahead of it, with its arithmetic; `stored`: the operands
    that the trace holds, named; `names`: by neuron, the listed name.
    """

    operations: list[dict[str, Any]] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    folded: list[str] = field(default_factory=list)
    input_names: list[str] = field(default_factory=list)
    neurons: dict[str, NeuronGroup] = field(default_factory=dict)


class Ledger:
    """Keep the operations listed so far; in the end a value is named by what makes it.

    Until then an operation's inputs are the makers themselves: nodes and neurons.
    """

    def __init__(
        self,
        flow: TapeFlow,
        layers: list[CapturedLayer],
        neurons: list[NeuronGroup],
        timesteps: int,
        kinds: dict[tuple[int, int], str],
    ) -> None:
        self.kinds = kinds
        self.flow, self.layers, self.timesteps = flow, layers, timesteps
        self.neuron_of = {node: neuron for neuron in neurons for node in neuron.nodes}
        self.made: dict[Any, Made] = {}
        self.listing = Listing()
        self._names: Counter[str] = Counter()
        self._folded: set[Node] = set()
        self._stored: dict[Stored, str] = {}

    def _makers(self, nodes: list[Node]) -> list[Any]:
        """The listed operations' nodes behind some nodes, through copies and folded work."""
        found: list[Any] = []
        seen: set[Node] = set()
        waiting = list(reversed(nodes))
        while waiting:
            node = waiting.pop()
            if node in seen:
                continue
            seen.add(node)
            neuron = self.neuron_of.get(node)
            if neuron is not None:
                found.append(neuron)
            elif node.group in _FREE or node in self._folded:
                waiting += reversed(node.sources)
            else:
                found.append(node)
        return list(dict.fromkeys(found))

    def _entry(
        self,
        name: str,
        kind: str,
        makers: list[Any],
        timesteps: int,
        shapes: dict[str, Any],
        parameters: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return an operation on what some makers make, of which one may be still to come."""
        operation = entry(name, kind, makers, timesteps, shapes)
        operation["parameters"] = parameters or {}
        if any(maker not in self.made for maker in makers):
            operation["parameters"]["delayed"] = 1
        return operation

    def _name_inputs(self) -> None:
        """Put names in the makers' place, once all of them are listed."""
        for operation in self.listing.operations:
            for key in ("input", "second_input"):
                operation[key] = self._name_of(operation[key])
            if "more_inputs" in operation:
                operation["more_inputs"] = list(map(self._name_of, operation["more_inputs"]))

    def _name_of(self, maker: Any) -> Any:
        """The output of a maker; a stored tensor's name as it is."""
        if maker is None or isinstance(maker, str):
            return maker
        if maker not in self.made:  # folded since, into what it follows
            maker = self._makers([maker])[0]
        return self.made[maker].operation["output"]

    def _steps(self, node: Node) -> int:
        return self.timesteps if len(node.steps) >= self.timesteps > 1 else 1

    def _size(self, makers: list[Any], elements: int) -> tuple[int, int]:
        """Rows and channels of a result: those of what it is made of, if it has as many."""
        for maker in makers:
            made = self.made.get(maker)
            if made is not None and made.size[0] * made.size[1] == elements:
                return made.size
        return (1, elements)

    def _add(
        self,
        key: Any,
        operation: dict[str, Any],
        elements: int,
        size: tuple[int, int],
        nodes: list[Node],
    ) -> None:
        grid = tuple(operation["shapes"].get("out_grid", ()))
        for maker in () if grid else self._makers([s for node in nodes for s in node.sources]):
            before = self.made.get(maker)
            if before is not None and before.size == size:
                grid = before.grid
        self.made[key] = Made(operation, elements, size, grid)
        self.listing.operations.append(operation)

    def _unique(self, name: str) -> str:
        name = clean(name)
        self._names[name] += 1
        return name if self._names[name] == 1 else self._unique(f"{name}.{self._names[name]}")
