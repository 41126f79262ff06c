"""Stacked layers against lone torch layers with the same weights, and graphs of many copies."""

from copy import deepcopy

import pytest
import torch
from dags import random_dags, stacked
from torch import nn

from graphwright.data.batch import GraphBatch
from graphwright.errors import ConfigError
from graphwright.nn.dag import GraphStacker
from graphwright.nn.gin import StackedGINEncoder
from graphwright.nn.segment import pool_mean
from graphwright.nn.stacked import (
    StackedBatchNorm,
    StackedEmbedding,
    StackedLinear,
    StackedMLP,
    stacked_dropout,
)


@pytest.mark.parametrize("bias", [True, False])
def test_each_copy_is_a_linear_map(bias):
    layer = StackedLinear(3, 5, 4, bias=bias).double()
    x = torch.randn(3, 6, 5, dtype=torch.float64)
    out = layer(x)
    for copy in range(3):
        shift = layer.bias[copy, 0] if bias else None
        want = nn.functional.linear(x[copy], layer.weight[copy].t(), shift)
        torch.testing.assert_close(out[copy], want)


def test_shared_rows_are_the_same_rows_for_every_copy():
    layer, x = StackedLinear(3, 5, 4), torch.randn(6, 5)
    torch.testing.assert_close(layer(x), layer(x.expand(3, -1, -1)))


def test_linear_starts_like_torch():
    torch.manual_seed(0)
    ours, theirs = StackedLinear(1, 64, 500), nn.Linear(64, 500)
    for mine, yours in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        assert mine.std().item() == pytest.approx(yours.std().item(), rel=0.05)
        assert mine.abs().max().item() == pytest.approx(yours.abs().max().item(), rel=0.01)


def test_the_fused_head_equals_its_operators():
    torch.manual_seed(0)
    head = StackedMLP(3, 5, 6, 2).double()
    x = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(head(x), head.out(head.hidden(x).relu()))
    torch.testing.assert_close(head.eval()(x), head.train()(x))
    names = ["hidden.weight", "hidden.bias", "out.weight", "out.bias"]

    def run(x, *weights):
        return torch.func.functional_call(head, dict(zip(names, weights, strict=True)), (x,))

    weights = [p.detach().clone().requires_grad_() for p in head.parameters()]
    assert torch.autograd.gradcheck(run, (x, *weights))


def test_a_head_with_dropout_has_it_in_training_only():
    head, x = StackedMLP(2, 5, 64, 1, dropout=0.5), torch.randn(2, 4, 5)
    assert not torch.equal(head(x), head(x))
    head.eval()
    assert torch.equal(head(x), head(x))


def test_each_copy_has_its_own_embedding():
    layer, index = StackedEmbedding(3, 7, 4), torch.tensor([0, 6, 6, 2])
    out = layer(index)
    out.square().sum().backward()
    for copy in range(3):
        torch.testing.assert_close(out[copy], layer.weight[copy][index])
    torch.testing.assert_close(layer.weight.grad[:, 6], 4 * layer.weight[:, 6].detach())


def _norm_and_oracles(copies: int, dim: int) -> tuple[StackedBatchNorm, list[nn.BatchNorm1d]]:
    ours = StackedBatchNorm(copies, dim).double()
    oracles = [nn.BatchNorm1d(dim).double() for _ in range(copies)]
    with torch.no_grad():
        ours.weight.uniform_(0.5, 2)
        ours.bias.normal_()
        for copy, oracle in enumerate(oracles):
            oracle.weight.copy_(ours.weight[copy, 0])
            oracle.bias.copy_(ours.bias[copy, 0])
    return ours, oracles


def test_batch_norm_equals_torch_in_values_gradients_and_running_averages():
    torch.manual_seed(0)
    ours, oracles = _norm_and_oracles(3, 4)
    for _ in range(2):
        x = (3 * torch.randn(3, 9, 4, dtype=torch.float64) + 1).requires_grad_()
        out = ours(x)
        ours.zero_grad()
        out.tanh().sum().backward()
        for copy, oracle in enumerate(oracles):
            twin = x.detach()[copy].clone().requires_grad_()
            oracle.zero_grad()
            want = oracle(twin)
            want.tanh().sum().backward()
            torch.testing.assert_close(out[copy], want)
            torch.testing.assert_close(x.grad[copy], twin.grad)
            torch.testing.assert_close(ours.weight.grad[copy, 0], oracle.weight.grad)
            torch.testing.assert_close(ours.bias.grad[copy, 0], oracle.bias.grad)
    x = torch.randn(3, 9, 4, dtype=torch.float64)
    out = ours.eval()(x)
    for copy, oracle in enumerate(oracles):
        torch.testing.assert_close(out[copy], oracle.eval()(x[copy]))


