"""The battery that every equivariant model passes, and the original GCN's exact size."""

import importlib
import sys
from dataclasses import replace

import pytest
import torch

from graphwright.data.batch import GraphBatch
from graphwright.errors import MissingExtraError
from graphwright.nn.neighbors import knn_edges
from graphwright.tasks.geometry.model_configs import (
    EGNNConfig,
    GCNConfig,
    PaiNNConfig,
    TFNConfig,
)

SMALL = {"hidden_dim": 8, "num_layers": 2, "cutoff": 3.0}
EQUIVARIANT = {
    "painn": PaiNNConfig(**SMALL),
    "painn context": PaiNNConfig(**SMALL, context=True, pool="mean", dropout=0.1),
    "egnn": EGNNConfig(**SMALL),
    "tfn 1": TFNConfig(**SMALL),
    "tfn 2": TFNConfig(**SMALL, degree=2, pool="mean"),
}
BOUNDS = {torch.float32: 1e-5, torch.float64: 1e-10}
COUNTS = [4, 9, 7, 2]

# e3nn asks torch for a scripting mode that torch now deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


def network(config, *, num_elements=3, num_features=2, seed=0):
    torch.manual_seed(seed)
    module = importlib.import_module(f"graphwright.tasks.geometry.models.{config.name}")
    return module.MODEL(config, num_elements=num_elements, num_features=num_features).eval()


def structures(dtype=torch.float64, counts=COUNTS, seed=0):
    """Positions not yet centred, elements, and features."""
    generator = torch.Generator().manual_seed(seed)
    total = sum(counts)
    pos = torch.randn(total, 3, generator=generator, dtype=dtype)
    z = torch.randint(3, (total,), generator=generator)
    x = torch.randn(total, 2, generator=generator, dtype=dtype)
    return pos, z, x, list(counts)


def batch_of(pos, z, x, counts):
    ptr = torch.tensor([0, *counts]).cumsum(0)
    means = [part.mean(0, keepdim=True).expand_as(part) for part in pos.split(counts)]
    pos = pos - torch.cat(means)
    edge_index = knn_edges(pos, ptr, 4)
    per_graph = [min(4, n - 1) * n for n in counts]
    return GraphBatch.from_arrays(
        node_counts=counts,
        edge_counts=per_graph,
        edge_index=edge_index,
        nodes={"pos": pos, "z": z, "x": x},
    )


def error(got, want):
    return float(((got - want).norm() / want.norm()).detach())


def rotations(count, dtype):
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        q = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64)).Q
        yield (q * torch.linalg.det(q)).to(dtype)


@pytest.fixture(params=EQUIVARIANT)
def config(request):
    if request.param.startswith("tfn"):
        pytest.importorskip("e3nn")
    return EQUIVARIANT[request.param]


@pytest.mark.parametrize("dtype", BOUNDS)
def test_vectors_turn_and_are_mirrored_with_the_structure(config, dtype):
    model = network(config).to(dtype)
    pos, *rest = structures(dtype)
    with torch.no_grad():
        want = model(batch_of(pos, *rest))
        for turn in rotations(20, dtype):
            for matrix in (turn, -turn):
                got = model(batch_of(pos @ matrix.T, *rest))
                assert error(got, want @ matrix.T) < BOUNDS[dtype]


def test_a_shift_changes_nothing(config):
    model = network(config).double()
    pos, *rest = structures()
    assert error(model(batch_of(pos + 7.0, *rest)), model(batch_of(pos, *rest))) < 1e-10


def test_the_order_of_points_changes_nothing(config):
    model = network(config).double()
    pos, z, x, counts = structures()
    order = torch.cat([part.flip(0) for part in torch.arange(len(pos)).split(counts)])
    got = model(batch_of(pos[order], z[order], x[order], counts))
    assert error(got, model(batch_of(pos, z, x, counts))) < 1e-10


def test_a_structure_does_not_see_its_batch(config):
    model = network(config).double()
    pos, z, x, counts = structures()
    together = model(batch_of(pos, z, x, counts))
    parts = zip(pos.split(counts), z.split(counts), x.split(counts), counts, strict=True)
    alone = torch.cat([model(batch_of(p, e, f, [n])) for p, e, f, n in parts])
    assert error(together, alone) < 1e-10


def test_all_weights_get_finite_gradients(config):
    model = network(config)
    model(batch_of(*structures(torch.float32))).square().sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert bool(weight.grad.isfinite().all()), name


def test_runs_are_bit_equal(config):
    runs = []
    for _ in range(2):
        model = network(config)
        model(batch_of(*structures(torch.float32))).square().sum().backward()
        runs.append([weight.grad for weight in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_works_without_elements_and_features(config):
    model = network(config, num_elements=0, num_features=0).double()
    batch = batch_of(*structures())
    bare = replace(batch, nodes={"pos": batch.nodes["pos"]})
    assert model(bare).shape == (len(COUNTS), 3)


def test_learns_a_handful_by_heart(config):
    torch.manual_seed(0)
    model = network(replace(config, hidden_dim=16, dropout=0.0))
    batch = batch_of(*structures(torch.float32))
    target = torch.randn(len(COUNTS), 3) * 0.5
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        loss = (model(batch) - target)[:3].abs().mean()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.15


def test_the_gcn_has_the_size_of_the_original():
    """512 + 5 x 16,512 for the convolutions, 8,256 + 2,080 + 99 for the head."""
    model = network(GCNConfig(), num_elements=0, num_features=0)
    assert sum(weight.numel() for weight in model.parameters()) == 93_507


def test_the_gcn_predicts_from_positions_elements_and_features_and_is_not_equivariant():
    model = network(GCNConfig(hidden_dim=16)).double()
    pos, *rest = structures()
    turn = next(rotations(1, torch.float64))
    want = model(batch_of(pos, *rest))
    assert want.shape == (len(COUNTS), 3)
    assert error(model(batch_of(pos @ turn.T, *rest)), want @ turn.T) > 0.1


def test_tfn_without_e3nn_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "e3nn.o3", None)
    with pytest.raises(MissingExtraError, match="e3nn"):
        network(TFNConfig(**SMALL))
