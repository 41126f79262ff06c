"""Packed graphs of structures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from graphwright.data.packed import PackedGraphs
from graphwright.errors import DataError
from graphwright.tasks.geometry import graphs as graphs_module
from graphwright.tasks.geometry.data_config import GraphConfig
from graphwright.tasks.geometry.graphs import build_graphs, build_store, graph_fields
from graphwright.tasks.geometry.structures import StructureTable


def make_table(*, is_position: bool = True) -> StructureTable:
    rng = np.random.default_rng(0)
    counts = [5, 2, 30, 12]
    N = sum(counts)
    return StructureTable(
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        pos=rng.normal(size=(N, 3)) + 10,
        names=np.array(["a", "b", "ç", "d"]),
        z=rng.integers(1, 9, size=N),
        features=rng.normal(size=(N, 2)),
        target=rng.normal(size=(4, 3)) + 10,
        group=np.array([0, 0, 1, 2]),
        position_unit="angstrom",
        target_unit="a.u.",
        target_name="dipole",
        target_is_position=is_position,
    )


def test_round_trip_through_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs_module, "CHUNK_POINTS", 8)  # several chunks, one too large
    table = make_table()
    store = build_store(table, tmp_path / "store", graph=GraphConfig(k=3))
    assert len(store) == 4
    assert store.attributes["target_is_position"] is True
    assert store.attributes["graph"]["k"] == 3
    assert store.strings("name") == ["a", "b", "ç", "d"]
    batch = store.batch(np.array([2, 0]))
    assert table.target is not None
    assert table.z is not None
    for at, i in enumerate([2, 0]):
        mine = slice(int(batch.node_ptr[at]), int(batch.node_ptr[at + 1]))
        theirs = slice(table.offsets[i], table.offsets[i + 1])
        origin = batch.graphs["origin"][at].numpy()
        assert np.allclose(batch.nodes["pos"][mine].numpy() + origin, table.pos[theirs])
        assert np.allclose(batch.nodes["pos"][mine].numpy().mean(axis=0), 0)
        assert np.allclose(batch.graphs["target"][at].numpy() + origin, table.target[i])
        assert batch.nodes["z"][mine].tolist() == table.z[theirs].tolist()
        assert int(batch.graphs["group"][at]) == [0, 0, 1, 2][i]


def test_a_dipole_stays_as_it_is() -> None:
    table = make_table(is_position=False)
    store = build_graphs(table, graph=GraphConfig())
    assert np.array_equal(store.column("target").numpy(), table.target)
    assert store.attributes["target_is_position"] is False


@pytest.mark.parametrize("graph", [GraphConfig(k=4), GraphConfig(kind="radius", cutoff=1.5)])
def test_edges_agree_with_a_tree(graph: GraphConfig) -> None:
    table = make_table()
    store = build_graphs(table, graph=graph)
    for i in range(len(table)):
        pos = table.pos[table.offsets[i] : table.offsets[i + 1]]
        tree = cKDTree(pos)
        if graph.kind == "knn":
            near = tree.query(pos, k=min(graph.k + 1, len(pos)))[1]
            expected = {(j, to) for to, row in enumerate(near.tolist()) for j in row if j != to}
        else:
            pairs = tree.query_pairs(graph.cutoff)
            expected = pairs | {(b, a) for a, b in pairs}
        edges = store.graph(i).edge_index
        assert set(zip(*edges.tolist(), strict=True)) == expected


def test_radius_graph_keeps_the_nearest() -> None:
    wide = GraphConfig(kind="radius", cutoff=100.0, max_neighbors=3)
    capped, nearest = (
        build_graphs(make_table(), graph=wide),
        build_graphs(make_table(), graph=GraphConfig(k=3)),
    )
    assert np.array_equal(capped.edge_counts(), nearest.edge_counts())


def test_memory_and_disk_give_the_same_graphs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs_module, "CHUNK_POINTS", 8)
    table, graph = make_table(), GraphConfig(k=3)
    on_disk = build_store(table, tmp_path / "store", graph=graph)
    assert build_graphs(table, graph=graph).digest == on_disk.digest


def test_every_field_is_declared() -> None:
    fields = {field.name: field for field in graph_fields(make_table())}
    assert set(fields) == {"pos", "origin", "name", "z", "features", "target", "group"}
    assert fields["pos"].unit == "angstrom"
    assert fields["pos"].dtype == "float64"
    assert fields["target"].unit == "a.u."
    assert all(field.meaning for field in fields.values())


def test_points_alone_are_enough() -> None:
    table = StructureTable(offsets=np.array([0, 3]), pos=np.eye(3), names=np.array(["only"]))
    store = build_graphs(table, graph=GraphConfig())
    assert {field.name for field in store.fields} == {"pos", "origin", "name"}
    assert store.edge_counts().tolist() == [6]


def test_a_store_is_not_overwritten_by_accident(tmp_path: Path) -> None:
    table, graph = make_table(), GraphConfig()
    build_store(table, tmp_path / "store", graph=graph)
    with pytest.raises(DataError, match="already"):
        build_store(table, tmp_path / "store", graph=graph)
    build_store(table, tmp_path / "store", graph=graph, overwrite=True)
    assert len(PackedGraphs.open(tmp_path / "store")) == 4


def test_values_that_are_not_finite_leave_no_store(tmp_path: Path) -> None:
    table = make_table()
    table.pos[3] = np.nan
    with pytest.raises(DataError, match="pos"):
        build_store(table, tmp_path / "store", graph=GraphConfig())
    assert not (tmp_path / "store").exists()
