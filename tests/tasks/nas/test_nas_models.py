"""Every predictor: sizes, invariances, independence of members, and that it can learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from graphwright.data.packed import PackedGraphs
from graphwright.errors import DataError
from graphwright.tasks.nas.build import build_model
from graphwright.tasks.nas.config import NasConfig
from graphwright.tasks.nas.data_config import LabelsConfig, NasData
from graphwright.tasks.nas.model_configs import MODELS, FRNASConfig
from graphwright.tasks.nas.models.inputs import Sizes
from graphwright.tasks.nas.objective import objective

OPS, HYPER, POSITIONS, FEATURES, PATHS = 6, 3, 2, 4, 5


def _state(full: bool) -> dict:
    state = {
        "vocabulary": [str(i) for i in range(OPS)],
        "hyperparameters": None,
        "labels": {"metrics": ["accuracy"]},
    }
    if full:
        state["hyperparameters"] = {"names": ["a", "b", "c"], "gaps": [False] * 3}
        state["positions"] = {"names": ["from_input", "to_output"], "gaps": [False] * 2}
        # the last feature has gaps, and so a column that says where it is known
        state["features"] = {"names": ["x", "y", "z"], "gaps": [False, False, True]}
        state["paths"] = list(range(PATHS))
    return state


def _graphs(full: bool = False, count: int = 12, seed: int = 0) -> PackedGraphs:
    """Cells of two levels: a random DAG of operations, under a chain of two cells."""
    rng = np.random.default_rng(seed)
    nodes, edges, ends = [], [], []
    for _ in range(count):
        inner = int(rng.integers(3, 7))
        own = [(i, j) for j in range(inner) for i in range(j) if rng.random() < 0.6 or i == j - 1]
        member = [(i, inner + int(i >= inner // 2)) for i in range(inner)]
        ends += sorted([*own, *member, (inner, inner + 1)], key=lambda edge: edge[::-1])
        nodes.append(inner + 2)
        edges.append(len(own) + inner + 1)
    total = sum(nodes)
    level = np.concatenate([[0] * (n - 2) + [1, 1] for n in nodes])
    node_fields = {"op": rng.integers(1, OPS, total), "level": level}
    target = rng.normal(size=(count, 1)).astype(np.float32)
    graph_fields = {"target": target, "valid": np.ones((count, 1), np.float32)}
    if full:
        node_fields["hyper"] = rng.normal(size=(total, 2 * HYPER)).astype(np.float32)
        node_fields["position"] = rng.normal(size=(total, POSITIONS)).astype(np.float32)
        graph_fields["features"] = rng.normal(size=(count, FEATURES)).astype(np.float32)
        graph_fields["paths"] = rng.integers(0, 2, (count, PATHS)).astype(np.float32)
    return PackedGraphs.from_arrays(
        node_counts=nodes,
        edge_counts=edges,
        edge_index=np.array(ends).T,
        nodes=node_fields,
        graphs=graph_fields,
    )


def _config(name: str, **changes) -> NasConfig:
    return NasConfig(model=replace(MODELS[name], **changes))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_values_of_every_member_and_their_gradients(name, full):
    torch.manual_seed(0)
    config = _config(name, members=3)
    model = build_model(config, _state(full))
    batch = _graphs(full).batch(np.arange(12))
    predicted = model(batch)
    assert predicted.values_MBT.shape == (3, 12, 1)
    objective(predicted, batch, config).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any() or "bias" in key, key


@pytest.mark.parametrize("name", MODELS)
def test_an_architecture_is_predicted_alone_as_among_others(name):
    torch.manual_seed(0)
    model, graphs = build_model(_config(name), _state(True)).eval(), _graphs(True)
    together = model(graphs.batch(np.arange(12))).values_MBT
    turned = model(graphs.batch(np.arange(12)[::-1])).values_MBT.flip(1)
    torch.testing.assert_close(turned, together)
    for row in range(3):
        alone = model(graphs.batch(np.array([row]))).values_MBT
        torch.testing.assert_close(alone[:, 0], together[:, row], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_member_of_many_is_a_lone_model_with_its_weights(name):
    torch.manual_seed(0)
    many, lone = (build_model(_config(name, members=m), _state(True)) for m in (3, 1))
    batch = _graphs(True).batch(np.arange(12))
    weights = {}
    for key, tensor in many.state_dict().items():
        wanted = lone.state_dict()[key].shape
        copies = next(i for i, size in enumerate(tensor.shape) if size != wanted[i])
        # first those of one direction, one a member, then perhaps those of the other
        parts = tensor.chunk(wanted[copies], dim=copies)
        weights[key] = torch.cat([part.narrow(copies, 1, 1) for part in parts], dim=copies)
    lone.load_state_dict(weights)
    for model in (many, lone):
        model.train()
        for module in model.modules():
            if hasattr(module, "dropout"):
                module.dropout = 0.0
    torch.testing.assert_close(many(batch).values_MBT[1], lone(batch).values_MBT[0])
    torch.testing.assert_close(many.eval()(batch).values_MBT[1], lone.eval()(batch).values_MBT[0])


@pytest.mark.parametrize("conv", ["gcn", "gin", "gat", "sage"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("name", ["simple_gcn", "combined_gcn"])
def test_every_convolution_in_every_direction(name, conv, direction):
    model = build_model(_config(name, conv=conv, direction=direction, members=2), _state(True))
    assert model(_graphs(True).batch(np.arange(4))).values_MBT.shape == (2, 4, 1)


@pytest.mark.parametrize("name", ["dag_ensemble", "fr_nas", "neural_predictor", "simple_gcn"])
def test_the_order_of_nodes_does_not_matter(name):
    torch.manual_seed(0)
    model = build_model(_config(name), _state(False)).eval()
    chain = {"node_counts": [4], "edge_counts": [4]}
    ends, ops = np.array([[0, 0, 1, 2], [1, 2, 3, 3]]), np.array([1, 2, 3, 4])
    swapped = np.array([0, 2, 1, 3])
    one = PackedGraphs.from_arrays(**chain, edge_index=ends, nodes={"op": ops})
    two = PackedGraphs.from_arrays(**chain, edge_index=ends, nodes={"op": ops[swapped]})
    first, second = (model(graphs.graph(0)).values_MBT for graphs in (one, two))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("name", ["dag_ensemble", "fr_nas", "neural_predictor"])
def test_the_direction_of_edges_matters(name):
    torch.manual_seed(0)
    model = build_model(_config(name), _state(False)).eval()
    ends = np.array([[0, 1], [1, 2]])
    made = [
        PackedGraphs.from_arrays(
            node_counts=[3], edge_counts=[2], edge_index=ends, nodes={"op": np.array(ops)}
        )
        for ops in ([1, 2, 3], [3, 2, 1])
    ]
    first, second = (model(graphs.graph(0)).values_MBT for graphs in made)
    assert (first - second).abs().max() > 1e-4


def _gin(width: int, dim: int) -> int:
    """Two linear maps with one bias, and the normalisation's scale and shift."""
    return width * dim + dim + dim * dim + 2 * dim


