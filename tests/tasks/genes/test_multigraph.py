"""One shared multigraph: what becomes of every edge, and the doors to other forms."""

from __future__ import annotations

from pathlib import Path

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.errors import DataError
from graphwright.tasks.genes.csr import csr_from_pairs
from graphwright.tasks.genes.multigraph import GeneMultigraph
from graphwright.tasks.genes.network import Network

GENES = ("A", "B", "C", "D", "E")


def small(storage: str = "symmetric") -> GeneMultigraph:
    edges = {"one": (["A", "B", "B", "D", "D"], ["B", "A", "C", "D", "B"]), "two": ([0, 0], [4, 4])}
    return GeneMultigraph.from_edge_lists(GENES, edges, storage=storage)  # type: ignore[arg-type]


def pairs_of(network: Network) -> set[tuple[int, int]]:
    return set(zip(*network.edge_index().tolist(), strict=True))


@st.composite
def edge_lists(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    count = draw(st.integers(1, 9))
    place = st.integers(0, count - 1)
    return count, draw(st.lists(st.tuples(place, place), max_size=30))


@given(edge_lists())
@settings(deadline=None, max_examples=60)
def test_counts_of_edges_add_up(case: tuple[int, list[tuple[int, int]]]) -> None:
    count, edges = case
    source, target = (np.array([edge[end] for edge in edges], np.int64) for end in (0, 1))
    built = csr_from_pairs(source, target, count, "symmetric")
    found, counts = pairs_of(Network("x", built.indptr, built.indices, True)), built.counts
    assert found == {(a, b) for a, b in edges if a != b} | {(b, a) for a, b in edges if a != b}
    assert len(found) == len(built.indices) == counts["stored"]
    assert counts["stored"] == (
        counts["given"] - counts["self_loops"] - counts["duplicates"] + counts["one_way"]
    )
    compat = csr_from_pairs(source, target, count, "compat")
    one_way = pairs_of(Network("x", compat.indptr, compat.indices, False))
    assert one_way == {(a, b) for a, b in found if a < b} | {(i, i) for i in range(count)}


def test_rows_list_the_sources_of_messages() -> None:
    compat = small("compat")["one"]
    # B gets messages of A and of itself, D of B and of itself; nothing flows to a lower place
    assert compat.indices[compat.indptr[1] : compat.indptr[2]].tolist() == [0, 1]
    assert compat.indices[compat.indptr[3] : compat.indptr[4]].tolist() == [1, 3]
    assert not compat.symmetric
    assert compat.indices.dtype == np.int32
    assert compat.indptr.dtype == np.int64


def test_summary_says_what_was_dropped() -> None:
    described = small().summary()
    assert described["networks"]["one"]["self loops"] == 1
    assert described["networks"]["two"]["duplicates"] == 1
    assert "both directions" in described["storage"]
    assert "self loop on every gene" in small("compat").summary()["storage"]


@given(edge_lists(), st.data())
@settings(deadline=None, max_examples=60)
def test_mask_and_subgraph_agree(
    case: tuple[int, list[tuple[int, int]]], data: st.DataObject
) -> None:
    count, edges = case
    names = [f"g{i}" for i in range(count)]
    ends = tuple([edge[end] for edge in edges] for end in (0, 1))
    graph = GeneMultigraph.from_edge_lists(names, {"x": ends})  # type: ignore[dict-item]
    deleted = data.draw(st.lists(st.integers(0, count - 1), max_size=count))
    mask, left = graph.edge_mask(deleted)["x"], graph.subgraph(deleted)
    kept = [
        (names[a], names[b])
        for (a, b), there in zip(graph["x"].edge_index().T.tolist(), mask, strict=True)
        if there
    ]
    assert kept == [(left.genes[a], left.genes[b]) for a, b in left["x"].edge_index().T.tolist()]
    assert set(left.genes) == set(names) - {names[i] for i in deleted}
    assert all(a not in left.genes or b not in left.genes or (a, b) in kept for a, b in kept)
    wanted = [i not in deleted and j not in deleted for i, j in graph["x"].edge_index().T.tolist()]
    assert mask.tolist() == wanted


def test_networkx_and_back_through_pyg() -> None:
    drawn = {"ring": networkx.cycle_graph(["x", "y", "z"]), "pair": networkx.Graph([("x", "w")])}
    graph = GeneMultigraph.from_networkx(drawn)
    assert graph.genes == ("w", "x", "y", "z")
    assert graph["ring"].num_edges == 6
    assert pairs_of(graph["pair"]) == {(0, 1), (1, 0)}
    empty = GeneMultigraph.from_networkx({"none": networkx.Graph()}, genes=["x"])
    assert empty["none"].num_edges == 0

    pytest.importorskip("torch_geometric")
    data = graph.to_hetero()
    assert data["gene", "ring", "gene"].edge_index.tolist() == graph["ring"].edge_index().tolist()
    assert data["gene"].num_nodes == 4
    again = GeneMultigraph.from_hetero(data)
    assert again.genes == graph.genes
    for network in graph.networks:
        assert again[network.name].indices.tolist() == network.indices.tolist()


def test_hetero_with_two_types_of_nodes_is_refused() -> None:
    pyg = pytest.importorskip("torch_geometric.data")
    data = pyg.HeteroData()
    data["gene"].num_nodes = 2
    data["drug"].num_nodes = 1
    with pytest.raises(DataError, match="one type of nodes"):
        GeneMultigraph.from_hetero(data)


def test_saved_loaded_and_damaged(tmp_path: Path) -> None:
    graph = small()
    graph.save(tmp_path)
    again = GeneMultigraph.load(tmp_path)
    assert again.digest == graph.digest
    assert again.summary() == graph.summary()
    assert small("compat").digest != graph.digest
    assert graph.choose(["two"]).digest != graph.digest
    array = tmp_path / "0.indices.npy"
    raw = bytearray(array.read_bytes())
    raw[-4] ^= 1
    array.write_bytes(raw)
    with pytest.raises(DataError):
        GeneMultigraph.load(tmp_path)
    array.write_bytes(raw[:-8])
    with pytest.raises(DataError):
        GeneMultigraph.load(tmp_path)


def test_what_makes_no_sense_is_told() -> None:
    with pytest.raises(DataError, match="'YAL1' say, did you mean YAL2"):
        GeneMultigraph.from_edge_lists(["YAL2", "X"], {"x": (["X"], ["YAL1"])})
    with pytest.raises(DataError, match="gene 5"):
        GeneMultigraph.from_edge_lists(GENES, {"x": ([0], [5])})
    with pytest.raises(DataError, match="appears twice"):
        GeneMultigraph(("A", "A"), ())
    with pytest.raises(DataError, match="no network 'oen', did you mean one"):
        small()["oen"]
    with pytest.raises(DataError, match=r"0\.\.4"):
        small().edge_mask([5])
    with pytest.raises(DataError, match="begin but"):
        csr_from_pairs(np.array([0]), np.array([0, 1]), 2, "symmetric")
    crooked = Network("x", np.array([0, 2, 1], np.int64), np.array([0], np.int32), True)
    with pytest.raises(DataError, match="ascend"):
        GeneMultigraph(("A", "B"), (crooked,))
