"""An image of a trace as Prosperity's simulator would see it.

What that simulator does not know is cut to what it knows: the first layer, pools, residuals, the
head and halting decisions are left out; linear layers that read the same operand (q, k and v) are
one, their neurons too; an integer operand counts as spikes where it is not zero; a halted token is
a row of zeros; an operand that serves all timesteps is repeated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from experiments.prosperity.workload import (
    Attention,
    Neurons,
    Operation,
    Product,
    pack_rows,
    unfold,
)
from simulator.config.arrays import Words
from simulator.errors import LoweringError
from simulator.trace import Image, OperationSpec, TensorSpec, Trace, unpack_bits

Bits = npt.NDArray[np.bool_]

UNCHARGED = ("head", "pool", "integrate", "residual", "halting", "token_mean", "spike_gate")


def operations_of(trace: Trace, image: Image | None = None) -> list[Operation]:
    """The operations that are charged; without an image, shapes only.

    Raises LoweringError for a kind of operation that the source has no rule for.
    """
    return _Reader(trace, image).operations()


class _Reader:
    """Walks the operations of a trace and translates them, for one image."""

    def __init__(self, trace: Trace, image: Image | None) -> None:
        self.trace = trace
        self.image = image
        self.maker = {spec.output: spec for spec in trace.operations}
        self.found: list[Operation] = []
        self.place: dict[str, int] = {}

    def operations(self) -> list[Operation]:
        for spec in self.trace.operations:
            if spec.kind == "conv2d" and not self._is_first(spec):
                self.found.append(self._convolution(spec))
            elif spec.kind == "linear":
                self._linear(spec)
            elif spec.kind == "attention_context":
                self.found.append(self._attention(spec))
            elif spec.kind == "spike_driven_attention":
                sizes = (_size(spec, "tokens"), _size(spec, "heads"), _size(spec, "head_dim"))
                self.found.append(Attention(spec.name, "sdt", spec.timesteps, *sizes))
            elif spec.kind == "lif":
                self._neurons(spec)
            elif spec.kind not in (*UNCHARGED, "conv2d", "attention_scores"):
                raise LoweringError(
                    f"{self.trace.path}: operation {spec.name}: kind {spec.kind}: "
                    "prosperity_compat has no rule for it, nor has the simulator that it follows"
                )
        return self.found

    def _is_first(self, spec: OperationSpec) -> bool:
        """Whether an operation reads the image, which nothing makes."""
        return spec.kind == "conv2d" and spec.input not in self.maker

    def _convolution(self, spec: OperationSpec) -> Product:
        taps = _size(spec, "kernel")
        return Product(
            spec.name,
            spec.timesteps,
            _size(spec, "out_grid"),
            taps * _size(spec, "in_channels"),
            _size(spec, "out_channels"),
            taps,
            None if self.image is None else partial(self._unfolded, spec),
        )

    def _linear(self, spec: OperationSpec) -> None:
        """A linear layer, or more outputs of the one that reads the same operand."""
        outputs = _size(spec, "out_features")
        if spec.input in self.place:
            self._widen(self.place[str(spec.input)], outputs)
            return
        self.place[str(spec.input)] = len(self.found)
        self.found.append(
            Product(
                spec.name,
                spec.timesteps,
                _size(spec, "rows"),
                _size(spec, "in_features"),
                outputs,
                1,
                None if self.image is None else partial(self._packed, spec),
            )
        )

    def _widen(self, index: int, outputs: int) -> None:
        product = self.found[index]
        assert isinstance(product, Product)
        self.found[index] = product._replace(outputs=product.outputs + outputs)

    def _neurons(self, spec: OperationSpec) -> None:
        """Neurons; those of a widened layer join the first ones that follow it."""
        source = self.maker.get(str(spec.input))
        if source is None or source.kind == "spike_driven_attention" or self._is_first(source):
            return  # not charged, as the layer before them; the column sum has them already
        count = _size(spec, "rows") * _size(spec, "channels")
        if source.kind == "linear":
            after = self.place[str(source.input)] + 1
            if after < len(self.found):
                first = self.found[after]
                if isinstance(first, Neurons):
                    self.found[after] = first._replace(count=first.count + count)
                    return
        self.found.append(Neurons(spec.name, count, spec.timesteps))

    def _attention(self, spec: OperationSpec) -> Attention:
        """Both products of an attention, from the second one and the scores before it."""
        scores = self.maker[str(spec.input)]
        names = (str(scores.input), str(scores.second_input), str(spec.second_input))
        sizes = (_size(spec, "tokens"), _size(spec, "heads"), _size(spec, "head_dim"))
        return Attention(
            spec.name,
            "spikformer",
            spec.timesteps,
            *sizes,
            None if self.image is None else partial(self._stacked, names, spec),
        )

    def _stacked(self, names: Sequence[str], spec: OperationSpec) -> Bits:
        return np.stack([self._values(name, spec) for name in names])

    def _values(self, name: str, spec: OperationSpec) -> Bits:
        """bool (timestep, row, channel): where a tensor is not zero and its row not halted."""
        assert self.image is not None
        tensor: TensorSpec = self.trace.tensors[name]
        bits = unpack_bits(np.bitwise_or.reduce(self.image.tensors[name], axis=1), tensor.channels)
        bits = np.broadcast_to(bits, (spec.timesteps, *bits.shape[1:]))
        if spec.mask is None:
            return bits
        return bits & self.image.active[spec.mask][: spec.timesteps, :, None]

    def _packed(self, spec: OperationSpec) -> Words:
        return pack_rows(self._values(str(spec.input), spec))

    def _unfolded(self, spec: OperationSpec) -> Words:
        bits = self._values(str(spec.input), spec)
        height, width = _pair(spec, "in_grid")
        maps = bits.reshape(spec.timesteps, height, width, -1).transpose(0, 3, 1, 2)
        return unfold(maps, _pair(spec, "kernel"), _pair(spec, "stride"), _pair(spec, "padding"))


def _size(spec: OperationSpec, key: str) -> int:
    """A shape as one number, a pair as its product."""
    value = spec.shapes[key]
    return math.prod(value) if isinstance(value, tuple | list) else int(value)


def _pair(spec: OperationSpec, key: str) -> tuple[int, int]:
    value = spec.shapes[key]
    assert not isinstance(value, int)
    return int(value[0]), int(value[1])
