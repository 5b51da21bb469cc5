"""Rows times weights through a convolution: the product, for any number of rows and threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from models.networks.layers import MANY_ROWS, linear_rows


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 17, MANY_ROWS - 1, MANY_ROWS, MANY_ROWS + 5])
def test_a_product_is_that_of_its_rows(count: int, threads: int) -> None:
    generator = torch.Generator().manual_seed(count)
    # Whole numbers: every order of their sums gives the same.
    rows = torch.randint(0, 2, (count, 24), generator=generator).float().requires_grad_()
    weight = torch.randint(-99, 99, (40, 24), generator=generator).float().requires_grad_()
    product = linear_rows(rows, weight)
    assert torch.equal(product, rows @ weight.T)
    towards = torch.randint(-9, 9, product.shape, generator=generator).float()
    product.backward(towards)
    assert rows.grad is not None
    assert weight.grad is not None
    assert torch.equal(rows.grad, towards @ weight.detach())
    assert torch.equal(weight.grad, towards.T @ rows.detach())
