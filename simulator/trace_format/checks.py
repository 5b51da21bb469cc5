"""The rules that the data of images keep, checked on a batch of arena rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from simulator.config.arrays import Ints
from simulator.config.wording import shown
from simulator.errors import TraceError
from simulator.trace_format.image import Image, ImageBatch
from simulator.trace_format.layout import Layout, Packed
from simulator.trace_format.problems import hint


def check_sizes(layout: Layout, image: Image, place: str) -> None:
    """Raise TraceError unless an image has the arrays of the layout; `place` names it."""
    blocks = [str(block) for block in range(layout.blocks)]
    _check_names(f"{place}: active", image.active, blocks)
    for block in blocks:
        mask_shape = (layout.timesteps, layout.tokens)
        _check_array(f"{place}: active/{block}", image.active[block], "bool", mask_shape)
    _check_names(f"{place}: spikes", image.tensors, layout.tensors)
    for name, tensor in layout.tensors.items():
        _check_array(f"{place}: spikes/{name}", image.tensors[name], "uint8", tensor.shape)


def check_batch(layout: Layout, batch: ImageBatch, source: str) -> None:
    """Raise TraceError for the first rule that the images break; `source` names the file."""
    rules = _Rules(layout, batch, source)
    for what, values in (("label", batch.label), ("prediction", batch.prediction)):
        rules.check_classes(what, values)
    rules.check_padding()
    for block in range(layout.blocks):
        masks = layout.masks(batch.arena)[:, block]
        rules.check_unused_bits(f"active/{block}", masks, layout.tokens)
    rules.check_halting()
    rules.check_left()
    halted = rules.halted_rows()
    for name, tensor in layout.tensors.items():
        if tensor.channels % 8 == 0 and tensor.mask not in halted:
            continue  # nothing to check
        packed = layout.tensor(batch.arena, name)
        rules.check_unused_bits(f"spikes/{name}", packed, tensor.channels)
        if tensor.mask in halted:
            rules.check_halted_rows(f"spikes/{name}", packed, halted[tensor.mask], tensor.mask)


class _Rules:
    """The single rules, over all images of a batch at once."""

    def __init__(self, layout: Layout, batch: ImageBatch, source: str) -> None:
        self.layout, self.batch, self.source = layout, batch, source

    def place(self, image: int) -> str:
        """Name an image by its place in the batch."""
        return f"{self.source}: image {self.batch.index[image]}"

    def check_classes(self, what: str, values: Ints) -> None:
        """A label or prediction is a class, or -1."""
        last = 2**63 - 1 if self.layout.classes is None else self.layout.classes - 1
        wrong = (values < -1) | (values > last)
        if wrong.any():
            image = int(wrong.argmax())
            rule = f"must be a class from 0 to {last}, or -1 for none"
            raise TraceError(self.place(image), f"{what} {values[image]}", rule)

    def check_padding(self) -> None:
        """Nothing lies between the tensors."""
        spare = self.batch.arena[:, self.layout.padding]
        if spare.any():
            image, at = np.argwhere(spare)[0]
            found = f"byte {spare[image, at]:#04x} at {self.layout.padding[at]} of its record"
            raise TraceError(self.place(image), found, "must be zero, between two arrays")

    def check_unused_bits(self, name: str, packed: Packed, bits: int) -> None:
        """The last byte of each row holds nothing beyond the row's bits."""
        if bits % 8 == 0:
            return
        last = packed[..., -1]
        if last.max(initial=0) >> (bits % 8):
            image, *index = np.argwhere(last >> (bits % 8))[0]
            raise TraceError(
                f"{self.place(image)}: {name}: byte {last[(image, *index)]:#04x} at "
                f"{_spoken(index)}: must have no bit beyond the {bits} that a row has"
            )

    def check_halting(self) -> None:
        """A halted token stays halted, in the order that the halting's granularity defines."""
        granularity, active = self.layout.granularity, self.batch.active.swapaxes(1, 2)
        wrong = np.zeros_like(active)  # (image, timestep, block, token)
        if granularity == "none":
            wrong, rule = ~active, "be active, as every token"
        elif granularity in ("block", "waking"):
            wrong[:, :, 1:] = active[:, :, 1:] & ~active[:, :, :-1]
            rule = "stay halted in the later blocks of a timestep"
        elif granularity == "timestep":
            wrong[:, 1:] = active[:, 1:] & ~active[:, :-1]
            wrong |= active != active[:, :, :1]
            rule = "be the same in all blocks of a timestep and stay halted in later timesteps"
        else:
            steps = self.layout.timesteps * self.layout.blocks
            by_step = active.reshape(len(active), steps, self.layout.tokens)
            later = by_step[:, 1:] & ~by_step[:, :-1]
            wrong = np.concatenate((np.zeros_like(by_step[:, :1]), later), axis=1)
            wrong = wrong.reshape(active.shape)
            rule = "stay halted in later blocks and timesteps"
        if wrong.any():
            image, step, block, token = np.argwhere(wrong)[0]
            state = "active" if active[image, step, block, token] else "halted"
            raise TraceError(
                f"{self.place(image)}: active/{block}: token {token} is {state} in timestep {step}:"
                f" with halting {granularity!r} it must {rule}"
            )

    def check_left(self) -> None:
        """Nothing is active or stored of the timesteps that an image did not take."""
        if not self.layout.image_timesteps:
            return
        halts = self.layout.granularity != "none"
        for place, index in enumerate(self.batch.index.tolist()):
            taken = self.layout.image_timesteps[index]
            rule = f"must be zero, the image left after {taken} timesteps"
            if halts and self.batch.active[place, :, taken:].any():
                raise TraceError(self.place(place), "active", rule)
            for name, tensor in self.layout.tensors.items():
                every = tensor.timesteps == self.layout.timesteps
                if every and self.layout.tensor(self.batch.arena[place], name)[taken:].any():
                    raise TraceError(self.place(place), f"spikes/{name}", rule)

    def halted_rows(self) -> dict[str, tuple[npt.NDArray[np.intp], ...]]:
        """(image, timestep, token) of the halted tokens by mask, where there are any."""
        names = {tensor.mask for tensor in self.layout.tensors.values()} - {None}
        halted = {name: np.nonzero(~self.batch.active[:, int(name)]) for name in names if name}
        return {name: rows for name, rows in halted.items() if len(rows[0])}

    def check_halted_rows(
        self, name: str, packed: Packed, halted: tuple[npt.NDArray[np.intp], ...], mask: str
    ) -> None:
        """The rows of halted tokens are zero."""
        rows = _words(packed).swapaxes(2, 3)[halted]  # (halted row, plane, word)
        if rows.any():
            row = int(rows.any(axis=(1, 2)).argmax())
            image, step, token = (int(axis[row]) for axis in halted)
            ones = int(np.bitwise_count(rows[row]).sum())
            raise TraceError(
                f"{self.place(image)}: {name}: {ones} ones in timestep {step}, token {token}: must "
                f"be zero, the token has halted in active/{mask}"
            )


