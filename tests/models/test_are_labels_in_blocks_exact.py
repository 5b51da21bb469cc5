"""Do labels kept by blocks read as one label for each element would?"""

from __future__ import annotations

import random

import pytest

pytest.importorskip("torch", reason="captures need torch")

import torch

from models.capturing.blocks import BlockLabels
from models.capturing.tape import Spec


def any_spec(rng: random.Random, elements: int) -> Spec:
    """Choose a tensor that lies somewhere in a storage, axes in any order, with steps or without.

    `elements`: of the storage.
    """
    offset = rng.choice((0, 0, rng.randrange(elements)))
    axes: list[tuple[int, int]] = []
    step = rng.choice((1, 1, 2, 3))
    while len(axes) < 4:
        most = (elements - offset - 1 - sum((n - 1) * s for n, s in axes)) // step + 1
        size = rng.randint(1, max(1, min(5, most)))
        axes.append((size, step))
        step *= size * rng.choice((1, 1, 2))
    rng.shuffle(axes)
    sizes, steps = zip(*axes, strict=True)
    return Spec(0, torch.float32, sizes, steps, offset)


@pytest.mark.parametrize("seed", range(60))
def test_blocks_read_as_elements(seed: int) -> None:
    rng = random.Random(seed)
    elements = rng.choice((24, 60, 96))
    blocks = BlockLabels(-1, rng.choice((1, elements // 3, elements)), 4)
    plain = torch.full((2 * elements,), -1, dtype=torch.int16)
    for _ in range(12):
        spec = any_spec(rng, elements)
        place = (spec.size, spec.stride, spec.offset)
        if rng.random() < 0.5:
            axis = rng.randrange(4)
            shape = [n if each == axis else 1 for each, n in enumerate(spec.size)]
            labels = torch.tensor([rng.randrange(4) for _ in range(spec.size[axis])])
            made = labels.to(torch.int16).reshape(shape).expand(spec.size)
            plain.as_strided(*place).copy_(made)
            blocks.write(spec, made)
        assert torch.equal(blocks.read(spec), plain.as_strided(*place))
        whole = Spec(0, torch.float32, (elements,), (1,), 0)
        if rng.random() < 0.5:  # reading divides the blocks as far as they can be
            assert torch.equal(blocks.read(whole), plain[:elements])


def test_a_copy_keeps_its_labels() -> None:
    blocks = BlockLabels(0, 8, 4)
    copy = blocks.copied(8)
    blocks.write(Spec(0, torch.float32, (4,), (1,), 4), torch.ones(4, dtype=torch.int16))
    assert copy.bounds() == (0, 0)
    assert blocks.bounds() == (0, 1)
