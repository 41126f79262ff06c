"""EGNNLayer: the formula written out, and equivariance."""

import torch

from graphwright.nn.edges import SortedEdges
from graphwright.nn.egnn import EGNNLayer
from graphwright.nn.neighbors import knn_edges

N, D, R = 10, 4, 3


def make():
    torch.manual_seed(0)
    x = torch.randn(N, 3, dtype=torch.float64)
    edges = SortedEdges.build(knn_edges(x, torch.tensor([0, 4, N]), 3), N)
    layer = EGNNLayer(D, R).double()
    torch.nn.init.normal_(layer.move.weight)
    edge = torch.randn(edges.num_edges, R, dtype=torch.float64)
    return layer, torch.randn(N, D, dtype=torch.float64), x, edge, edges


def test_equals_the_paper_written_out():
    layer, h, x, edge, edges = make()
    got_h, got_x = layer(h, x, edge, edges)
    ends, bias = layer.ends.weight, layer.ends.bias.sum(0, keepdim=True) * 0
    for i in range(N):
        total, moved, count = torch.zeros(D).double(), torch.zeros(3).double(), 0
        for e in (edges.target == i).nonzero()[:, 0].tolist():
            j = int(edges.source[e])
            joint = ends[:D] @ h[i] + ends[D:] @ h[j] + layer.ends.bias[:D] + layer.ends.bias[D:]
            m = layer.message(joint + layer.edge.weight @ edge[e] + bias)
            moved = moved + (x[i] - x[j]) * layer.move(m)
            total, count = total + m, count + 1
        torch.testing.assert_close(got_x[i], x[i] + moved / count)
        torch.testing.assert_close(got_h[i], h[i] + layer.node(torch.cat([h[i], total])))


def test_turns_and_moves_with_its_input():
    layer, h, x, edge, edges = make()
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    h_out, x_out = layer(h, x, edge, edges)
    h_turned, x_turned = layer(h, x @ turn.T + 5.0, edge, edges)
    torch.testing.assert_close(h_turned, h_out)
    torch.testing.assert_close(x_turned, x_out @ turn.T + 5.0)


def test_a_node_without_neighbours_stays_where_it_is():
    layer, h, x, _, _ = make()
    edges = SortedEdges.build(torch.tensor([[0], [1]]), N)
    _, moved = layer(h, x, torch.zeros(1, R, dtype=torch.float64), edges)
    assert torch.equal(moved[2:], x[2:])
    assert not torch.equal(moved[1], x[1])
