"""What the overlap head looks up is what a dense adjacency matrix says."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from graphwright.nn.shared_graph import SharedGraph
from graphwright.tasks.genes.models.gene_sets import PaddedSets
from graphwright.tasks.genes.models.overlap_head import (
    OverlapHead,
    overlap_features,
    pair_overlaps,
)

GENES = 25


def dense(seed: int, share: float = 0.2) -> torch.Tensor:
    upper = torch.rand(GENES, GENES, generator=torch.Generator().manual_seed(seed)) < share
    upper = upper.triu(1)
    return (upper | upper.T).double()


def shared(adjacency: torch.Tensor) -> SharedGraph:
    degrees = (adjacency > 0).sum(1)
    indptr = torch.cat([torch.zeros(1, dtype=torch.int64), degrees.cumsum(0)])
    return SharedGraph.from_csr(indptr, adjacency.nonzero()[:, 1])


def sets(*genes: list[int]) -> PaddedSets:
    ptr = torch.tensor(np.cumsum([0, *map(len, genes)]))
    index = torch.tensor([gene for one in genes for gene in one])
    return PaddedSets.of(SimpleNamespace(gene_index=index, gene_ptr=ptr))


def by_hand(adjacency: torch.Tensor, i: int, j: int) -> list[float]:
    common = float(adjacency[i] @ adjacency[j])
    product = float(adjacency[i].sum() * adjacency[j].sum())
    cosine = common / np.sqrt(product) if product else 0.0
    return [float(adjacency[i, j]), cosine, np.log1p(common)]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.4])
def test_pairs_are_those_of_the_dense_matrix(share: float) -> None:
    adjacency = dense(0, share)
    one, other = torch.triu_indices(GENES, GENES, offset=1)
    found = pair_overlaps(shared(adjacency), one, other)
    wanted = [by_hand(adjacency, i, j) for i, j in zip(one.tolist(), other.tolist(), strict=True)]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))


def test_sets_are_means_over_their_pairs_in_any_order() -> None:
    one, two = dense(1), dense(2)
    graphs = [shared(one), shared(two)]
    found = overlap_features(graphs, sets([3], [4, 9], [7, 1, 12], [12, 7, 1], [0, 1, 2, 3, 4]))
    assert not found[0].any()
    pair = torch.tensor(by_hand(one, 4, 9) + by_hand(two, 4, 9), dtype=torch.float64)
    torch.testing.assert_close(found[1], pair)
    triple = np.mean([by_hand(one, i, j) for i, j in ((7, 1), (7, 12), (1, 12))], axis=0)
    torch.testing.assert_close(found[2, :3], torch.tensor(triple))
    torch.testing.assert_close(found[2], found[3])
    torch.testing.assert_close(found[1:2], overlap_features(graphs, sets([4, 9])))


def test_an_edge_counts_in_either_direction() -> None:
    one_way = dense(3).triu()
    one, other = torch.triu_indices(GENES, GENES, offset=1)
    graph = shared(one_way)
    forward, backward = pair_overlaps(graph, one, other), pair_overlaps(graph, other, one)
    torch.testing.assert_close(forward, backward)
    torch.testing.assert_close(forward[:, 0], one_way[one, other])


def test_head_starts_at_zero_and_learns_which_network_matters() -> None:
    torch.manual_seed(0)
    graphs = [shared(dense(4)), shared(dense(5))]
    one, other = torch.triu_indices(GENES, GENES, offset=1)
    batch = sets(*torch.stack([one, other], 1).tolist())
    label = dense(5)[one, other][:, None].float() - 0.2
    head = OverlapHead(2, 8, 0.0)
    assert not head(graphs, batch).any()
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    for _ in range(150):
        loss = (head(graphs, batch) - label).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.01


def test_features_are_scaled_and_bounded() -> None:
    graphs = [shared(dense(4))]
    head = OverlapHead(1, 4, 0.0)
    torch.nn.init.ones_(head.linear.weight)
    batch = sets(*dense(4).nonzero()[:1].tolist())
    head.scale.copy_(torch.tensor([1e-6, 1.0, 1e9]))
    edge, cosine, _ = overlap_features(graphs, batch)[0].tolist()
    assert edge == 1
    assert head(graphs, batch).item() == pytest.approx(8.0 + cosine, abs=1e-5)
