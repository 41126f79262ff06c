"""The whole model against one that treats one set after the other with plain dense products.

Everything in float64. The plain model has the same weights; for every set it deletes rows and
columns of the adjacency matrices. (One long file: everything here needs that model.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from graphwright.errors import ConfigError, DataError
from graphwright.nn.shared_gin import SharedGINs
from graphwright.nn.shared_graph import SharedGraph
from graphwright.tasks.genes.build import build_model
from graphwright.tasks.genes.losses import gene_loss
from graphwright.tasks.genes.model_configs import GeneInteractionConfig, LossConfig
from graphwright.tasks.genes.models.aggregators import NetworkMean, NetworkSum
from graphwright.tasks.genes.models.model import GeneInteractionModel
from graphwright.tasks.genes.models.output import GeneOutput
from graphwright.training.nonfinite import first_bad_tensor

N, D = 24, 8
SETS = [[0, 5], [3], [0, 7, 11], [5, 0], [1, 2, 3, 4, 6], [0, 5]]
SMALL = GeneInteractionConfig(hidden_dim=D, num_layers=3, bottleneck=3, set_layers=2)


@dataclass
class Sets:
    """The two tensors of a batch."""

    gene_index: Tensor
    gene_ptr: Tensor

    @classmethod
    def of(cls, sets: list[list[int]]) -> Sets:
        sizes = torch.tensor([0, *map(len, sets)])
        return cls(torch.tensor([g for one in sets for g in one]), sizes.cumsum(0))


def adjacencies(num_genes: int = N, seed: int = 0) -> list[np.ndarray]:
    """A sparse symmetric network, a directed one, and a star around gene 0."""
    rng = np.random.default_rng(seed)
    near = np.triu(rng.random((num_genes, num_genes)) < 0.08, 1)
    directed = (rng.random((num_genes, num_genes)) < 0.06) & ~np.eye(num_genes, dtype=bool)
    star = np.zeros_like(near)
    star[0, 1 : num_genes // 2] = True
    return [near | near.T, directed, star | star.T]


def shared(matrix: np.ndarray) -> SharedGraph:
    degree, columns = matrix.sum(1), np.nonzero(matrix)[1]
    indptr = np.concatenate([[0], np.cumsum(degree)])
    return SharedGraph.from_csr(torch.from_numpy(indptr), torch.from_numpy(columns))


def make_model(
    config: GeneInteractionConfig = SMALL, matrices: list[np.ndarray] | None = None, seed: int = 0
) -> GeneInteractionModel:
    """With networks, and with weights that leave nothing at zero or one."""
    matrices = adjacencies() if matrices is None else matrices
    graphs = [shared(matrix) for matrix in matrices]
    state = {
        "genes": [f"G{i}" for i in range(len(matrices[0]))],
        "networks": [
            {"name": f"net{i}", "edges": graph.num_edges, "symmetric": graph.symmetric}
            for i, graph in enumerate(graphs)
        ],
    }
    torch.manual_seed(seed)
    model = build_model(config, state).double()
    for own, given in zip(model.graphs, graphs, strict=True):
        own.load_state_dict(given.state_dict())
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return model


# -- the plain model ---------------------------------------------------------------------------


def plain_gin(convs: Any, g: int, matrix_NN: Tensor, x_ND: Tensor) -> Tensor:
    total = (1 + convs.eps[g]) * x_ND + matrix_NN @ x_ND
    hidden = total @ convs.first_weight[g] + convs.first_bias[g]
    centred = hidden - hidden.mean(1, keepdim=True)
    scale = (centred.square().mean(1, keepdim=True) + 1e-5).rsqrt()
    hidden = (centred * scale * convs.norm_weight[g] + convs.norm_bias[g]).relu()
    return hidden @ convs.second_weight[g] + convs.second_bias[g]


def plain_gat(convs: Any, g: int, matrix_NN: Tensor, x_ND: Tensor) -> Tensor:
    """Every gene attends to its neighbours and to itself."""
    left_NK = x_ND @ convs.left_weight[g] + convs.left_bias[g]
    right_NK = x_ND @ convs.right_weight[g] + convs.right_bias[g]
    rows = []
    for i in range(len(x_ND)):
        near = [j for j in range(len(x_ND)) if j == i or matrix_NN[i, j]]
        joint = nn.functional.leaky_relu(left_NK[near] + right_NK[i], 0.2)
        joint_MHC = joint.unflatten(1, convs.attention[g].shape)
        weight_MH = (joint_MHC * convs.attention[g]).sum(2).softmax(0)
        value_MHC = left_NK[near].unflatten(1, convs.attention[g].shape)
        rows.append((weight_MH[:, :, None] * value_MHC).sum(0).flatten())
    return torch.stack(rows) + convs.bias[g]


def plain_encoder(
    model: GeneInteractionModel,
    x_ND: Tensor,
    deleted: list[int],
    networks: list[np.ndarray] | None = None,
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Features and weights behind every layer, of one cell; rows of deleted genes mean nothing."""
    keep_N = torch.ones(len(x_ND), dtype=x_ND.dtype)
    keep_N[deleted] = 0
    matrices = [torch.from_numpy(m).to(x_ND.dtype) for m in networks or adjacencies()]
    kept = [m * keep_N[:, None] * keep_N[None] for m in matrices]
    for layer in model.encoder.layers:
        plain_conv = plain_gin if isinstance(layer.convs, SharedGINs) else plain_gat
        outs = [plain_conv(layer.convs, g, m, x_ND) for g, m in enumerate(kept)]
        mixed, weight = layer.aggregation(outs)
        x_ND = (x_ND if layer.residual else 0) + (mixed if layer.signed else mixed.relu())
        yield x_ND, weight


