"""To PyTorch Geometric and back, exactly, and equal to PyG's own batching."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from graphwright.data.batch import GraphBatch
from graphwright.data.convert import (
    from_pyg_batch,
    from_pyg_list,
    pack_pyg,
    pyg_data,
    to_pyg_batch,
    to_pyg_list,
)
from graphwright.data.convert_hetero import from_hetero_list, to_hetero_list
from graphwright.errors import DataError, MissingExtraError

Batch, Data, HeteroData = pyg_data().Batch, pyg_data().Data, pyg_data().HeteroData


def make_list(count: int = 7, seed: int = 0) -> list[Any]:
    torch.manual_seed(seed)
    graphs = []
    for number in range(count):
        nodes, edges = 1 + number, (3 * number) % 11
        graphs.append(
            Data(
                x=torch.randn(nodes, 4),
                z=torch.randint(9, (nodes,)),
                edge_index=torch.randint(nodes, (2, edges)),
                edge_attr=torch.randn(edges, 2, dtype=torch.float64),
                fixed=torch.rand(nodes) < 0.5,
                y=torch.randn(1, 3),
                energy=torch.tensor([number]),
            )
        )
    return graphs


def assert_same(one: Any, other: Any) -> None:
    """Two Data or HeteroData hold the same, to the bit."""
    first, second = one.to_dict(), other.to_dict()
    assert first.keys() == second.keys()
    for key, value in first.items():
        pairs = [(value, second[key])]
        if isinstance(value, dict):
            assert value.keys() == second[key].keys(), key
            pairs = [(value[name], second[key][name]) for name in value]
        for a, b in pairs:
            if isinstance(a, torch.Tensor):
                assert a.dtype == b.dtype, key
                assert torch.equal(a, b), key
            else:
                assert a == b, key


def test_a_list_goes_there_and_back() -> None:
    graphs = make_list()
    batch = from_pyg_list(graphs)
    assert sorted(batch.nodes) == ["fixed", "x", "z"]
    assert sorted(batch.edges) == ["edge_attr"]
    assert sorted(batch.graphs) == ["energy", "y"]
    for one, other in zip(graphs, to_pyg_list(batch), strict=True):
        assert_same(one, other)


def test_a_batch_is_what_pyg_makes() -> None:
    graphs = make_list()
    wanted, found = Batch.from_data_list(graphs), to_pyg_batch(from_pyg_list(graphs))
    assert_same(wanted, found)
    assert found.num_graphs == 7
    for number, graph in enumerate(graphs):
        assert_same(graph, found.get_example(number))
    back = from_pyg_batch(found)
    assert torch.equal(back.edge_index, wanted.edge_index)
    assert torch.equal(back.node_ptr, wanted.ptr)


def test_layers_of_pyg_work_on_it() -> None:
    from torch_geometric.nn import GINConv, global_add_pool

    graphs = make_list()
    layer = GINConv(torch.nn.Linear(4, 2))
    outs = []
    for data in (Batch.from_data_list(graphs), to_pyg_batch(from_pyg_list(graphs))):
        outs.append(global_add_pool(layer(data.x, data.edge_index), data.batch))
    assert torch.equal(*outs)


def test_graphs_without_node_fields() -> None:
    graphs = [Data(edge_index=torch.tensor([[0], [1]]), num_nodes=n) for n in (2, 4)]
    batch = from_pyg_list(graphs)
    assert batch.node_ptr.tolist() == [0, 2, 6]
    whole = to_pyg_batch(batch)
    assert whole.num_nodes == 6
    assert whole.get_example(1).num_nodes == 4
    for one, other in zip(graphs, to_pyg_list(batch), strict=True):
        assert_same(one, other)


def test_graphs_without_edges() -> None:
    batch = from_pyg_list([Data(x=torch.ones(3, 2)), Data(x=torch.ones(1, 2))])
    assert batch.num_edges == 0
    assert to_pyg_list(batch)[1].edge_index.shape == (2, 0)


def test_numbers_become_rows() -> None:
    batch = from_pyg_list([Data(x=torch.ones(2), y=0.5, t=torch.tensor(3)) for _ in range(2)])
    assert batch.graphs["y"].tolist() == [0.5, 0.5]
    assert batch.graphs["t"].tolist() == [3, 3]


@pytest.mark.parametrize(("name", "level"), [("y", "graphs"), ("z", "nodes"), ("edge_w", "edges")])
def test_what_could_be_anything_goes_by_its_name(name: str, level: str) -> None:
    data = Data(edge_index=torch.zeros(2, 1, dtype=torch.long), num_nodes=1)
    data[name] = torch.ones(1)
    assert list(getattr(from_pyg_list([data]), level)) == [name]


def test_levels_may_be_stated() -> None:
    graphs = [Data(x=torch.ones(n, 1), y=torch.ones(3)) for n in (3, 3)]
    assert from_pyg_list(graphs).nodes["y"].shape == (6,)
    assert from_pyg_list(graphs, {"y": "graph"}).graphs["y"].shape == (2, 3)


@pytest.mark.parametrize(
    ("graphs", "message"),
    [
        ([], "no graphs"),
        ([Data(x=torch.ones(1)), Data(z=torch.ones(1))], "graph 1 has other fields"),
        ([Data(x=torch.ones(3), u=torch.ones(2))], "'u' has neither"),
        ([Data(x=torch.ones(3), u="text")], "'u' is a str"),
    ],
)
def test_what_cannot_be_converted(graphs: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_pyg_list(graphs)


def test_two_fields_of_one_name() -> None:
    batch = GraphBatch.from_arrays(
        node_counts=[1],
        edge_counts=[0],
        edge_index=[[], []],
        nodes={"x": [1.0]},
        graphs={"x": [2.0]},
    )
    with pytest.raises(DataError, match="'x'"):
        to_pyg_batch(batch)


def test_pyg_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = from_pyg_list(make_list(1))
    monkeypatch.setitem(sys.modules, "torch_geometric.data", None)
    with pytest.raises(MissingExtraError, match="torch-geometric"):
        to_pyg_list(batch)


def test_packing_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphwright.data.convert._CHUNK", 3)
    graphs = make_list()
    for number, graph in enumerate(graphs):
        graph.name = f"g{number}"
    store = pack_pyg(iter(graphs), tmp_path / "s", attributes={"a": 1})
    assert store.strings("name", [6, 0]) == ["g6", "g0"]
    assert store.attributes == {"a": 1}
    for number, graph in enumerate(to_pyg_list(store.batch(range(7)))):  # type: ignore[arg-type]
        graph.name = f"g{number}"
        assert_same(graphs[number], graph)
    with pytest.raises(DataError, match="no graphs"):
        pack_pyg([], tmp_path / "none")


def make_hetero(count: int = 4) -> list[Any]:
    torch.manual_seed(0)
    graphs = []
    for number in range(count):
        papers, authors, links = 2 + number, 1 + number, 3 * number
        data = HeteroData()
        data["paper"].x = torch.randn(papers, 5)
        data["paper"].year = torch.randint(9, (papers,))
        data["author"].x = torch.randn(authors, 2)
        data["author"].seen = torch.rand(authors) < 0.5
        data["venue"].num_nodes = 2
        ends = torch.stack([torch.randint(n, (links,)) for n in (authors, papers)])
        data["author", "writes", "paper"].edge_index = ends
        data["author", "writes", "paper"].edge_attr = torch.randn(links, 1)
        data["paper", "cites", "paper"].edge_index = torch.randint(papers, (2, 4))
        data["paper", "cites", "paper"].edge_attr = torch.randn(4, 1)
        data["paper", "cites", "paper"].age = torch.randn(4)
        data.y = torch.randn(1, 2)
        graphs.append(data)
    return graphs


def test_hetero_goes_there_and_back() -> None:
    graphs = make_hetero()
    batch, layout = from_hetero_list(graphs)
    assert sorted(batch.nodes) == ["node_type", "seen", "x__author", "x__paper", "year"]
    assert sorted(batch.edges) == ["age", "edge_attr", "edge_type"]
    assert batch.node_graph.bincount().tolist() == [5, 7, 9, 11]
    for one, other in zip(graphs, to_hetero_list(batch, layout), strict=True):
        assert_same(one, other)


def test_hetero_equals_the_homogeneous_view_of_pyg() -> None:
    graph = make_hetero()[2]
    batch, _ = from_hetero_list([graph])
    plain = graph.to_homogeneous()
    assert torch.equal(batch.edge_index, plain.edge_index)
    assert torch.equal(batch.nodes["node_type"], plain.node_type)
    assert torch.equal(batch.edges["edge_type"], plain.edge_type)


def test_what_cannot_be_converted_from_hetero() -> None:
    with pytest.raises(DataError, match="no graphs"):
        from_hetero_list([])
    one, other = make_hetero(2)
    del other["paper", "cites", "paper"]
    with pytest.raises(DataError, match="differ in their types"):
        from_hetero_list([one, other])
    one, other = make_hetero(2)
    del other.y
    with pytest.raises(DataError, match="graph fields"):
        from_hetero_list([one, other])
    one.y = torch.ones(3)
    with pytest.raises(DataError, match="first dimension of 1"):
        from_hetero_list([one])
    one["paper"].title = "text"
    with pytest.raises(DataError, match="'title' is not a tensor"):
        from_hetero_list([one])
    bare = make_hetero(1)[0]
    del bare["paper", "cites", "paper"].edge_index
    with pytest.raises(DataError, match="no edge_index"):
        from_hetero_list([bare])
