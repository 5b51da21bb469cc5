"""Which comparisons fire, and which calls make up their neurons. A heuristic, not proven.

A comparison fires if sums reach it; one on values that are nothing but comparisons does not. Its
neuron is the module that computed the potential, where that module has no weighted sum of its own,
and else what lies on a loop through the comparison over time, or, without one, what leads to it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from models.capturing.flow import Node, TapeFlow, results_of
from models.capturing.rules import COMPARISONS, FIRING

_DISCRETE = frozenset("eq ne logical_and logical_or logical_not logical_xor bitwise_and".split())  # noqa: SIM905
_KEEPS = frozenset("mul rsub where minimum maximum clamp relu bitwise_or detach".split())  # noqa: SIM905
_FREE = ("move", "factory")


@dataclass(eq=False)
class NeuronGroup:
    """Describe a group of neurons: the nodes of its update and, first, the one that fires.

    `operations`: how often each of them is done for one neuron and timestep. `states`: values
    that a neuron keeps from one timestep to the next. `parameters`: tau and the like, if probing
    with numbers finds them.
    """

    name: str
    fires: Node
    nodes: list[Node] = field(default_factory=list)
    operations: dict[str, int] = field(default_factory=dict)
    states: int = 1
    parameters: dict[str, float] = field(default_factory=dict)


def find_neurons(flow: TapeFlow) -> list[NeuronGroup]:
    """Return the neurons of a flow, in the order in which they fire."""
    discrete = _discrete(flow)
    with_layers = {node.module for node in flow.nodes if node.layer is not None}
    readers: dict[Node, list[Node]] = {node: [] for node in flow.nodes}
    for node in flow.nodes:
        for source in node.sources:
            readers[source].append(node)
    deciding = _deciding(flow, discrete) | _steering(flow, readers)
    taken: dict[Node, NeuronGroup] = {}
    found: list[NeuronGroup] = []
    for node in flow.nodes:
        fires = node.name in FIRING and node.group == "pointwise"
        if not fires or node in taken or node in deciding:
            continue
        sources = [source for source in node.sources if source not in discrete]
        # A rounding, too, fires: it makes an integer of a potential, as multi-valued spikes are.
        rounds = any(source.group == "pointwise" for source in sources)
        if not sources or (node.name not in COMPARISONS and not rounds):
            continue
        computing = _computing(sources)
        module = computing.module
        known = _known(sources, taken, module)
        if known is not None:
            known.nodes.append(node)
            known.fires, taken[node] = node, known
            continue
        neuron = NeuronGroup(module or node.module or node.kind, node)
        # Whether the module computes nothing but neurons.
        if module and not any(f"{each}.".startswith(f"{module}.") for each in with_layers):
            region = _inside(flow, computing)
        else:
            region = _loop(node, readers) or _leading(node)
            neuron.name = f"{module}.neuron" if module else "neuron"
        neuron.nodes = [each for each in region if each not in taken]
        if node not in neuron.nodes:
            neuron.nodes.append(node)
        for each in neuron.nodes:
            taken[each] = neuron
        found.append(neuron)
    for neuron in found:
        _count(neuron)
    return found


def _deciding(flow: TapeFlow, discrete: set[Node]) -> set[Node]:
    """The comparisons that make a declared mask: an accumulator with a threshold, but no neuron."""
    found: set[Node] = set()
    waiting = list(flow.marked)
    while waiting:
        node = waiting.pop()
        if node not in found and node in discrete:
            found.add(node)
            waiting += node.sources
    return found


def _steering(flow: TapeFlow, readers: dict[Node, list[Node]]) -> set[Node]:
    """The comparisons that nothing computes with: Python looks at them, as to leave a loop."""
    found: set[Node] = set()
    for node in reversed(flow.nodes):
        returned = any(s.storage in flow.returned for c in node.calls for s in results_of(c))
        decides = node.name in COMPARISONS or node.name in _DISCRETE or node.group == "reduce"
        if decides and not returned and all(each in found for each in readers[node]):
            found.add(node)
    return {node for node in found if node.name in COMPARISONS}


def _known(sources: list[Node], taken: dict[Node, NeuronGroup], module: str) -> NeuronGroup | None:
    """The neuron whose potential is compared once more, as for a reset and then for the spike."""
    waiting, seen = list(sources), set(sources)
    while waiting:
        node = waiting.pop()
        neuron = taken.get(node)
        if neuron is not None:
            return neuron if neuron.fires.module == node.module == module else None
        if node.group == "pointwise" and node.module == module and len(node.sources) == 1:
            waiting += [each for each in node.sources if each not in seen]
            seen.update(node.sources)
    return None


def _discrete(flow: TapeFlow) -> set[Node]:
    """Nodes whose values are made of comparisons only; a sum of spikes is a potential again."""
    found: set[Node] = set()
    for node in flow.nodes:
        if node.name in COMPARISONS or node.name in _DISCRETE:
            found.add(node)
        elif (node.group in _FREE or node.name in _KEEPS) and node.sources:
            known = [source for source in node.sources if source.index < node.index]
            if known and all(source in found for source in known):
                found.add(node)
    return found


def _computing(sources: list[Node]) -> Node:
    """The node that computed the potential, through copies.

    A surrogate function may be one module that all neurons share, so its name says nothing.
    """
    node = sources[0]
    while node.group in _FREE and node.sources:
        node = node.sources[0]
    return node if node.layer is None and node.group == "pointwise" else sources[0]


def _inside(flow: TapeFlow, computing: Node) -> list[Node]:
    """The nodes of a module that computes neurons only, of the same use of it."""
    module = computing.module
    return [
        node
        for node in flow.nodes
        if f"{node.module}.".startswith(f"{module}.")
        and node.slot == computing.slot
        and node.group not in _FREE
        and node.layer is None
    ]


def _loop(node: Node, readers: dict[Node, list[Node]]) -> list[Node]:
    """The nodes on a loop through a comparison that passes no weighted sum."""
    after = _reach(node, lambda each: readers[each])
    before = _reach(node, lambda each: each.sources)
    loop = (after & before) - {node}
    on_loop = [each for each in loop if each.layer is None and each.group == "pointwise"]
    return sorted([*on_loop, node], key=lambda each: each.index) if on_loop else []


def _reach(start: Node, following) -> set[Node]:
    seen: set[Node] = set()
    waiting = [start]
    while waiting:
        for each in following(waiting.pop()):
            if each not in seen and each.layer is None:
                seen.add(each)
                waiting.append(each)
    return seen


def _leading(node: Node) -> list[Node]:
    """What leads to a comparison in its own module, back to a sum, a norm or a pool."""
    found, waiting = {node}, [node]
    while waiting:
        for source in waiting.pop().sources:
            own = source.module == node.module and source.group == "pointwise"
            if own and source not in found and source.name not in FIRING:
                found.add(source)
                waiting.append(source)
    return sorted(found, key=lambda each: each.index)


def _count(neuron: NeuronGroup) -> None:
    """Count operations and states of one neuron and timestep."""
    results = max(neuron.fires.elements, 1)
    counts: Counter[str] = Counter()
    own = set(neuron.nodes)
    for node in neuron.nodes:
        counts[node.name] += max(1, round(node.elements / results))
    neuron.operations = dict(sorted(counts.items()))
    read = [(node, source) for node in neuron.nodes for source in node.sources if source in own]
    carried = {source for node, source in read if source.index >= node.index}
    kept = {each for each in carried if not set(each.sources) <= carried}
    neuron.states = max(1, len(kept))
