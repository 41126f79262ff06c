"""Segment reductions against loops written out, and their gradients."""

import pytest
import torch

from graphwright.nn.segment import (
    pool_max,
    pool_mean,
    pool_sum,
    segment_max,
    segment_mean,
    segment_of_rows,
    segment_softmax,
    segment_sum,
)

INDEX = torch.tensor([2, 0, 2, 2, 4, 0])
PTR = torch.tensor([0, 3, 3, 7])


def rows(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("reduce", "plain"),
    [
        (segment_sum, lambda part: part.sum(0)),
        (segment_mean, lambda part: part.mean(0)),
        (segment_max, lambda part: part.amax(0)),
    ],
)
@pytest.mark.parametrize("shape", [(6,), (6, 4), (6, 3, 4)])
def test_segment_reductions_equal_a_loop_and_leave_empty_segments_zero(reduce, plain, shape):
    x = rows(*shape)
    got = reduce(x, INDEX, 5)
    for segment in range(5):
        part = x[segment == INDEX]
        want = plain(part) if len(part) else torch.zeros(shape[1:], dtype=x.dtype)
        torch.testing.assert_close(got[segment], want)


def test_softmax_sums_to_one_in_each_segment_and_bears_large_values():
    x = rows(6, 2) + 1e4
    weight = segment_softmax(x, INDEX, 5)
    total = segment_sum(weight, INDEX, 5)
    torch.testing.assert_close(total[[0, 2, 4]], torch.ones(3, 2, dtype=x.dtype))
    torch.testing.assert_close(weight[INDEX == 2], x[INDEX == 2].softmax(0))


@pytest.mark.parametrize("reduce", [segment_sum, segment_mean, segment_max, segment_softmax])
def test_gradients(reduce):
    x = rows(6, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda value: reduce(value, INDEX, 5), x)


@pytest.mark.parametrize(
    ("pool", "plain"),
    [
        (pool_sum, lambda part: part.sum(0)),
        (pool_mean, lambda part: part.mean(0)),
        (pool_max, lambda part: part.amax(0)),
    ],
)
def test_pools_reduce_the_nodes_of_each_graph(pool, plain):
    x = rows(7, 3)
    got = pool(x, PTR)
    torch.testing.assert_close(got[0], plain(x[:3]))
    torch.testing.assert_close(got[1], torch.zeros(3, dtype=x.dtype))
    torch.testing.assert_close(got[2], plain(x[3:]))


def test_segment_of_rows():
    assert segment_of_rows(PTR).tolist() == [0, 0, 0, 2, 2, 2, 2]
    assert segment_of_rows(PTR, 7).tolist() == [0, 0, 0, 2, 2, 2, 2]