def test_numbers_of_parameters():
    def count(name: str, **changes) -> int:
        model = build_model(_config(name, members=1, **changes), _state(True))
        return sum(parameter.numel() for parameter in model.parameters())

    one_hot = OPS + 2 * HYPER + POSITIONS  # 14
    extra = FEATURES + PATHS  # 9
    assert count("simple_gcn") == (one_hot * 64 + 64) + (64 * 64 + 64) + (64 + extra) + 1
    embedded = 16 + 2 * HYPER + POSITIONS
    assert count("combined_gcn") == OPS * 16 + (embedded * 64 + 64) + (64 * 64 + 64) + 73 + 1
    directed = 2 * (one_hot * 144 + 2 * 144 * 144)
    assert count("neural_predictor") == directed + (144 + extra) * 128 + 128 + 128 + 1
    encoder = _gin(one_hot, 32) + 2 * _gin(32, 32)
    assert count("fr_nas") == 2 * (encoder + (32 + extra) * 16 + 16 + 16 + 1)
    inside = _gin(one_hot, 64) + 2 * _gin(64, 64)
    above = _gin(one_hot + 64, 64) + _gin(64, 64)
    head = (4 * 64 + extra) * 64 + 64 + 64 + 1
    assert count("hierarchical") == 2 * (inside + above) + head


def test_one_more_output_where_feasibility_is_learnt():
    config = NasConfig(data=NasData(labels=LabelsConfig(feasibility=True)))
    model = build_model(config, _state(False))
    assert model(_graphs().batch(np.arange(3))).values_MBT.shape == (config.model.members, 3, 2)


def test_the_papers_output_is_between_0_and_20():
    torch.manual_seed(0)
    model = build_model(_config("fr_nas", paper=True), _state(False))
    with torch.no_grad():
        model.head.out.weight.mul_(1e4)
    values = model(_graphs().batch(np.arange(12))).values_MBT
    assert (values >= 0).all()
    assert (values <= 20).all()


def test_fr_nas_predicts_the_mean_of_two_encoders():
    torch.manual_seed(0)
    model = build_model(_config("fr_nas"), _state(False)).eval()
    batch = _graphs().batch(np.arange(5))
    predicted, head = model(batch), model.head
    heads = [
        (pooled[0] @ head.hidden.weight[i] + head.hidden.bias[i]).relu() @ head.out.weight[i]
        + head.out.bias[i]
        for i, pooled in enumerate((predicted.forward_MBD, predicted.reverse_MBD))
    ]
    torch.testing.assert_close(predicted.values_MBT[0], (heads[0] + heads[1]) / 2)


def test_hierarchical_needs_two_levels():
    model = build_model(_config("hierarchical"), _state(False))
    flat = PackedGraphs.from_arrays(
        node_counts=[2], edge_counts=[1], edge_index=[[0], [1]], nodes={"op": [1, 2]}
    )
    with pytest.raises(DataError, match="two levels"):
        model(flat.graph(0))


def test_hierarchical_reads_cells_by_their_own_operations():
    torch.manual_seed(0)
    model = build_model(_config("hierarchical"), _state(False)).double().eval()
    fields = {"level": np.array([0, 0, 1, 1])}
    shape = {"node_counts": [4], "edge_counts": [3]}
    ends = np.array([[0, 1, 2], [2, 3, 3]])  # one operation in each cell, and a chain of cells
    values = [
        model(
            PackedGraphs.from_arrays(
                **shape, edge_index=ends, nodes={"op": np.array([*ops, 3, 3]), **fields}
            ).graph(0)
        ).values_MBT
        for ops in ([1, 2], [2, 1])
    ]
    assert (values[0] - values[1]).abs().max() > 1e-7


@pytest.mark.parametrize("name", MODELS)
def test_every_predictor_can_learn_twelve_architectures(name):
    torch.manual_seed(0)
    config = _config(name, members=1, **({"dropout": 0.0} if name != "fr_nas" else {}))
    model, batch = build_model(config, _state(True)), _graphs(True).batch(np.arange(12))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        loss = objective(model(batch), batch, config)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_sizes_of_a_state_without_anything():
    sizes = Sizes.of({"vocabulary": ["?", "a"]}, feasibility=False)
    assert (sizes.operations, sizes.node, sizes.graph, sizes.outputs) == (2, 0, 0, 1)
    assert FRNASConfig().hidden_dim == 32
