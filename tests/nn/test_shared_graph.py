"""SharedGraph against a dense matrix."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_networks import batch_of, random_graph

from graphwright.nn.shared_graph import SharedGraph, keep_mask, perturbed_sum


def dense(graph):
    out = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    target = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.indptr.diff())
    return out.index_put((target, graph.indices.long()), torch.tensor(1.0).double(), True)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.floats(0, 0.6), st.booleans(), st.integers(0, 99))
def test_sums_and_gradients_are_those_of_the_matrix(num_nodes, density, symmetric, seed):
    graph = random_graph(num_nodes, density, symmetric=symmetric, seed=seed)
    assert graph.symmetric == bool(torch.equal(dense(graph), dense(graph).t()))
    torch.manual_seed(seed)
    x = torch.randn(num_nodes, 3, dtype=torch.float64, requires_grad=True)
    factor = torch.randn(num_nodes, 3, dtype=torch.float64)
    torch.testing.assert_close(graph(x), dense(graph) @ x)
    (graph(x) * factor).sum().backward()
    torch.testing.assert_close(x.grad, dense(graph).t() @ factor)


def test_perturbed_sum_drops_every_edge_of_a_deleted_node():
    graph = random_graph(30, 0.1, symmetric=False, seed=3)
    index, ptr = batch_of([[0], [4, 7], [], [0, 4, 4]])
    keep = keep_mask(index, ptr, 30, torch.float64)
    assert keep.sum(0).tolist() == [29, 28, 30, 28]
    x = torch.randn(30, 4, 5, dtype=torch.float64)
    got = perturbed_sum(graph, x, keep)
    for cell in range(4):
        matrix = keep[:, cell, None] * dense(graph) * keep[:, cell]
        torch.testing.assert_close(got[:, cell], matrix @ x[:, cell])
    torch.testing.assert_close(perturbed_sum(graph, x, None)[:, 2], got[:, 2])


def test_a_state_dict_fills_an_empty_graph():
    for symmetric in (True, False):
        graph = random_graph(20, 0.2, symmetric=symmetric, seed=1)
        empty = SharedGraph(20, graph.num_edges, symmetric=symmetric)
        empty.load_state_dict(graph.state_dict())
        x = torch.randn(20, 2)
        torch.testing.assert_close(empty(x), graph(x))
        torch.testing.assert_close(empty.sum_targets(x), graph.sum_targets(x))


def test_the_order_within_a_row_does_not_decide_on_symmetry():
    graph = SharedGraph.from_csr(torch.tensor([0, 2, 3, 4]), torch.tensor([2, 1, 0, 0]))
    assert graph.symmetric


@pytest.mark.parametrize(
    ("indptr", "indices"),
    [([0, 1, 1], [5]), ([0, 1, 3], [1, 0]), ([0, 2, 1, 2], [0, 1]), ([1, 2], [0, 0])],
)
def test_arrays_that_are_no_graph_are_refused(indptr, indices):
    with pytest.raises(ValueError, match="ind"):
        SharedGraph.from_csr(torch.tensor(indptr), torch.tensor(indices))


def test_a_second_derivative_is_refused():
    graph = random_graph(5, 0.5, symmetric=True, seed=0)
    x = torch.randn(5, 2, requires_grad=True)
    (grad,) = torch.autograd.grad(graph(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()
