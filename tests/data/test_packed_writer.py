"""The writer: refuses what is unfit, keeps memory bounded, survives being killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.helpers_data import FIELDS, assert_batch, random_graph, random_graphs, write
from graphwright.data import array_file, digest, packed_writer, swap
from graphwright.data.packed import Field, PackedGraphs
from graphwright.data.packed_writer import PackedWriter
from graphwright.errors import DataError

Graph = dict[str, Any]


def good() -> Graph:
    return random_graph(np.random.default_rng(0), 4, 6, 0)


def write_until_failure(writer: PackedWriter) -> None:
    """Enough graphs to reach the disk, then an error."""
    for _ in range(5000):
        writer.add(**good())
    raise ZeroDivisionError


def changed(**levels: dict[str, Any]) -> Graph:
    graph = good()
    for level, values in levels.items():
        graph[level] = {**graph[level], **values}
    return graph


def without(level: str, name: str) -> Graph:
    graph = good()
    del graph[level][name]
    return graph


BAD = [
    (without("nodes", "pos"), "node field 'pos' is missing"),
    (changed(nodes={"poss": 1}), "no node field 'poss', did you mean pos"),
    (changed(nodes={"pos": np.zeros((4, 2))}), r"'pos' must have the shape \(4, 3\)"),
    (changed(nodes={"kind": np.zeros(4)}), "'kind' holds int64, which float64 does not fit"),
    (changed(nodes={"fixed": np.zeros(4, int)}), "'fixed' holds bool"),
    (changed(edges={"weight": np.full(6, np.nan)}), "'weight' has 6 rows with NaN"),
    (changed(nodes={"pos": np.full((4, 3), 1e300)}), "'pos' has 4 rows with NaN or infinity"),
    (changed(graphs={"count": 2**40}), "'count': a value does not fit int32"),
    (changed(graphs={"y": [1.0, np.inf]}), "'y' has 1 rows"),
    (changed(graphs={"name": 3}), "'name' must be a valid text"),
    (changed(graphs={"name": "\ud800"}), "'name' must be a valid text"),
    ({**good(), "edge_index": np.full((2, 6), 4)}, "edge 4 → 4 in a graph of 4 nodes"),
    ({**good(), "edge_index": np.full((2, 6), -1)}, "edge -1 → -1"),
    ({**good(), "edge_index": np.zeros((6, 2), int)}, r"shape \(2, 6\)"),
    ({**good(), "edge_index": np.zeros((2, 6))}, "whole numbers"),
]


@pytest.mark.parametrize(("graph", "message"), BAD)
def test_an_unfit_graph_is_refused_and_named(tmp_path: Path, graph: Graph, message: str) -> None:
    with PackedWriter(tmp_path / "s", FIELDS) as writer:
        writer.add(**good())
        with pytest.raises(DataError, match=message) as caught:
            writer.add(**graph)
        assert caught.value.where == "graph 1"
        writer.add(**good())
        assert len(writer) == 2
    store = PackedGraphs.open(tmp_path / "s")
    assert len(store) == 2
    store.verify()


def test_the_bad_graph_of_many_is_named(tmp_path: Path) -> None:
    fields = [Field("x", "node", "float32"), Field("w", "edge", "int8")]
    many: Graph = {
        "node_counts": [2, 3, 1],
        "edge_counts": [1, 0, 1],
        "edge_index": [[0, 0], [1, 0]],
        "nodes": {"x": [0, 1, 2, 3, 4, 5]},
        "edges": {"w": [1, 2]},
    }
    with PackedWriter(tmp_path / "s", fields) as writer:
        for change, graph in (
            ({"nodes": {"x": [0, 1, 2, np.nan, 4, 5]}}, 1),
            ({"edges": {"w": [1, 300]}}, 2),
            ({"edge_index": [[0, 0], [1, 1]]}, 2),
        ):
            with pytest.raises(DataError) as caught:
                writer.add_many(**{**many, **change})
            assert caught.value.where == f"graph {graph}"
        for change, message in (
            ({"edge_counts": [1]}, "3 node counts but 1"),
            ({"node_counts": [2.0, 3, 1]}, "whole numbers"),
            ({"node_counts": [-1, 6, 1]}, "whole numbers"),
        ):
            with pytest.raises(DataError, match=message):
                writer.add_many(**{**many, **change})
        writer.add_many(**many)
        writer.add_many(
            node_counts=[], edge_counts=[], edge_index=[[], []], nodes={"x": []}, edges={"w": []}
        )
    assert PackedGraphs.open(tmp_path / "s").batch([2, 0]).edge_index.tolist() == [[0, 1], [0, 2]]


def test_texts_must_be_a_list(tmp_path: Path) -> None:
    with PackedWriter(tmp_path / "s", [Field("name", "graph", "str")]) as writer:
        for texts in ("ab", ["a"]):
            with pytest.raises(DataError, match="list of 2 texts"):
                writer.add_many(
                    node_counts=[1, 1],
                    edge_counts=[0, 0],
                    edge_index=[[], []],
                    graphs={"name": texts},
                )
        with pytest.raises(DataError, match="give num_nodes"):
            writer.add(edge_index=[[], []], graphs={"name": ""})
        writer.add(edge_index=[[], []], graphs={"name": ""}, num_nodes=1)
    assert PackedGraphs.open(tmp_path / "s").strings("name") == [""]


def test_infinite_values_where_they_are_declared(tmp_path: Path) -> None:
    with PackedWriter(tmp_path / "s", [Field("x", "node", "float64", finite=False)]) as writer:
        writer.add(edge_index=[[], []], nodes={"x": [np.nan, np.inf]})
    assert PackedGraphs.open(tmp_path / "s").column("x")[1].isinf()


def test_small_index_dtype_refuses_large_graphs(tmp_path: Path) -> None:
    with PackedWriter(tmp_path / "s", [], index_dtype="uint8") as writer:
        with pytest.raises(DataError, match="node 299 does not fit index_dtype uint8"):
            writer.add(edge_index=[[0], [299]], num_nodes=300)
        writer.add(edge_index=[[0], [255]], num_nodes=300)
    store = PackedGraphs.open(tmp_path / "s")
    assert store.batch([0, 0]).edge_index.tolist() == [[0, 300], [255, 555]]
    assert (tmp_path / "s" / "edge_index.bin").stat().st_size == 2


def test_the_caller_may_reuse_its_arrays(tmp_path: Path) -> None:
    with PackedWriter(tmp_path / "s", [Field("x", "node", "float32")]) as writer:
        values, ends = np.zeros(2, np.float32), np.zeros((1, 2), np.int32)
        for i in range(3):
            values[:], ends[:] = i, i % 2
            writer.add(edge_index=ends.T, nodes={"x": values})
    store = PackedGraphs.open(tmp_path / "s")
    assert store.column("x").tolist() == [0, 0, 1, 1, 2, 2]
    assert store.batch([0, 1]).edge_index.tolist() == [[0, 3], [0, 3]]


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unique: x"):
        PackedWriter(tmp_path / "s", [Field("x", "node", "bool"), Field("x", "edge", "bool")])
    with pytest.raises(DataError, match="JSON"):
        PackedWriter(tmp_path / "s", [], {"x": {1, 2}})
    with pytest.raises(DataError, match="JSON"):
        PackedWriter(tmp_path / "s", [], {"x": float("nan")})
    with pytest.raises(DataError, match="index_dtype"):
        PackedWriter(tmp_path / "s", [], index_dtype="int7")
    with pytest.raises(DataError, match="not open"):
        PackedWriter(tmp_path / "s", []).add(edge_index=[[], []], num_nodes=1)
    assert list(tmp_path.iterdir()) == []


def test_in_pieces_or_at_once_the_digest_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (digest, array_file):
        monkeypatch.setattr(module, "BLOCK_BYTES", 256)
    monkeypatch.setattr(packed_writer, "_FLUSH_CHUNKS", 3)
    graphs = random_graphs(30)
    whole = write(tmp_path / "whole", graphs)
    write(tmp_path / "pieces", graphs[:7])
    for piece in (graphs[7:8], [], graphs[8:]):
        with PackedWriter.append(tmp_path / "pieces") as writer:
            for graph in piece:
                writer.add(**graph)
    pieces = PackedGraphs.open(tmp_path / "pieces")
    pieces.verify()
    assert pieces.digest == whole.digest
    assert pieces.schema == whole.schema
    assert_batch(pieces.batch([29, 0, 7, 8]), graphs, [29, 0, 7, 8])


def test_an_empty_store(tmp_path: Path) -> None:
    store = write(tmp_path / "s", [])
    assert len(store) == 0
    assert store.batch([]).num_graphs == 0
    assert store.column("pos").shape == (0, 3)
    store.verify()


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), PackedWriter(tmp_path / "s", FIELDS) as writer:
        write_until_failure(writer)
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_an_append_leaves_the_old_store(tmp_path: Path) -> None:
    before = write(tmp_path / "s", random_graphs(5))
    with pytest.raises(ZeroDivisionError), PackedWriter.append(tmp_path / "s") as writer:
        write_until_failure(writer)
    after = PackedGraphs.open(tmp_path / "s")
    after.verify()
    assert after.digest == before.digest


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    write(tmp_path / "s", random_graphs(5))
    with pytest.raises(DataError, match="already there"):
        PackedWriter(tmp_path / "s", FIELDS)


@pytest.mark.parametrize("swaps", [True, False])
def test_overwrite_replaces_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swaps: bool
) -> None:
    if not swaps:
        monkeypatch.setattr(swap, "_exchange", lambda one, other: False)
    old = write(tmp_path / "s", random_graphs(5))
    with PackedWriter(tmp_path / "s", FIELDS, overwrite=True) as writer:
        writer.add(**good())
        assert len(PackedGraphs.open(tmp_path / "s")) == 5
    assert len(PackedGraphs.open(tmp_path / "s")) == 1
    # A reader of the old store keeps what it has mapped.
    assert_batch(old.batch([4]), random_graphs(5), [4])
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_one_that_appeared_meanwhile_is_kept(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="meanwhile"), PackedWriter(tmp_path / "s", FIELDS):
        write(tmp_path / "s", random_graphs(3))
    assert len(PackedGraphs.open(tmp_path / "s")) == 3


def test_two_appends_at_once(tmp_path: Path) -> None:
    write(tmp_path / "s", random_graphs(5))
    with PackedWriter.append(tmp_path / "s") as writer:
        with pytest.raises(DataError, match="another process"), PackedWriter.append(tmp_path / "s"):
            pass
        writer.add(**good())
    assert len(PackedGraphs.open(tmp_path / "s")) == 6


def test_an_append_that_waited_sees_the_newest_store(tmp_path: Path) -> None:
    write(tmp_path / "s", random_graphs(2))
    late = PackedWriter.append(tmp_path / "s")
    with PackedWriter.append(tmp_path / "s") as writer:
        writer.add(**good())
    with late:
        late.add(**good())
    store = PackedGraphs.open(tmp_path / "s")
    assert len(store) == 4
    store.verify()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_full_disk_is_explained_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(self: object, rows: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(array_file.ArrayFile, "write", fail)
    words = {errno.ENOSPC: "disk is full", errno.EROFS: "read-only"}.get(code, "Input/output")
    with pytest.raises(DataError, match=words), PackedWriter(tmp_path / "s", FIELDS) as writer:
        writer.add(**good())
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from data.helpers_data import FIELDS, random_graphs
from graphwright.data import packed_writer
from graphwright.data.packed_writer import PackedWriter
folder, how, when = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
if when == "schema":
    packed_writer.write_json_atomic = die
if when == "place":
    packed_writer.place_folder = die
appending = how == "append"
writer = PackedWriter.append(folder) if appending else PackedWriter(folder, FIELDS, overwrite=True)
with writer:
    for graph in random_graphs(8, seed=5):
        writer.add(**graph)
    writer._flush()
    if when == "middle":
        die()
"""


