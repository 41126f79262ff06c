"""Packed stores: a batch holds exactly what was written, and damage is noticed."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.helpers_data import FIELDS, assert_batch, random_graph, random_graphs, write
from graphwright.data import gather as gather_module
from graphwright.data.gather import gather_rows, plan_gather
from graphwright.data.packed import Field, PackedGraphs
from graphwright.data.packed_writer import PackedWriter
from graphwright.data.source import SampleSource, Subset
from graphwright.errors import DataError


@pytest.fixture(scope="module")
def graphs() -> list[dict[str, Any]]:
    return random_graphs(40)


@pytest.fixture(scope="module")
def store(graphs: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> PackedGraphs:
    return write(tmp_path_factory.mktemp("stores") / "plain", graphs)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(index=st.lists(st.integers(0, 39), max_size=50), resident=st.booleans())
def test_any_batch_equals_the_graphs_written(
    store: PackedGraphs, graphs: list[dict[str, Any]], index: list[int], resident: bool
) -> None:
    source = store.resident("cpu") if resident else store
    assert_batch(source.batch(index), graphs, index)
    assert source.strings("name", index) == [graphs[i]["graphs"]["name"] for i in index]


@settings(max_examples=80, deadline=None)
@given(
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=12),
    index=st.lists(st.integers(0, 100), max_size=20),
    rows_per_slice=st.sampled_from([0, 1, 2, 4, 1000]),
)
def test_every_way_to_gather_gives_the_same_rows(
    counts: list[int], index: list[int], rows_per_slice: int
) -> None:
    ptr = np.concatenate(([0], np.cumsum(counts)))
    array = np.arange(ptr[-1] * 2).reshape(-1, 2)
    rows = np.array([i % len(counts) for i in index], np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gather_module, "_ROWS_PER_SLICE", rows_per_slice)
        found = gather_rows(array, plan_gather(ptr, rows))
    wanted = [array[ptr[i] : ptr[i + 1]] for i in rows]
    assert np.array_equal(found, np.concatenate([array[:0], *wanted]))


def test_neighbours_are_copied_as_one_slice() -> None:
    ptr = np.arange(0, 5001, 50)
    gather = plan_gather(ptr, np.arange(20, 60))
    assert gather.slices == [slice(1000, 3000)]
    jump = plan_gather(ptr, np.concatenate((np.arange(20), np.arange(60, 80))))
    assert jump.slices == [slice(0, 1000), slice(3000, 4000)]


def test_large_graphs(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    graphs = [random_graph(rng, 300, 900, i) for i in range(4)]
    assert_batch(write(tmp_path / "s", graphs).batch([3, 0, 1, 3]), graphs, [3, 0, 1, 3])


def test_shape_of_the_store(store: PackedGraphs, graphs: list[dict[str, Any]]) -> None:
    nodes = [len(g["nodes"]["pos"]) for g in graphs]
    edges = [g["edge_index"].shape[1] for g in graphs]
    assert len(store) == 40
    assert store.node_counts().tolist() == nodes
    assert store.edge_counts().tolist() == edges
    assert store.sizes().tolist() == [n + e for n, e in zip(nodes, edges, strict=True)]
    assert store.fields == FIELDS
    assert store.attributes == {"unit": "Å"}
    assert "40 graphs" in repr(store)
    assert isinstance(store, SampleSource)
    assert_batch(store.graph(3), graphs, [3])
    assert len(store.strings("name")) == 40


def test_columns_are_whole_and_private(store: PackedGraphs, graphs: list[dict[str, Any]]) -> None:
    column = store.column("pos")
    assert torch.equal(column, torch.cat([torch.from_numpy(g["nodes"]["pos"]) for g in graphs]))
    column[:] = 0
    assert store.column("pos").abs().sum() > 0
    store.verify()
    assert store.resident("cpu").column("count").tolist() == list(range(40))


def test_wrong_names_and_kinds(store: PackedGraphs) -> None:
    with pytest.raises(DataError, match="did you mean weight"):
        store.column("wieght")
    with pytest.raises(DataError, match="holds texts"):
        store.column("name")
    with pytest.raises(DataError, match="holds texts"):
        store.resident("cpu").column("name")
    with pytest.raises(DataError, match="holds float32"):
        store.strings("pos")


@pytest.mark.parametrize("index", [[40], [-1], [[1]], [0.5]])
def test_an_index_outside_is_refused(store: PackedGraphs, index: list[Any]) -> None:
    with pytest.raises(DataError, match=r"outside 0\.\.39|vector of whole"):
        store.batch(index)


def test_pickles_by_place(store: PackedGraphs, graphs: list[dict[str, Any]]) -> None:
    text = pickle.dumps(store)
    assert len(text) < 1000
    assert_batch(pickle.loads(text).batch([5, 1]), graphs, [5, 1])
    again = pickle.loads(pickle.dumps(store.resident("cpu")))
    assert_batch(again.batch([5, 1]), graphs, [5, 1])
    assert again.resident("cpu").digest == store.digest


def in_memory(graphs: list[dict[str, Any]], **more: Any) -> PackedGraphs:
    def all_of(level: str) -> dict[str, Any]:
        return {k: np.concatenate([g[level][k] for g in graphs]) for k in graphs[0][level]}

    values = {k: [g["graphs"][k] for g in graphs] for k in ("count", "name", "y")}
    return PackedGraphs.from_arrays(
        node_counts=[len(g["nodes"]["pos"]) for g in graphs],
        edge_counts=torch.tensor([g["edge_index"].shape[1] for g in graphs]),
        edge_index=np.concatenate([g["edge_index"] for g in graphs], 1).astype(int),
        nodes=all_of("nodes"),
        edges=all_of("edges"),
        graphs={**values, "y": np.stack(values["y"]), "count": np.array(values["count"])},
        attributes={"unit": "Å"},
        **more,
    )


def test_in_memory_is_the_same_store(store: PackedGraphs, graphs: list[dict[str, Any]]) -> None:
    memory = in_memory(graphs, fields=FIELDS)
    assert memory.digest == store.digest
    memory.verify()
    assert_batch(memory.batch([9, 9, 0]), graphs, [9, 9, 0])
    assert memory.strings("name", [2]) == ["gräph 2"]
    assert_batch(pickle.loads(pickle.dumps(memory)).batch([1]), graphs, [1])
    assert "in memory" in repr(memory)


def test_in_memory_declares_its_own_fields(graphs: list[dict[str, Any]]) -> None:
    found = {f.name: (f.level, f.dtype, f.shape) for f in in_memory(graphs).fields}
    assert found == {f.name: (f.level, f.dtype, f.shape) for f in FIELDS}


def test_only_edges_and_no_fields() -> None:
    plain = PackedGraphs.from_arrays(
        node_counts=[3, 1], edge_counts=[2, 0], edge_index=[[0, 1], [1, 2]], index_dtype="uint8"
    )
    assert plain.batch([1, 0]).edge_index.tolist() == [[1, 2], [2, 3]]
    assert plain.resident("cpu").batch([1, 0]).edge_index.tolist() == [[1, 2], [2, 3]]


def test_subset_keeps_the_places_of_the_parent(store: PackedGraphs) -> None:
    subset = Subset(store, [7, 30, 2])
    assert len(subset) == 3
    assert subset.batch(np.array([2, 0])).index.tolist() == [2, 7]
    assert subset.sizes().tolist() == store.sizes()[[7, 30, 2]].tolist()
    assert Subset(subset, [1]).batch(np.array([0])).index.tolist() == [30]
    with pytest.raises(DataError, match="outside"):
        subset.batch(np.array([3]))
    with pytest.raises(DataError, match="outside"):
        Subset(store, [40])


def damaged(tmp_path: Path) -> Path:
    write(tmp_path / "s", random_graphs(10))
    return tmp_path / "s"


def test_a_truncated_array_is_noticed_on_opening(tmp_path: Path) -> None:
    folder = damaged(tmp_path)
    with (folder / "node.pos.bin").open("r+b") as file:
        file.truncate(20)
    with pytest.raises(DataError, match=r"truncated: node\.pos\.bin has 20 bytes"):
        PackedGraphs.open(folder)
    with pytest.raises(DataError, match="truncated"), PackedWriter.append(folder):
        pass


def test_a_missing_array_is_noticed_on_opening(tmp_path: Path) -> None:
    folder = damaged(tmp_path)
    (folder / "edge_ptr.bin").unlink()
    with pytest.raises(DataError, match="missing"):
        PackedGraphs.open(folder)


@pytest.mark.parametrize("name", ["edge.weight", "node_ptr", "graph.name.bytes"])
def test_a_flipped_bit_is_found(tmp_path: Path, name: str) -> None:
    folder = damaged(tmp_path)
    with (folder / f"{name}.bin").open("r+b") as file:
        file.seek(11)
        byte = file.read(1)[0]
        file.seek(11)
        file.write(bytes([byte ^ 1]))
    store = PackedGraphs.open(folder)
    with pytest.raises(DataError, match=f"{name} is damaged"):
        store.verify()
    with pytest.raises(DataError, match="damaged"), PackedWriter.append(folder):
        pass


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "not the schema"),
        ({"version": 2}, "format version 2"),
        ({"graphs": 9}, "truncated|damaged"),
        ({"graphs": -1}, "whole numbers"),
        ({"graphs": "many"}, "whole numbers"),
        ({"fields": [{"name": "../x", "level": "node", "dtype": "bool"}]}, "letters"),
        ({"fields": [{"nome": "x"}]}, "damaged"),
        ({"attributes": {"unit": "nm"}}, "digest does not fit"),
        ({"digest": "0"}, "digest does not fit"),
        ({"blocks": []}, "damaged"),
        ({"index_dtype": "object"}, "index_dtype"),
        ({"text_bytes": 3}, "damaged"),
    ],
)
def test_a_changed_schema_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = damaged(tmp_path) / "schema.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=message):
        PackedGraphs.open(path.parent).verify()


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no packed store"):
        PackedGraphs.open(tmp_path)
    (tmp_path / "schema.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        PackedGraphs.open(tmp_path)
    (tmp_path / "schema.json").write_text("[]")
    with pytest.raises(DataError, match="not the schema"):
        PackedGraphs.open(tmp_path)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (("a b", "node", "bool"), "letters"),
        (("batch", "node", "bool"), "own parts"),
        (("x", "face", "bool"), "node, edge or graph"),
        (("x", "node", "complex64"), "complex64"),
        (("x", "node", "str"), "text"),
        (("x", "graph", "str", (2,)), "text"),
        (("x", "node", "bool", (-1,)), "negative"),
    ],
)
def test_fields_that_cannot_be(field: tuple[Any, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Field(*field)


def test_arrays_are_little_endian_on_disk(tmp_path: Path) -> None:
    folder = damaged(tmp_path)
    first = random_graphs(10)[0]["nodes"]["pos"]
    raw = (folder / "node.pos.bin").read_bytes()[: first.nbytes]
    assert raw == first.astype("<f4").tobytes()
    assert (folder / "node_ptr.bin").read_bytes()[:8] == bytes(8)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_resident_on_a_gpu(store: PackedGraphs, graphs: list[dict[str, Any]]) -> None:
    batch = store.resident("cuda").batch([3, 1, 3])
    assert batch.device.type == "cuda"
    assert_batch(batch.to("cpu"), graphs, [3, 1, 3])
