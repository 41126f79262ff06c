"""Sorted edges: order, adjoint operators, and the fallback that export uses."""

import pytest
import torch

from graphwright.nn.edges import SortedEdges, bag_sum

N, E = 9, 40


def make(seed=0, sort=False):
    generator = torch.Generator().manual_seed(seed)
    # The last node has no edge at all.
    edge_index = torch.randint(N - 1, (2, E), generator=generator)
    if sort:
        edge_index = edge_index[:, edge_index[1].argsort(stable=True)]
    x = torch.randn(N, 3, generator=generator, dtype=torch.float64)
    return edge_index, x


def test_build_sorts_by_target_and_brings_edge_values_along():
    edge_index, _ = make()
    edges = SortedEdges.build(edge_index, N)
    assert edges.order is not None
    assert bool((edges.target.diff() >= 0).all())
    assert torch.equal(edges.arrange(edge_index[0]), edges.source)
    assert edges.num_edges == E
    assert torch.equal(edges.in_degree(), torch.bincount(edge_index[1], minlength=N))


def test_build_keeps_a_sorted_list_as_it_is():
    edge_index, _ = make(sort=True)
    edges = SortedEdges.build(edge_index, N)
    assert edges.order is None
    assert edges.arrange(edge_index) is edge_index


OPERATORS = {
    "gather_source": lambda edges, x: edges.gather_source(x),
    "gather_target": lambda edges, x: edges.gather_target(x),
    "sum_to_target": lambda edges, x: edges.sum_to_target(edges.gather_source(x) ** 2),
    "propagate": lambda edges, x: edges.propagate(x),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_equal_their_fallback_and_have_right_gradients(name, monkeypatch):
    edge_index, x = make()
    edges = SortedEdges.build(edge_index, N)
    operator = OPERATORS[name]
    assert torch.autograd.gradcheck(lambda value: operator(edges, value), x.requires_grad_())
    fast = operator(edges, x)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(operator(edges, x), fast)


def test_propagate_is_the_adjacency_matrix():
    edge_index, x = make()
    dense = torch.zeros(N, N, dtype=x.dtype)
    dense.index_put_((edge_index[1], edge_index[0]), x.new_ones(E), accumulate=True)
    torch.testing.assert_close(SortedEdges.build(edge_index, N).propagate(x), dense @ x)


def test_features_may_have_more_dimensions():
    edge_index, _ = make()
    edges = SortedEdges.build(edge_index, N)
    v = torch.randn(N, 3, 2)
    want = torch.zeros(N, 3, 2).index_add(0, edges.target, v[edges.source])
    torch.testing.assert_close(edges.propagate(v), want)


def test_a_list_without_edges_sums_to_zero():
    edges = SortedEdges.build(torch.zeros(2, 0, dtype=torch.int64), 4)
    x = torch.randn(4, 2, requires_grad=True)
    out = edges.propagate(x)
    out.sum().backward()
    assert torch.equal(out, torch.zeros(4, 2))
    assert torch.equal(x.grad, torch.zeros(4, 2))


def test_weighted_bag_sum():
    x = torch.arange(8.0).view(4, 2)
    order, ptr = torch.tensor([3, 0, 1]), torch.tensor([0, 2, 2, 3])
    got = bag_sum(x, order, ptr, torch.tensor([1.0, 2.0, 10.0]))
    assert torch.equal(got, torch.stack([x[3] + 2 * x[0], torch.zeros(2), 10 * x[1]]))


def test_second_derivatives_are_refused_and_not_wrong():
    edge_index, x = make()
    edges = SortedEdges.build(edge_index, N)
    x.requires_grad_()
    (grad,) = torch.autograd.grad((edges.propagate(x) ** 2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()
