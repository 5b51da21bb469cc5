"""A tape's layers, neurons and the work between them as a trace's operations, in order."""

from __future__ import annotations

import math
from typing import Any

from models.capturing.entries import entry, layer_width, place_of, pool_shapes, weighted_entry
from models.capturing.flow import Node, TapeFlow, results_of
from models.capturing.layers import CapturedLayer, Stored
from models.capturing.ledger import Ledger, Listing, Made
from models.capturing.neurons import NeuronGroup

_AFFINE = frozenset("add sub rsub mul div neg".split())  # noqa: SIM905
_FREE = ("move", "factory", "peek")
_WIDTHS = {"spikes": 0, "integer": 1, "real": 2}


def list_operations(
    flow: TapeFlow,
    layers: list[CapturedLayer],
    neurons: list[NeuronGroup],
    timesteps: int,
    kinds: dict[tuple[int, int], str],
) -> Listing:
    """List everything behind the input, in the order of the first timestep.

    `kinds`: of the operands, by (call, position of the factor).
    """
    return _Lister(flow, layers, neurons, timesteps, kinds).run()


class _Lister(Ledger):
    """Lists node after node."""

    def __init__(self, *known: Any) -> None:
        """`known`: as list_operations takes them."""
        super().__init__(*known)
        self._kept_products = self._product_operands()

    def run(self) -> Listing:
        """List node after node; a neuron where it fires."""
        for node in self.flow.nodes:
            neuron = self.neuron_of.get(node)
            if neuron is not None:
                if neuron.fires is node:
                    self._neuron(neuron)
            elif node.layer is not None:
                self._layer(node)
            elif node.group not in _FREE:
                self._work(node)
        self._name_inputs()
        return self.listing

    # Layers.

    def _product_operands(self) -> set[tuple[int, int]]:
        """Factors that are the result of another product of two operands, and nothing else."""
        found = set()
        for layer in self.layers:
            if len(layer.operands) < 2:
                continue
            for at in layer.operands:
                makers = [n for c in layer.calls for n in self._behind(c.index, at)]
                if makers and all(
                    node.layer is not None and len(node.layer.operands) == 2 for node in makers
                ):
                    found.add((layer.index, at))
        return found

    def _behind(self, call: int, at: int) -> list[Node]:
        """The first nodes behind an operand that are no copies and no scaling."""
        found, waiting = [], list(self.flow.made_by.get((call, at), []))
        while waiting:
            node = waiting.pop()
            scales = node.name in ("mul", "div") and len(node.sources) == 1
            if node.layer is None and (node.group in _FREE or scales):
                waiting += node.sources
            else:
                found.append(node)
        return found

    def _layer(self, node: Node) -> None:
        layer = node.layer
        assert layer is not None
        if node in self.made or node in self._folded:
            return
        if not layer.operands:  # zeros of the run's own at every timestep, which nothing computes
            self._folded.add(node)
            self.listing.folded.append(f"{place_of(node)}: {node.name} of zeros")
            return
        product = layer.product
        name = self._unique(layer.name)
        if len(layer.operands) == 2:
            operation = self._product_of_two(layer, name)
        else:
            stored = next(iter(layer.operands.values()))
            self._store(layer, stored)
            operation = weighted_entry(layer, name, self._stored[stored])
        elements = product.rows * product.outputs * product.groups
        size = (product.rows, product.outputs * product.groups)
        if product.window is not None:
            rows = math.prod(product.window.out_grid)
            size = (rows, elements // rows if not product.window.transposed else layer_width(layer))
            elements = size[0] * size[1]
        self._add(node, operation, elements, size, [node])

    def _product_of_two(self, layer: CapturedLayer, name: str) -> dict[str, Any]:
        """The walked factor is one that is stored; the other takes the weights' place."""
        product = layer.product
        left, right = sorted(layer.operands)
        kept = [at for at in (left, right) if (layer.index, at) not in self._kept_products]
        # The narrower factor is walked, as the skipping of zeros saves most there.
        kept.sort(key=lambda at: (_WIDTHS[self.kinds[layer.calls[-1].index, at]], at))
        walked = kept[0] if kept else left
        other = right if walked == left else left
        rows, outputs = product.rows, product.outputs
        if walked == right:
            rows, outputs = outputs, rows
        by_inputs = layer.by_inputs[walked]
        self._store(layer, layer.operands[walked])
        second = layer.operands[other]
        parameters: dict[str, Any] = {"input_by": "inputs" if by_inputs else "rows"}
        if other in kept:
            self._store(layer, second)
            factor = self._stored[second]
            parameters["second_by"] = "inputs" if layer.by_inputs[other] else "outputs"
        else:
            makers = self._makers(self.flow.made_by.get((layer.calls[0].index, other), []))
            factor = makers[0]
            parameters["second_by"] = "product"
        shapes = {"rows": rows, "inputs": product.inputs, "outputs": outputs}
        shapes["groups"] = product.groups
        factors = [self._stored[layer.operands[walked]], factor]
        operation = entry(name, "product", factors, layer.timesteps, shapes)
        operation["parameters"] = parameters
        return operation

    def _store(self, layer: CapturedLayer, stored: Stored) -> None:
        """Give an operand its place among the stored tensors, as some operation's output."""
        if stored in self._stored:
            return
        calls = [(read.call, read.at) for read in stored.reads]
        nodes = [node for call, at in calls for node in self.flow.made_by.get((call, at), [])]
        makers = self._makers(nodes)
        if not makers:
            name = self._unique("input" if not self.listing.input_names else f"{layer.name}.input")
            self.listing.input_names.append(name)
        else:
            stored.once = False
            made = self.made.get(makers[0])
            alone = len(makers) == 1 and made is not None and self._can_make(made, stored)
            if alone and made is not None:
                name = self._unique(f"{made.operation['name']}.out")
                self._rename(made, name, stored)
            else:
                name = self._unique(f"{layer.name}.input")
                self._rearranged(makers, name, stored, layer)
        self._stored[stored] = stored.name = name
        self.listing.stored.append(stored)

    @staticmethod
    def _can_make(made: Made, stored: Stored) -> bool:
        """Whether an operation's result is a stored tensor as it is, and no other one yet."""
        _, rows, channels = stored.arrangement.shape
        operation = made.operation
        if operation["output"] != operation["name"] or made.elements != rows * channels:
            return False
        if operation["timesteps"] != len(stored.reads):  # as where the last timestep is read alone
            return False
        return made.size == (rows, channels) or operation["kind"] in ("neuron", "elementwise")

    def _rename(self, made: Made, name: str, stored: Stored) -> None:
        """The operation makes the stored tensor, so it has the tensor's rows and channels."""
        made.operation["output"] = name
        if made.size != stored.arrangement.shape[1:]:
            made.grid = ()
        rows, channels = stored.arrangement.shape[1:]
        if "rows" in made.operation["shapes"] and "channels" in made.operation["shapes"]:
            made.operation["shapes"] |= {"rows": rows, "channels": channels}
            made.size = (rows, channels)

    def _rearranged(
        self, makers: list[Any], name: str, stored: Stored, layer: CapturedLayer
    ) -> None:
        """A stored tensor that is cut out of others, joins them, or holds their last timestep."""
        rows, channels = stored.arrangement.shape[1:]
        shapes, own = {"rows": rows, "channels": channels}, self._unique(f"{layer.name}.rearranged")
        operation = self._entry(own, "rearrange", makers, layer.timesteps, shapes)
        operation["output"] = name
        self.listing.operations.append(operation)

    # Neurons and the rest.

    def _neuron(self, neuron: NeuronGroup) -> None:
        own = set(neuron.nodes)
        outside = [s for n in neuron.nodes for s in n.sources if s not in own]
        makers = [m for m in self._makers(outside) if m is not neuron]
        steps = self._steps(neuron.fires)
        elements = max(1, neuron.fires.elements // steps)
        size = self._size(makers, elements)
        name = self._unique(neuron.name)
        shapes = {"rows": size[0], "channels": size[1]}
        parameters = {"states": neuron.states, **neuron.operations, **neuron.parameters}
        operation = self._entry(name, "neuron", makers, steps, shapes, parameters)
        self.listing.neurons[name] = neuron
        self._add(neuron, operation, elements, size, neuron.nodes)

    def _work(self, node: Node) -> None:
        makers = [maker for maker in self._makers(node.sources) if maker is not node]
        if not makers:
            return
        if self._folds(node, makers):
            self._folded.add(node)
            self.listing.folded.append(f"{place_of(node)}: {node.name} x {node.elements}")
            return
        steps = self._steps(node)
        results = max(1, node.elements // steps)
        shapes, kind, counts = self._shapes(node, makers, results, steps)
        name = self._unique(f"{place_of(node)}.{node.name}")
        operation = self._entry(name, kind, makers, steps, shapes, counts)
        size = self._size(makers, results)
        if kind == "pool":
            size = (math.prod(shapes["out_grid"]), shapes["channels"])
        self._add(node, operation, results, size, [node])

    def _shapes(
        self, node: Node, makers: list[Any], results: int, steps: int
    ) -> tuple[dict[str, Any], str, dict[str, Any]]:
        """Shapes, kind and parameters of work that is neither a layer nor a neuron."""
        call = node.calls[0]
        if node.group == "window":
            pooled = pool_shapes(call, results)
            if pooled is not None and self._fits(makers[0], pooled[0]):
                return pooled[0], "pool", {"type": pooled[1]}
            taps = max(1, math.ceil(call.reads[0].elements / results_of(call)[0].elements))
            rows, channels = self._size(makers, results)
            return {"rows": rows, "channels": channels}, "elementwise", {node.name: taps}
        if node.group == "reduce":
            read = sum(each.reads[0].elements for each in node.calls) // steps
            shapes = {"rows": 1, "channels": max(read, 1), "results": results}
            return shapes, "reduce", {node.name: 1}
        rows, channels = self._size(makers, results)
        shapes = {"rows": rows, "channels": channels}
        known = [self.made[each] for each in makers if each in self.made]
        alike = known and all(
            made.size == (rows, channels) and made.operation["timesteps"] in (1, steps)
            for made in known
        )
        if node.name == "add" and len(makers) == 2 and alike:
            return shapes, "residual", {}
        return shapes, "elementwise", {node.name: len(node.calls) // max(steps, 1) or 1}

    def _fits(self, maker: Any, shapes: dict[str, Any]) -> bool:
        """Whether a pool reads the maps of a maker as they are."""
        made = self.made.get(maker)
        if made is None or list(made.grid) != shapes["in_grid"]:
            return False
        return made.size == (math.prod(shapes["in_grid"]), shapes["channels"])

    def _folds(self, node: Node, makers: list[Any]) -> bool:
        """Whether work is affine, by constants, directly behind a weighted sum."""
        affine = node.name in _AFFINE or "batch_norm" in node.name
        if not affine or len(node.sources) != 1 or len(makers) != 1:
            return False
        maker = makers[0]
        pooled = not isinstance(maker, NeuronGroup) and maker.group == "window"
        while not isinstance(maker, NeuronGroup) and maker.group == "window" and pooled:
            before = self._makers(maker.sources)
            if len(before) != 1:
                return False
            maker = before[0]
        return not isinstance(maker, NeuronGroup) and maker.layer is not None
