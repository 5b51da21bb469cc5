"""Which call made what another reads, and calls that a loop over time repeats as one node."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from models.capturing.layers import CapturedLayer
from models.capturing.marks import Marks
from models.capturing.tape import BEHIND, INPUT, Call, Spec, Tape, specs_in


@dataclass(eq=False)
class Node:
    """Group the calls of one place in the network, one or several for each of its timesteps.

    `group`: as in rules.py; `layer`: of weighted sums. `sources`: the nodes that it reads, in the
    order of its arguments.
    """

    index: int
    name: str
    group: str
    module: str
    kind: str
    line: str
    slot: int
    calls: list[Call] = field(default_factory=list)
    sources: list[Node] = field(default_factory=list)
    layer: CapturedLayer | None = None
    steps: set[int] = field(default_factory=set)

    @property
    def elements(self) -> int:
        """Count the results of all its calls."""
        return sum(spec.elements for call in self.calls for spec in results_of(call)[:1])


def results_of(call: Call) -> list[Spec]:
    """Return what a call made or changed, its main result first."""
    return [*call.written, *call.outputs]


class Writers:
    """Keep the calls that wrote each byte of the storages last."""

    def __init__(self) -> None:
        self._writers: dict[int, list[tuple[int, int, Call]]] = defaultdict(list)

    def of(self, spec: Spec) -> list[Call]:
        """Return the calls that made a tensor, in order."""
        low, high = spec.span()
        found = [
            call
            for first, last, call in self._writers[spec.storage]
            if first <= high and last >= low
        ]
        return list({call.index: call for call in found}.values())

    def write(self, spec: Spec, call: Call) -> None:
        """Note that `call` made a tensor."""
        low, high = spec.span()
        dense = spec.elements * spec.dtype.itemsize == high - low + 1
        kept = self._writers[spec.storage]
        if dense:
            kept = [each for each in kept if each[0] < low or each[1] > high]
        kept.append((low, high, call))
        self._writers[spec.storage] = kept


class TapeFlow:
    """Hold the nodes of a tape's calls on data behind the first weighted sum, in order.

    `made_by`: by (call, position of a factor), the nodes that made a weighted sum's operand.
    `marked`: the nodes that made the masks which the network declares. `reads`: by call, its
    tensors and the calls that made each. `returned`: the storages of what the network returns.
    """

    def __init__(
        self,
        tape: Tape,
        layers: dict[int, CapturedLayer],
        times: dict[int, tuple[int, int]],
        marks: Marks,
    ) -> None:
        self.nodes: list[Node] = []
        self.made_by: dict[tuple[int, int], list[Node]] = {}
        self.of_call: dict[int, Node] = {}
        self.reads: dict[int, list[tuple[Spec, list[int]]]] = {}
        self.times = times
        # With one timestep, a call at the same place is another layer's.
        self._untimed = all(last < 1 for _, last in times.values())
        self.marked: list[Node] = []
        self.returned = {spec.storage for spec in tape.result}
        noted: dict[int, list[Spec]] = defaultdict(list)
        for mark in marks:
            noted[mark.call].append(mark.spec)
        self._slots: dict[tuple[object, ...], list[Node]] = defaultdict(list)
        writers = Writers()
        for call in tape.calls:
            for spec in noted[call.index]:
                made = [self.of_call.get(each.index) for each in writers.of(spec)]
                self.marked += [node for node in made if node is not None]
            data = call.flags & INPUT
            layer = layers.get(call.index)
            if data or layer is not None:
                self._add(call, writers, layer, times.get(call.index, (-1, -1)))
            if call.rule.group != "peek":
                for spec in results_of(call):
                    writers.write(spec, call)
        for node in self.nodes:
            node.sources = list({id(source): source for source in node.sources}.values())

    def _add(
        self, call: Call, writers: Writers, layer: CapturedLayer | None, time: tuple[int, int]
    ) -> None:
        sources: list[Node] = []
        reads: list[tuple[Spec, list[int]]] = []
        for at, value in enumerate((*call.args, *call.kwargs.values())):
            for spec in specs_in((value,)):
                if call.rule.name == "copy_" and at == 0:
                    continue
                makers = [each.index for each in writers.of(spec) if each.index in self.of_call]
                reads.append((spec, makers))
                nodes = [self.of_call[index] for index in makers]
                sources += nodes
                if layer is not None:
                    self.made_by[call.index, at] = nodes
        if layer is None and not call.flags & BEHIND:
            return
        node = self._node(call, layer, time)
        node.calls.append(call)
        node.sources += sources
        self.of_call[call.index] = node
        self.reads[call.index] = reads

    def _node(self, call: Call, layer: CapturedLayer | None, time: tuple[int, int]) -> Node:
        """The node of a call: of the same place, for timesteps that it does not have yet."""
        place = call.place
        first, last = (0, 0) if self._untimed else time
        steps = set(range(first, last + 1))
        key: tuple[object, ...] = (place.module, place.site, call.rule.name)
        if layer is not None:
            key = ("layer", layer.index)
        known = self._slots[key]
        for node in known:
            if layer is not None or not node.steps & steps:
                node.steps |= steps
                return node
        node = Node(
            len(self.nodes),
            call.rule.name,
            call.rule.group,
            place.module,
            place.kind,
            place.line,
            len(known),
            layer=layer,
            steps=steps,
        )
        known.append(node)
        self.nodes.append(node)
        return node
