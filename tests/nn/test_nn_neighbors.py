"""Neighbour lists against scipy's k-d tree."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

import graphwright.nn.neighbors as neighbors
from graphwright.nn.neighbors import knn_edges, radius_edges

SIZES = [1, 2, 30, 5, 0, 17, 9]


def clouds(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    ptr = torch.tensor([0, *SIZES]).cumsum(0)
    return torch.randn(int(ptr[-1]), 3, generator=generator, dtype=dtype), ptr


def nearest_by_tree(pos, ptr, k):
    found = []
    for start, stop in zip(ptr[:-1].tolist(), ptr[1:].tolist(), strict=True):
        part = pos[start:stop].numpy()
        take = min(k, len(part) - 1)
        if take < 1:
            continue
        _, hits = cKDTree(part).query(part, take + 1)
        for i, row in enumerate(hits):
            found += [(start + j, start + i) for j in row if j != i][:take]
    return found


def within_by_tree(pos, ptr, radius):
    found = set()
    for start, stop in zip(ptr[:-1].tolist(), ptr[1:].tolist(), strict=True):
        if stop > start:
            for i, j in cKDTree(pos[start:stop].numpy()).query_pairs(radius):
                found |= {(start + i, start + j), (start + j, start + i)}
    return found


def pairs(edges):
    return list(zip(*edges.tolist(), strict=True))


@pytest.mark.parametrize("k", [1, 4, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_knn_equals_the_tree_in_order_of_distance(k, dtype):
    pos, ptr = clouds(dtype)
    assert pairs(knn_edges(pos, ptr, k)) == nearest_by_tree(pos, ptr, k)


@pytest.mark.parametrize("block", [1, 200, 1000])
def test_small_blocks_give_the_same_edges(block, monkeypatch):
    pos, ptr = clouds()
    want, near = knn_edges(pos, ptr, 6), radius_edges(pos, ptr, 1.0)
    monkeypatch.setattr(neighbors, "_BLOCK", block)
    assert torch.equal(knn_edges(pos, ptr, 6), want)
    assert torch.equal(radius_edges(pos, ptr, 1.0), near)


def test_radius_equals_the_tree_and_is_sorted_by_target_then_source():
    pos, ptr = clouds()
    found = pairs(radius_edges(pos, ptr, 1.2))
    assert set(found) == within_by_tree(pos, ptr, 1.2)
    assert found == sorted(found, key=lambda pair: (pair[1], pair[0]))


def test_radius_keeps_only_the_nearest_where_told():
    pos, ptr = clouds()
    capped = set(pairs(radius_edges(pos, ptr, 1.2, max_neighbors=3)))
    assert capped == set(pairs(radius_edges(pos, ptr, 1.2))) & set(pairs(knn_edges(pos, ptr, 3)))
    assert np.bincount([target for _, target in capped]).max() == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ties_are_broken_by_index(dtype):
    pos = torch.tensor([[0.0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]], dtype=dtype)
    edges = knn_edges(pos, torch.tensor([0, 5]), 2)
    assert edges[0, edges[1] == 0].tolist() == [1, 2]
    assert edges[0, edges[1] == 3].tolist() == [0, 1]


def test_points_in_one_place_are_neighbours():
    edges = knn_edges(torch.zeros(3, 3), torch.tensor([0, 3]), 2)
    assert pairs(edges) == [(1, 0), (2, 0), (0, 1), (2, 1), (0, 2), (1, 2)]


def test_no_points_and_lonely_points_have_no_edges():
    assert knn_edges(torch.zeros(0, 3), torch.tensor([0]), 3).shape == (2, 0)
    assert radius_edges(torch.zeros(2, 3), torch.tensor([0, 1, 2]), 3.0).shape == (2, 0)


def test_senseless_arguments_are_refused():
    pos, ptr = clouds()
    with pytest.raises(ValueError, match="k must be"):
        knn_edges(pos, ptr, 0)
    with pytest.raises(ValueError, match="positive"):
        radius_edges(pos, ptr, 0.0)
    with pytest.raises(ValueError, match="positive"):
        radius_edges(pos, ptr, 1.0, max_neighbors=0)