def plain_pool(model: GeneInteractionModel, x_ND: Tensor, deleted: list[int]) -> Tensor:
    pool = model.pool
    kept = [n for n in range(len(x_ND)) if n not in deleted]
    weight = pool.gate(x_ND[kept]).softmax(0)
    return (weight * pool.transform(x_ND[kept])).sum(0)


def plain(model: GeneInteractionModel, deleted: list[int]) -> dict[str, Tensor]:
    """One set."""
    x_ND = model.inputs()
    *_, (wild_ND, _) = plain_encoder(model, x_ND, [])
    *_, (cell_ND, _) = plain_encoder(model, x_ND, deleted)
    out: dict[str, Tensor] = {"pert_gene_embs": wild_ND[deleted]}
    scores = []
    if model.combination != "local":
        out["z_i"] = plain_pool(model, cell_ND, deleted)
        out["z_p"] = plain_pool(model, wild_ND, []) - out["z_i"]
        out["global_interaction"] = model.global_head(out["z_p"])
        scores.append(out["global_interaction"])
    if model.combination != "global":
        one = Sets.of([deleted])
        out["local_interaction"] = model.local_head(wild_ND[deleted], _padded(one))[0]
        scores.append(out["local_interaction"])
    both = torch.cat(scores)
    weights = torch.full_like(both, 1 / len(both))
    if model.combination == "gating":
        weights = model.gate(both[None])[0]
    out["gene_interaction"] = (weights * both).sum()[None]
    return out


def _padded(one: Sets) -> Any:
    from graphwright.tasks.genes.models.gene_sets import PaddedSets

    return PaddedSets.of(one)


AGGREGATORS = ["sum", "mean", "cross_attention", "pairwise_interaction"]
COMBINATIONS = ["gating", "concat", "global", "local"]


@pytest.mark.parametrize(
    ("aggregator", "combination"),
    [*((name, "gating") for name in AGGREGATORS), *(("sum", name) for name in COMBINATIONS[1:])],
)
def test_values_are_those_of_the_plain_model(aggregator: str, combination: str) -> None:
    compare_values(replace(SMALL, aggregator=aggregator, combination=combination))


