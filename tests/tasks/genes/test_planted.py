"""Planted data: what a network knows, and what nothing else can know."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from graphwright.errors import DataError
from graphwright.tasks.genes.data_config import PlantedSource
from graphwright.tasks.genes.planted import Planted, make_planted, overlap

SOURCE = PlantedSource()


@pytest.fixture(scope="module")
def planted() -> Planted:
    return make_planted(SOURCE)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def halves(planted: Planted) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(0).permutation(len(planted.table))
    return order[: len(order) * 4 // 5], order[len(order) * 4 // 5 :]


def padded(planted: Planted) -> np.ndarray:
    """Genes of each set [S, 3], −1 where there is none."""
    table = planted.table
    genes = np.full((len(table), 3), -1, np.int64)
    place = np.arange(len(table.gene_index)) - np.repeat(table.gene_ptr[:-1], table.sizes())
    genes[np.repeat(np.arange(len(table)), table.sizes()), place] = table.gene_index
    return genes


def test_shape_noise_and_ceiling(planted: Planted) -> None:
    table = planted.table
    sizes, counts = np.unique(table.sizes(), return_counts=True)
    assert dict(zip(sizes.tolist(), counts.tolist(), strict=True)) == {2: 5600, 3: 2400}
    assert (table.repeats == 1).all()
    assert table.label is not None
    assert planted.signal.mean() == pytest.approx(0, abs=1e-9)
    assert planted.signal.std() == pytest.approx(1)
    assert (table.label - planted.signal).std() == pytest.approx(SOURCE.noise, rel=0.05)
    assert planted.ceiling == pytest.approx(0.958, abs=1e-3)
    assert correlation(planted.signal, table.label) == pytest.approx(planted.ceiling, abs=0.01)


def test_means_and_additive_models_find_nothing(planted: Planted) -> None:
    table, (train, test) = planted.table, halves(planted)
    label = table.label
    assert label is not None
    row = np.repeat(np.arange(len(table)), table.sizes())
    member = sparse.csr_matrix((np.ones(len(row)), (row, table.gene_index))).toarray()
    inner = member[train]
    best = -1.0
    for strength in (1.0, 10.0, 100.0):  # of ridge regression on the genes of a set
        gram = inner.T @ inner + strength * np.eye(inner.shape[1])
        weights = np.linalg.solve(gram, inner.T @ (label[train] - label[train].mean()))
        best = max(best, correlation(member[test] @ weights, label[test]))
    assert best < 0.1
    sums = np.bincount(table.pair[train], label[train], len(table.pair_names))
    counts = np.bincount(table.pair[train], minlength=len(table.pair_names))
    mean = np.where(counts > 0, sums / np.maximum(counts, 1), label[train].mean())
    assert correlation(mean[table.pair[test]], label[test]) < 0.1
    # a set's size tells nothing either
    assert abs(correlation(table.sizes().astype(float), label)) < 0.1


def test_networks_tell_everything(planted: Planted) -> None:
    """The overlaps of neighbourhoods, with one coefficient each, reach the ceiling."""
    table, genes, (train, test) = planted.table, padded(planted), halves(planted)
    label = table.label
    assert label is not None
    features = np.zeros((len(table), len(planted.multigraph.networks)))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        there = (genes[:, [one, other]] >= 0).all(1)
        for column, network in enumerate(planted.multigraph.networks):
            pair = genes[there][:, [one, other]]
            features[there, column] += overlap(planted.multigraph, network.name, pair, genes[there])
    weights = np.linalg.lstsq(features[train], label[train], rcond=None)[0]
    assert correlation(features[test] @ weights, label[test]) == pytest.approx(
        planted.ceiling, abs=0.01
    )
    assert weights[0] > 1
    assert weights[1] < -1
    assert np.abs(weights[2:]).max() < 0.2  # decoys


def test_overlap_counts_what_is_left(planted: Planted) -> None:
    graph = planted.multigraph
    network = graph["redundancy"]
    neighbours = [
        set(network.indices[network.indptr[i] : network.indptr[i + 1]].tolist()) for i in range(400)
    ]
    genes = padded(planted)[[0, 1, 2, -1, -2, -3]]
    found = overlap(graph, "redundancy", genes[:, :2], genes)
    for row, value in zip(genes.tolist(), found.tolist(), strict=True):
        one, other = (neighbours[gene] - set(row) for gene in row[:2])
        assert value == pytest.approx(len(one & other) / np.sqrt(len(one) * len(other)))


def test_a_seed_makes_the_same_data(planted: Planted) -> None:
    again, other = make_planted(SOURCE), make_planted(PlantedSource(seed=1))
    assert again.multigraph.digest == planted.multigraph.digest
    assert np.array_equal(again.signal, planted.signal)
    assert other.multigraph.digest != planted.multigraph.digest


def test_more_sets_than_there_are_is_told() -> None:
    with pytest.raises(DataError, match="different sets of 2"):
        make_planted(PlantedSource(genes=60, sets=3000, triples=0.0))
    triples = make_planted(PlantedSource(genes=60, networks=2, sets=50, triples=1.0))
    assert set(triples.table.sizes().tolist()) == {3}
    assert [network.name for network in triples.multigraph.networks] == ["redundancy", "rivalry"]