@pytest.mark.parametrize(
    ("how", "when"),
    [
        ("append", "middle"),
        ("append", "schema"),
        ("overwrite", "middle"),
        ("overwrite", "schema"),
        ("overwrite", "place"),
    ],
)
def test_kill_9_leaves_the_old_store(tmp_path: Path, how: str, when: str) -> None:
    graphs = random_graphs(6)
    folder = tmp_path / "s"
    before = write(folder, graphs)
    paths = [str(Path(__file__).parents[1]), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, str(folder), how, when]
    done = subprocess.run(command, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    after = PackedGraphs.open(folder)
    after.verify()
    assert after.digest == before.digest
    assert_batch(after.batch([5, 0]), graphs, [5, 0])
    # The next writer goes on as if nothing had happened, and sweeps up.
    if how == "append":
        with PackedWriter.append(folder) as writer:
            writer.add(**good())
        grown = PackedGraphs.open(folder)
        grown.verify()
        assert_batch(grown.batch([6, 2]), [*graphs, good()], [6, 2])
    else:
        write(folder, graphs[:2], overwrite=True)
        assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_the_folder_of_a_living_writer_is_not_swept_up(tmp_path: Path) -> None:
    with PackedWriter(tmp_path / "s", FIELDS) as slow:
        slow.add(**good())
        with PackedWriter(tmp_path / "s", FIELDS) as quick:
            quick.add(**good())
        (tmp_path / "s").rename(tmp_path / "other")
    assert len(PackedGraphs.open(tmp_path / "s")) == 1


def test_memory_is_bounded(tmp_path: Path) -> None:
    """60,000 graphs of 1.6 kB (96 MB on disk) go through a few megabytes."""
    nodes = 200
    with PackedWriter(tmp_path / "s", [Field("x", "node", "float64")]) as writer:
        piece: Graph = {
            "node_counts": np.full(300, nodes),
            "edge_counts": np.zeros(300, int),
            "edge_index": np.zeros((2, 0)),
            "nodes": {"x": np.zeros(300 * nodes)},
        }
        single: Graph = {"edge_index": np.zeros((2, 0)), "nodes": {"x": np.ones(nodes)}}
        tracemalloc.start()
        try:
            for _ in range(190):
                writer.add_many(**piece)
            for _ in range(3000):
                writer.add(**single)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 12e6
    store = PackedGraphs.open(tmp_path / "s")
    assert len(store) == 60_000
    assert (tmp_path / "s" / "node.x.bin").stat().st_size == 60_000 * nodes * 8
    assert store.batch([59_999]).nodes["x"].sum() == nodes


def test_opening_reads_nothing_but_the_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "s", random_graphs(50))
    read: list[str] = []
    original = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda self, **k: read.append(self.name) or original(self, **k)
    )
    monkeypatch.setattr(np, "fromfile", lambda *a, **k: pytest.fail("an array was read"))
    store = PackedGraphs.open(tmp_path / "s")
    assert read == ["schema.json"]
    # Every array is a view of a mapping: memory of its own would have no base.
    assert all(array.base is not None for array in store._arrays.values())