@pytest.mark.parametrize(
    "changes",
    [{"conv_heads": 2}, {"aggregator": "cross_attention"}, {"combination": "local"}],
)
def test_values_with_attention_over_neighbours(changes: dict[str, Any]) -> None:
    compare_values(replace(SMALL, conv="gatv2", num_layers=2, **changes))


def compare_values(config: GeneInteractionConfig) -> None:
    model = make_model(config)
    got = model(Sets.of(SETS)).as_dict()
    ptr = Sets.of(SETS).gene_ptr.tolist()
    for row, one in enumerate(SETS):
        for name, expected in plain(model, one).items():
            found = got[name]
            part = found[ptr[row] : ptr[row + 1]] if name == "pert_gene_embs" else found[row]
            torch.testing.assert_close(part, expected, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_layers": 1},
        {"recompute": True},
        {"residual": False, "aggregation_norm": False},
        {"aggregator": "pairwise_interaction", "recompute": True},
        {"aggregator": "cross_attention", "num_layers": 1},
        {"aggregator": "cross_attention", "recompute": True},
        {"combination": "local"},
        {"signed": True, "local_head": "pairs"},
        {"signed": True, "recompute": True, "residual": False},
        {"conv": "gatv2", "conv_heads": 2, "num_layers": 2},
        {"conv": "gatv2", "num_layers": 2, "recompute": True},
    ],
)
def test_gradients_are_those_of_the_plain_model(changes: dict[str, Any]) -> None:
    model = make_model(replace(SMALL, **changes))
    model(Sets.of(SETS)).gene_interaction.square().sum().backward()
    got = {name: weight.grad for name, weight in model.named_parameters()}
    model.zero_grad()
    torch.stack([plain(model, one)["gene_interaction"] for one in SETS]).square().sum().backward()
    for name, weight in model.named_parameters():
        if weight.grad is None:
            assert got[name] is None or not bool(got[name].any()), name
        else:
            torch.testing.assert_close(got[name], weight.grad, rtol=1e-8, atol=1e-9, msg=name)


@pytest.mark.parametrize("conv", ["gin", "gatv2"])
@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_batch_mates_and_place_have_no_effect(aggregator: str, conv: str) -> None:
    config = replace(SMALL, aggregator=aggregator, conv=conv, num_layers=2)
    model = make_model(config)
    together = model(Sets.of(SETS)).gene_interaction
    alone = torch.cat([model(Sets.of([one])).gene_interaction for one in SETS])
    reverse = model(Sets.of(SETS[::-1])).gene_interaction.flip(0)
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(together, reverse, rtol=1e-10, atol=1e-10)
    # the same set twice, and once with its genes the other way round
    torch.testing.assert_close(together[0], together[5], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(together[0], together[3], rtol=1e-10, atol=1e-10)


def test_compat_norm_does_mix_the_batch() -> None:
    model = make_model(replace(SMALL, norm="compat"))
    together = model(Sets.of(SETS)).gene_interaction
    alone = torch.cat([model(Sets.of([one])).gene_interaction for one in SETS])
    assert not torch.allclose(together, alone, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aggregator": "pairwise_interaction", "residual": False},
        {"norm": "compat"},
        {"conv": "gatv2"},
        {"conv": "gatv2", "norm": "compat"},
    ],
)
def test_autocast_is_near_full_precision(changes: dict[str, Any]) -> None:
    model = make_model(replace(SMALL, num_layers=2, **changes)).float()
    exact = model(Sets.of(SETS)).gene_interaction.detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(Sets.of(SETS)).gene_interaction
    rough.float().sum().backward()
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.1)
    assert all(bool(w.grad.isfinite().all()) for w in model.parameters() if w.grad is not None)


def test_a_gene_without_edges_leaves_its_neighbours_as_they_are() -> None:
    """Deleting it changes the cell by its absence alone: z_i is the pool of the others."""
    matrices = adjacencies()
    for matrix in matrices:
        matrix[20], matrix[:, 20] = False, False
    model = make_model(matrices=matrices)
    out = model(Sets.of([[20]]))
    *_, (wild_ND, _) = plain_encoder(model, model.inputs(), [], matrices)
    expected = plain_pool(model, wild_ND, [20])
    torch.testing.assert_close(out.z_i[0], expected, rtol=1e-10, atol=1e-10)