def test_batch_norm_gradient_numerically():
    torch.manual_seed(0)
    norm = StackedBatchNorm(2, 3).double()
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)

    def normalise(x, weight, bias):
        return torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (x,))

    weight, bias = norm.weight.detach().clone().requires_grad_(), norm.bias.detach().clone()
    assert torch.autograd.gradcheck(normalise, (x, weight, bias.requires_grad_()))


def test_batch_norm_of_equal_rows_is_finite():
    norm, x = StackedBatchNorm(2, 3), torch.ones(2, 2, 3, requires_grad=True)
    norm(x).sum().backward()
    assert x.grad.isfinite().all()
    assert norm.variance.isfinite().all()


def test_messages_of_both_directions_and_their_adjoint():
    edge_index, ptr = random_dags()
    nodes = int(ptr[-1])
    graphs = stacked(edge_index, ptr, forward=2, reverse=2)
    adjacency = torch.zeros(nodes, nodes, dtype=torch.float64)
    adjacency[edge_index[1], edge_index[0]] = 1
    both = torch.stack([adjacency, adjacency, adjacency.t(), adjacency.t()])
    x = torch.randn(4, nodes, 4, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(graphs.propagate(x), both @ x)
    assert torch.autograd.gradcheck(graphs.propagate, (x,))
    torch.testing.assert_close(graphs.propagate(x[0].detach()), both @ x[0].detach())
    shared = x[0].detach().requires_grad_()
    assert torch.autograd.gradcheck(graphs.propagate, (shared,))
    torch.testing.assert_close(graphs.degree(torch.float64)[..., 0], both.sum(2))


def test_pooling_is_the_mean_of_each_graph():
    edge_index, ptr = random_dags()
    graphs = stacked(edge_index, ptr, forward=1, reverse=1)
    x = torch.randn(2, int(ptr[-1]), 4, dtype=torch.float64, requires_grad=True)
    pooled = graphs.pool_mean(x)
    for copy in range(2):
        torch.testing.assert_close(pooled[copy], pool_mean(x[copy], ptr))
    assert torch.autograd.gradcheck(graphs.pool_mean, (x,))


def test_graphs_without_edges_pass_no_messages():
    none = torch.zeros(2, 0, dtype=torch.int64)
    graphs = stacked(none, torch.tensor([0, 2, 3]), forward=1, reverse=1)
    x = torch.randn(2, 3, 4)
    assert torch.equal(graphs.propagate(x), torch.zeros(2, 3, 4))
    torch.testing.assert_close(graphs.pool_mean(x)[:, 0], x[:, :2].mean(1))


def test_directions_have_as_many_copies():
    edge_index, ptr = random_dags()
    with pytest.raises(ConfigError, match="as many"):
        stacked(edge_index, ptr, forward=2, reverse=1)


def test_dropout_only_where_asked():
    x = torch.ones(2, 50, 4)
    assert stacked_dropout(x, 0.0, True) is x
    assert stacked_dropout(x, 0.5, False) is x
    assert (stacked_dropout(x, 0.5, True) == 0).any()


def _batch(ops: list[int], ends: list[list[int]]) -> GraphBatch:
    counts = {"node_counts": [len(ops)], "edge_counts": [len(ends[0])]}
    return GraphBatch.from_arrays(**counts, edge_index=ends, nodes={"op": ops})


def test_a_stacker_keeps_the_last_graph_and_only_that():
    stacker = GraphStacker(forward=1, reverse=1)
    first = stacker(_batch([0, 1, 2], [[0, 1], [1, 2]]))
    assert stacker(_batch([2, 1, 0], [[0, 1], [1, 2]])) is first
    other = stacker(_batch([2, 1, 0], [[0, 0], [1, 2]]))
    assert other is not first
    assert other.rows.source.tolist() != first.rows.source.tolist()
    assert deepcopy(stacker)._last is None


def test_what_inference_makes_is_not_kept():
    stacker, batch = GraphStacker(forward=1), _batch([0, 1], [[0], [1]])
    with torch.inference_mode():
        assert stacker(batch) is not stacker(batch)


@pytest.mark.parametrize("training", [True, False])
def test_the_operators_of_torch_compile_give_the_same(training, monkeypatch):
    torch.manual_seed(0)
    edge_index, ptr = random_dags()
    encoder = StackedGINEncoder(4, 5, 7, 2, relu=True).double().train(training)
    head = StackedMLP(4, 7, 6, 1).double().train(training)
    x = torch.randn(int(ptr[-1]), 5, dtype=torch.float64)

    def run(parts: list[nn.Module]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        graphs = stacked(edge_index, ptr, forward=2, reverse=2)
        out = parts[1](parts[0].pooled(x, graphs))
        weights = [p for part in parts for p in part.parameters()]
        return out, list(torch.autograd.grad(out.square().sum(), weights))

    want = run(deepcopy([encoder, head]))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(run([encoder, head]), want)
