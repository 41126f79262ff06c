"""What models see: vocabulary, features, positions, the virtual node, labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from graphwright.errors import BundleError, DataError
from graphwright.tasks.nas.arch import Arch
from graphwright.tasks.nas.columns import ColumnScaler
from graphwright.tasks.nas.config import NasConfig
from graphwright.tasks.nas.data_config import GraphConfig
from graphwright.tasks.nas.encoding import encode, fit_encoding
from graphwright.tasks.nas.loaded import Loaded, from_archs, from_cells, from_texts
from graphwright.tasks.nas.spaces import get_search_space, get_space

# 0-1 conv 3x3, 1-3 skip, all else none: one path, of two operations
ONE_PATH = "300010"
# every edge a convolution
FULL = "333333"
NOTHING = "000000"
TEXTS = [ONE_PATH, FULL, NOTHING, "421211", "012340"]


def config(**graph: Any) -> NasConfig:
    made = NasConfig()
    return replace(made, data=replace(made.data, graph=GraphConfig(**graph)))


def fitted(loaded: Loaded, options: NasConfig) -> Mapping[str, Any]:
    """The state, as it comes back from a bundle."""
    state: dict[str, Any] = json.loads(
        json.dumps(fit_encoding(loaded, np.arange(len(loaded)), options), allow_nan=False)
    )
    return state


def test_plain_graphs_are_those_of_the_space() -> None:
    loaded, options = from_texts(TEXTS, "nasbench201"), config()
    state = fitted(loaded, options)
    names = state["vocabulary"]
    assert tuple(names) == ("?", *sorted(get_space("nasbench201").ops))
    batch = encode(loaded, np.array([3, 0]), state, options).batch([1, 0])
    assert batch.nodes["op"].dtype == torch.int64
    assert batch.nodes.keys() == {"op"}
    assert not batch.graphs
    ops = [names[code] for code in batch.nodes["op"].tolist()]
    assert ops[:8] == [
        *("input", "nor_conv_3x3", "none", "none", "none", "skip_connect", "none", "output")
    ]
    assert batch.node_ptr.tolist() == [0, 8, 16]
    assert batch.edge_index[:, 10:].min() == 8
    target, source = batch.edge_index[1, :10].tolist(), batch.edge_index[0, :10].tolist()
    assert sorted(zip(target, source, strict=True)) == list(zip(target, source, strict=True))


def test_pruning_leaves_what_is_on_a_path() -> None:
    loaded, options = from_texts(TEXTS, "nasbench201"), config(prune=True)
    graphs = encode(loaded, np.arange(3), fitted(loaded, options), options)
    assert graphs.node_counts().tolist() == [4, 8, 2]
    assert graphs.graph(0).edge_index.tolist() == [[0, 1, 2], [1, 2, 3]]
    assert graphs.graph(2).edge_index.shape == (2, 0)


@pytest.mark.parametrize("prune", [False, True])
def test_features_of_graphs_are_counted_after_pruning(prune: bool) -> None:
    loaded, options = from_texts(TEXTS, "nasbench201"), config(prune=prune, features=True)
    state = fitted(loaded, options)
    scaler = ColumnScaler.from_json(state["features"])
    rows = encode(loaded, np.arange(5), state, options).column("features").numpy()
    raw = rows * np.array(scaler.scales) + np.array(scaler.means)
    units = np.array(scaler.units)
    raw = np.where(units > 0, np.expm1(raw) * units, raw)
    found = [dict(zip(scaler.names, row.round(3).tolist(), strict=True)) for row in raw]
    assert found[0]["nodes"] == 4
    assert found[0]["edges"] == found[0]["longest_path"] == found[0]["shortest_path"] == 3
    assert found[0]["log_paths"] == pytest.approx(1)
    assert found[0]["count nor_conv_3x3"] == found[0]["longest_path skip_connect"] == 1
    assert found[1]["log_paths"] == pytest.approx(np.log2(5), abs=2e-3)
    assert found[1]["count nor_conv_3x3"] == 6
    assert found[1]["longest_path nor_conv_3x3"] == 3
    assert found[2]["nodes"] == 2
    assert found[2]["log_paths"] == found[2]["longest_path"] == 0


def test_positions_are_longest_paths_from_both_ends() -> None:
    loaded, options = from_texts(TEXTS, "nasbench201"), config(prune=True, positions=True)
    state = fitted(loaded, options)
    position = encode(loaded, np.arange(1), state, options).graph(0).nodes["position"].numpy()
    scaler = ColumnScaler.from_json(state["positions"])
    raw = position * np.array(scaler.scales) + np.array(scaler.means)
    assert np.allclose(raw, [[0, 3], [1, 2], [2, 1], [3, 0]], atol=1e-5)


def test_the_virtual_node_joins_input_and_output() -> None:
    loaded = from_texts(TEXTS, "nasbench201")
    options = config(prune=True, virtual_node=True, positions=True)
    state = fitted(loaded, options)
    names = state["vocabulary"]
    graphs = encode(loaded, np.array([0, 2]), state, options)
    one, empty = graphs.graph(0), graphs.graph(1)
    assert [names[code] for code in one.nodes["op"]] == [
        *("input", "nor_conv_3x3", "skip_connect", "virtual", "output")
    ]
    assert one.edge_index.tolist() == [[0, 1, 0, 2, 3], [1, 2, 3, 4, 4]]
    assert one.nodes["position"][3].tolist() == [0, 0]
    assert [names[code] for code in empty.nodes["op"]] == ["input", "virtual", "output"]
    assert empty.edge_index.tolist() == [[0, 1], [1, 2]]


def test_paths_are_one_hot_and_meet_again_in_other_architectures() -> None:
    loaded, options = from_texts(TEXTS, "nasbench201"), config(paths=50)
    state = fitted(loaded, options)
    paths = encode(loaded, np.arange(5), state, options).column("paths").numpy()
    # 300010: conv-skip; 333333: 1, 2 and 3 convolutions (two of the four paths are equal)
    assert paths.sum(axis=1)[:3].tolist() == [1, 3, 0]
    other = from_texts([FULL, ONE_PATH], "nasbench201")
    again = encode(other, np.arange(2), state, options).column("paths").numpy()
    assert np.array_equal(again, paths[[1, 0]])


def test_table_features_scale_gaps_and_formulas() -> None:
    texts = get_search_space("nasbench201").sample(300, np.random.default_rng(0))
    cells, _ = get_space("nasbench201").encode(texts)
    from graphwright.tasks.nas.spaces.nasbench201 import params

    columns = {"params_M": params(cells) / 1e6, "lr": np.resize([0.1, 0.2, np.nan], 300)}
    loaded, options = from_texts(texts, "nasbench201", columns), config(features=True)
    state = fitted(loaded, options)
    assert state["computed_features"]["params_M"] == ["params", pytest.approx(1e-6)]
    features = encode(loaded, np.arange(300), state, options).column("features").numpy()
    assert features[:, 0].mean() == pytest.approx(0, abs=1e-5)
    assert features[:, 0].std() == pytest.approx(1, abs=1e-5)
    assert ColumnScaler.from_json(state["features"]).units[0] > 0  # over a factor of 20
    assert (features[2::3, 1] == 0).all()
    assert features[:, -1].tolist() == [1, 1, 0] * 100
    with pytest.raises(DataError, match="input has not: lr"):
        encode(from_texts(texts, "nasbench201"), np.arange(300), state, options)
    less = from_texts(texts, "nasbench201", {"lr": columns["lr"]})
    again = encode(less, np.arange(300), state, options).column("features").numpy()
    assert np.allclose(again, features, atol=1e-5)
    gaps = from_texts(texts, "nasbench201", {**columns, "params_M": np.full(300, np.nan)})
    with pytest.raises(DataError, match="'params_M' is missing for 300 of 300"):
        encode(gaps, np.arange(300), state, options)


def arch(kernel: float, *, odd: bool = False) -> Arch:
    """Input, convolution, ReLU (or something unheard-of), output."""
    return Arch(
        ops=("input", "Conv2d", "Strange" if odd else "ReLU", "output"),
        edges=np.array([[0, 1, 2], [1, 2, 3]]),
        attributes=(
            {},
            {"kernel_size_0": kernel, "out_channels": 16 * kernel},
            {"new": 1.0} if odd else {},
            {},
        ),
        features={"params": 100 * kernel, "flops": 1000 * kernel},
    )


def test_modules_have_hyperparameters_with_their_presence() -> None:
    loaded = from_archs([arch(1), arch(3), arch(5), arch(3)], ["a", "b", "c", "d"])
    options = config(features=True, prune=True)
    state = fitted(loaded, options)
    assert tuple(state["vocabulary"]) == ("?", "Conv2d", "ReLU", "input", "output")
    graphs = encode(loaded, np.arange(4), state, options)
    hyper = graphs.column("hyper").reshape(4, 4, 4).numpy()
    assert (hyper[:, [0, 2, 3]] == 0).all()
    assert (hyper[:, 1, 2:] == 1).all()
    kernels = np.array([1, 3, 5, 3])
    assert np.allclose(hyper[:, 1, 0], (kernels - 3) / kernels.std(), atol=1e-5)
    assert np.array_equal(hyper[1], hyper[3])
    assert len(loaded.hyper_RH) == 4  # three kernels, and nothing
    assert loaded.names(np.array([2, 0])) == ["c", "a"]


def test_an_unknown_type_is_unknown_and_its_hyperparameters_are_passed_over() -> None:
    loaded, options = from_archs([arch(1), arch(3)], ["a", "b"]), config()
    state = fitted(loaded, options)
    graph = encode(from_archs([arch(3, odd=True)], ["x"]), np.arange(1), state, options).graph(0)
    assert graph.nodes["op"].tolist() == [3, 1, 0, 4]
    assert graph.nodes["hyper"].shape == (4, 4)
    assert graph.nodes["hyper"][2].tolist() == [0, 0, 0, 0]


def test_levels_come_along() -> None:
    texts = get_search_space("nasbench_macro").sample(5, np.random.default_rng(0))
    loaded, options = from_texts(texts, "nasbench_macro"), config(prune=True)
    batch = encode(loaded, np.arange(5), fitted(loaded, options), options).batch(np.arange(5))
    assert batch.nodes["level"].dtype == torch.int64
    assert set(batch.nodes["level"].tolist()) == {0, 1}


def test_bad_texts_are_left_out_and_named() -> None:
    loaded = from_texts([FULL, "nonsense", ONE_PATH], "nasbench201", {"x": np.array([1.0, 2, 3])})
    assert len(loaded) == 2
    assert loaded.store.column("row").tolist() == [0, 2]
    assert [row for row, _ in loaded.bad] == [1]
    assert loaded.rejected["count"] == 1
    assert loaded.store.column("features").ravel().tolist() == [1, 3]
    with pytest.raises(DataError, match="no labels"):
        loaded.targets(np.arange(2))


def test_cells_go_in_and_come_out() -> None:
    texts = get_search_space("nasbench101").sample(50, np.random.default_rng(3))
    cells, _ = get_space("nasbench101").encode(texts)
    loaded = from_cells(cells, "nasbench101")
    index = np.array([7, 7, 2])
    assert loaded.names(index) == get_space("nasbench101").decode(cells.take(index))


def test_a_damaged_scaler_is_named() -> None:
    with pytest.raises(BundleError, match="not whole"):
        ColumnScaler.from_json({"names": ["a"]})
    whole = ColumnScaler.fit(np.ones((3, 1)), ["a"]).to_json()
    with pytest.raises(BundleError, match="lacks"):
        ColumnScaler.from_json({**whole, "names": []})