def test_layer_weights() -> None:
    model = make_model(replace(SMALL, aggregator="pairwise_interaction"))
    out = model(Sets.of(SETS))
    assert out.layer_aggregation_weights.shape == (3, len(SETS), 6 + 1)
    assert out.pert_gene_weights.shape == (3, sum(map(len, SETS)), 6 + 1)
    assert len(model.option_names) == 7
    wild = list(plain_encoder(model, model.inputs(), []))
    for row, one in enumerate(SETS):
        for layer, (_, weight_NK) in enumerate(plain_encoder(model, model.inputs(), one)):
            kept = [n for n in range(N) if n not in one]
            expected = weight_NK[kept].mean(0)
            found = out.layer_aggregation_weights[layer, row]
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    for layer, (_, weight_NK) in enumerate(wild):
        torch.testing.assert_close(out.pert_gene_weights[layer, :2], weight_NK[SETS[0]])


def test_no_weights_where_nothing_is_weighed() -> None:
    model = make_model(replace(SMALL, aggregator="sum"))
    assert model.option_names == ()
    assert isinstance(model.encoder.layers[0].aggregation.mixer, NetworkSum | NetworkMean)
    assert model(Sets.of(SETS)).layer_aggregation_weights is None


def test_the_output_has_all_names() -> None:
    out = make_model()(Sets.of(SETS)).as_dict()
    asked = "gene_interaction z_w z_i z_p local_interaction global_interaction gate_weights"
    assert {*asked.split(), "pert_gene_embs", "layer_aggregation_weights"} <= set(out)
    assert out["gene_interaction"].shape == (len(SETS), 1)
    assert out["z_w"].shape == (1, D)
    torch.testing.assert_close(out["gate_weights"].sum(1), torch.ones(len(SETS)).double())
    torch.testing.assert_close(out["z_p"], out["z_w"] - out["z_i"])


def test_the_ridge_is_added_and_not_trained() -> None:
    plain_model, model = make_model(), make_model(replace(SMALL, base="ridge"))
    model.base.effect.copy_(torch.arange(N))
    model.base.intercept.fill_(100)
    out = model(Sets.of(SETS))
    base = torch.tensor([100.0 + sum(one) for one in SETS], dtype=torch.float64)[:, None]
    torch.testing.assert_close(out.base_interaction, base)
    without = plain_model(Sets.of(SETS)).gene_interaction
    torch.testing.assert_close(out.gene_interaction, without + base)
    assert {"base.effect", "base.intercept"} <= set(model.state_dict())


def test_given_features() -> None:
    config = replace(SMALL, embedding="given")
    state = {"genes": list("ABCDE"), "networks": [{"name": "a", "edges": 0, "symmetric": True}]}
    with pytest.raises(ConfigError, match="bring no features"):
        build_model(config, state)
    model = build_model(config, {**state, "features": ["f", "g"]})
    first = model(Sets.of([[0, 1]])).gene_interaction
    model.inputs.features.copy_(torch.randn(5, 2))
    assert not torch.equal(model(Sets.of([[0, 1]])).gene_interaction, first)


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(DataError, match="holds no gene"):
        make_model()(Sets.of([[1], []]))


def test_a_set_that_leaves_no_gene_is_refused() -> None:
    with pytest.raises(DataError, match=f"deletes all {N} genes"):
        make_model()(Sets.of([[1], list(range(N))]))


class Largest(TorchDispatchMode):
    """The largest memory that an operator, forward or backward, gave out."""

    def __init__(self) -> None:
        super().__init__()
        self.most_bytes, self.operator = 0, ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            # of the storage: an expanded view of a few values has none of its own
            size = tensor.untyped_storage().nbytes() if isinstance(tensor, Tensor) else 0
            if size > self.most_bytes:
                self.most_bytes, self.operator = size, str(func)
        return out