def _words(packed: Packed) -> npt.NDArray[np.unsignedinteger]:
    """Return the rows as words of 8 bytes where they are such; every tensor is aligned to them."""
    return packed.view(np.uint64) if packed.shape[-1] % 8 == 0 else packed


def _check_names(place: str, arrays: Mapping[str, object], known: Iterable[str]) -> None:
    known = set(known)
    for name in sorted(arrays.keys() - known, key=str):
        rule = f"must be in the manifest {hint(name, known)}"
        raise TraceError(place, shown(name), rule)
    for name in sorted(known - arrays.keys()):
        raise TraceError(place, f"{shown(name)} is missing", "must be there, by the manifest")


def _check_array(place: str, array: object, dtype: str, shape: tuple[int, ...]) -> None:
    found = (str(getattr(array, "dtype", type(array))), getattr(array, "shape", None))
    if not isinstance(array, np.ndarray) or found != (dtype, shape):
        raise TraceError(place, f"{found[0]} {found[1]}", f"must be an array {dtype} {shape}")


def _spoken(index: Iterable[np.intp]) -> str:
    """(timestep,) or (timestep, plane, row) in words."""
    axes = ("timestep", "plane", "row")
    return ", ".join(f"{axis} {number}" for axis, number in zip(axes, index, strict=False))
