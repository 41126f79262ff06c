"""PaiNN's layers: the fused operator against its formula, gradients, and equivariance."""

import pytest
import torch
from torch import nn

import graphwright.nn.edge_geometry as blocks
from graphwright.nn.edge_geometry import EdgeGeometry, edge_geometry
from graphwright.nn.edges import SortedEdges
from graphwright.nn.filtered import filtered_messages, filtered_messages_reference
from graphwright.nn.neighbors import radius_edges
from graphwright.nn.painn import (
    GatedEquivariantBlock,
    PaiNNMessage,
    PaiNNUpdate,
    vector_norm,
)
from graphwright.nn.radial import BesselBasis

N, D, R, CUTOFF = 12, 4, 5, 3.0


def structure(dtype=torch.float64):
    torch.manual_seed(0)
    pos = torch.randn(N, 3, dtype=dtype)
    pos[-1] = 100.0  # a node without neighbours
    edges = SortedEdges.build(radius_edges(pos, torch.tensor([0, N]), CUTOFF), N)
    return pos, edges, BesselBasis(R, CUTOFF).to(dtype)


def inputs(dtype=torch.float64, first=False):
    pos, edges, basis = structure(dtype)
    geometry = edge_geometry(pos, edges, basis, CUTOFF)
    shapes = [(R + 1, (2 if first else 3) * D), (N, D), (N, D), (N, 3, D)]
    values = [torch.randn(*shape, dtype=dtype, requires_grad=True) for shape in shapes]
    return geometry, [*values[:3], None if first else values[3]]


@pytest.mark.parametrize("block", [1, 40, 1 << 18])
@pytest.mark.parametrize("first", [False, True])
def test_the_fused_operator_equals_its_formula(first, block, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", block)
    geometry, values = inputs(first=first)
    wanted = [x for x in values if x is not None]
    results = []
    for operator in (filtered_messages, filtered_messages_reference):
        ds, dv = operator(geometry, *values)
        loss = (ds.square().sum() + (dv * torch.arange(3.0)[:, None]).square().sum()).sqrt()
        results.append((ds, dv, *torch.autograd.grad(loss, wanted)))
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("first", [False, True])
def test_gradients_of_the_fused_operator(first):
    geometry, values = inputs(first=first)
    given = [x for x in values if x is not None]

    def run(*tensors):
        return filtered_messages(geometry, *tensors, *[None] * (4 - len(tensors)))

    assert torch.autograd.gradcheck(run, given)


def test_the_fused_operator_is_bit_equal_from_run_to_run():
    geometry, values = inputs(torch.float32)
    first, second = (filtered_messages(geometry, *values) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_gradients_of_positions_come_from_the_plain_formulation():
    pos, edges, basis = structure()
    pos.requires_grad_()
    geometry = edge_geometry(pos, edges, basis, CUTOFF)
    _, values = inputs()
    ds, dv = filtered_messages(geometry, *values)
    (ds.sum() + dv.sum()).backward()
    assert float(pos.grad.abs().sum()) > 0


def test_mixed_precision_inputs_are_computed_in_the_precision_of_the_geometry():
    geometry, values = inputs(torch.float32)
    halves = [values[0], *[x.bfloat16() for x in values[1:]]]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ds, dv = filtered_messages(geometry, *halves)
    assert ds.dtype == dv.dtype == torch.float32


def test_no_edges_give_no_messages():
    edges = SortedEdges.build(torch.zeros(2, 0, dtype=torch.int64), 3)
    geometry = EdgeGeometry(edges, torch.zeros(0, R + 1), torch.zeros(3, 0))
    weight = torch.randn(R + 1, 2 * D, requires_grad=True)
    ds, dv = filtered_messages(geometry, weight, torch.randn(3, D), torch.randn(3, D), None)
    (ds.sum() + dv.sum()).backward()
    assert not ds.any()
    assert not dv.any()
    assert not weight.grad.any()


def test_two_points_in_one_place_have_no_direction():
    edges = SortedEdges.build(torch.tensor([[0, 1], [1, 0]]), 2)
    geometry = edge_geometry(torch.ones(2, 3), edges, BesselBasis(R, CUTOFF), CUTOFF)
    assert not geometry.unit.any()
    assert bool(geometry.basis.isfinite().all())


class Stack(nn.Module):
    """Two rounds and a readout."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            [PaiNNMessage(D, R, first=True), PaiNNUpdate(D), PaiNNMessage(D, R), PaiNNUpdate(D)]
        )
        self.readout = GatedEquivariantBlock(D, 2, 3, hidden=6, dropout=0.5)

    def forward(self, s, geometry):
        v = None
        for layer in self.layers:
            s, v = layer(s, v, geometry) if isinstance(layer, PaiNNMessage) else layer(s, v)
        return self.readout(s, v)


def test_layers_turn_with_their_input():
    pos, edges, basis = structure()
    model = Stack().double().eval()
    s = torch.randn(N, D, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    for matrix in (turn, -turn):
        q, v = model(s, edge_geometry(pos, edges, basis, CUTOFF))
        q_turned, v_turned = model(s, edge_geometry(pos @ matrix.T, edges, basis, CUTOFF))
        torch.testing.assert_close(q_turned, q)
        torch.testing.assert_close(v_turned, torch.einsum("ij,njd->nid", matrix, v))


def test_every_weight_of_the_layers_learns():
    pos, edges, basis = structure()
    model = Stack().double()
    q, v = model(torch.randn(N, D, dtype=torch.float64), edge_geometry(pos, edges, basis, CUTOFF))
    (q.sum() + v.square().sum()).backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in model.parameters())


def test_vector_norm_has_a_finite_gradient_at_zero():
    v = torch.zeros(2, 3, D, requires_grad=True)
    vector_norm(v).sum().backward()
    assert not v.grad.any()


def test_layers_can_be_exported_with_graphs_of_any_size():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.stack = Stack().eval()
            self.basis = BesselBasis(R, CUTOFF)

        def forward(self, s, pos, edge_index):
            edges = SortedEdges.build(edge_index, pos.shape[0])
            return self.stack(s, edge_geometry(pos, edges, self.basis, CUTOFF))

    pos, edges, _ = structure(torch.float32)
    model = Whole()
    s, edge_index = torch.randn(N, D), torch.stack([edges.source, edges.target])
    nodes, count = torch.export.Dim("nodes", min=2), torch.export.Dim("edges", min=2)
    shapes = ({0: nodes}, {0: nodes}, {1: count})
    program = torch.export.export(model, (s, pos, edge_index), dynamic_shapes=shapes).module()
    for n in (N, 7):
        kept = edge_index[:, (edge_index < n).all(0)].flip(1)
        got, want = program(s[:n], pos[:n], kept), model(s[:n], pos[:n], kept)
        for a, b in zip(got, want, strict=True):
            torch.testing.assert_close(a, b)