def dense_networks(num_genes: int) -> list[np.ndarray]:
    """More edges a cell than genes times features."""
    rng = np.random.default_rng(1)
    upper = np.triu(rng.random((num_genes, num_genes)) < 0.6, 1)
    return [upper | upper.T, rng.random((num_genes, num_genes)) < 0.6]


def step_bytes(model: GeneInteractionModel, sets: list[list[int]]) -> Largest:
    with Largest() as seen:
        model(Sets.of(sets)).gene_interaction.square().sum().backward()
    return seen


@pytest.mark.parametrize("aggregator", ["sum", "cross_attention"])
def test_no_tensor_has_a_row_for_each_edge_and_cell(aggregator: str) -> None:
    genes, cells, width = 300, 8, 4
    config = GeneInteractionConfig(
        hidden_dim=width, num_layers=2, aggregator=aggregator, combination="gating"
    )
    matrices = dense_networks(genes)
    edges = min(int(matrix.sum()) for matrix in matrices)
    sets = [[i, i + 1] for i in range(cells)]
    model = make_model(config, matrices)
    seen = step_bytes(model, sets)
    # an edge mask would be one byte for each edge and cell, an edge index sixteen
    assert seen.most_bytes < edges * cells, seen.operator
    with Largest() as mask:
        torch.ones(cells, edges, dtype=torch.bool)
    assert mask.most_bytes >= edges * cells


def test_the_local_head_alone_has_no_row_for_each_gene_and_cell() -> None:
    genes, cells, width = 400, 64, 4
    config = GeneInteractionConfig(hidden_dim=width, num_layers=2, combination="local")
    rng = np.random.default_rng(2)
    upper = np.triu(rng.random((genes, genes)) < 0.01, 1)
    model = make_model(config, [upper | upper.T])
    seen = step_bytes(model, [[i, i + 1] for i in range(cells)])
    assert seen.most_bytes < genes * cells, seen.operator


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_weight_is_named(value: float) -> None:
    """The floor stops at a loss that is not finite and asks which tensor was the first."""
    model, batch = make_model(), Sets.of(SETS)
    with torch.no_grad():
        model.local_head.score.bias[0] = value
    loss = gene_loss(model(batch).gene_interaction, torch.zeros(len(SETS)), LossConfig())
    assert not bool(loss.isfinite())
    named = first_bad_tensor(model, batch, lambda: model(batch))
    assert named == "parameter local_head.score.bias (1 of 1 values are not finite)"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_activation_is_named(value: float) -> None:
    model, batch = make_model(), Sets.of(SETS)
    model.encoder.layers[1].aggregation.norm.register_forward_hook(
        lambda module, given, out: torch.full_like(out, value)
    )
    loss = gene_loss(model(batch).gene_interaction, torch.zeros(len(SETS)), LossConfig())
    assert not bool(loss.isfinite())
    named = first_bad_tensor(model, batch, lambda: model(batch))
    assert named.startswith("output of encoder.layers.1.aggregation.norm ")


def pearson(one: Tensor, other: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one, other]))[0, 1])


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_one_batch_can_be_learnt_by_heart(combination: str) -> None:
    """Loss < 0.01 and Pearson > 0.99 on labels that are noise."""
    config = GeneInteractionConfig(hidden_dim=16, num_layers=1, combination=combination)
    rng = np.random.default_rng(5)
    sets = [rng.choice(60, size, replace=False).tolist() for size in [1, 2, 2, 2, 3, 3, 3, 5] * 3]
    label_B = torch.from_numpy(rng.standard_normal(len(sets))).float()
    model = make_model(config, adjacencies(60)).float()
    batch, loss = Sets.of(sets), torch.tensor(1.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(300):
        out: GeneOutput = model(batch)
        loss = gene_loss(out.gene_interaction, label_B, LossConfig())
        if float(loss.detach()) < 0.005:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    predicted_B = model(batch).gene_interaction.detach().squeeze(1)
    assert float(loss.detach()) < 0.01
    assert pearson(predicted_B, label_B) > 0.99
