"""The exported form of both models: parity with the eager one for windows of all sizes."""

import numpy as np
import pytest
import torch
from model_windows import window_batch, window_state

from graphwright.data.batch import GraphBatch
from graphwright.errors import DataError
from graphwright.tasks.canbus.build import build_model
from graphwright.tasks.canbus.model_configs import GATConfig, VGAEConfig, gat_sizes, vgae_sizes
from graphwright.tasks.canbus.models.gat import attack_probability
from graphwright.tasks.canbus.models.score import Calibration
from graphwright.tasks.canbus.onnx import DenseWindow, dense_inputs, export_onnx

KINDS = {
    "gat": GATConfig(head_dim=4, heads=2, num_layers=2),
    "gat v1": GATConfig(
        head_dim=4, heads=2, attention="gat", self_loops=True, edge_features=False, logits=1
    ),
    "gat lstm": GATConfig(head_dim=4, heads=2, jumping="lstm"),
    "gat stats": GATConfig(head_dim=4, heads=2, pool="mean_max", window_stats=True),
    "vgae stats": VGAEConfig(
        hidden_dims=(12, 8), latent_dim=4, window_stats=True, largest_error=True
    ),
    "vgae": VGAEConfig(hidden_dims=(12, 8), latent_dim=4, heads=2),
    "vgae gatv2": VGAEConfig(hidden_dims=(12,), latent_dim=4, attention="gatv2", neighbour_dim=5),
}


def trained(config, id_free=False):
    """A model whose every buffer and weight matters."""
    torch.manual_seed(0)
    model = build_model(config, window_state(id_free=id_free))
    for _ in range(3):
        model(window_batch())
    if isinstance(config, VGAEConfig):
        parts = len(model.composite.mean)
        spread = np.linspace(0.5, 2, parts).tolist()
        model.composite.take(Calibration([-0.5] * parts, spread, 1.3))
    return model.eval()


def eager(model, batch):
    with torch.no_grad():
        if model.config.name == "gat":
            logits = model(batch).logits
            return attack_probability(logits)[:, None]
        parts = model.parts(model(batch))
        score = model.composite(parts)
        return torch.cat([score[:, None], model.anomaly(batch)[:, None], parts], 1)


def flat(outputs, model):
    if model.config.name == "gat":
        return np.asarray(outputs[1])
    return np.concatenate([np.ravel(value) for value in outputs])


@pytest.mark.parametrize("name", list(KINDS))
@pytest.mark.parametrize("id_free", [False, True])
def test_matrices_give_what_lists_give(name, id_free):
    model = trained(KINDS[name], id_free)
    batch = window_batch(windows=8, seed=4)
    want = eager(model, batch).numpy()
    window = DenseWindow(model)
    for b in range(8):
        arrays = dense_inputs(model, batch, b, max_nodes=9 + b)
        arrays["x"][~arrays["node"]] = 7.0  # what lies in empty places does not matter
        arrays["edge_x"][~arrays["edge"]] = -3.0
        with torch.no_grad():
            got = window(*(torch.from_numpy(v) for v in arrays.values()))
        np.testing.assert_allclose(flat(got, model), want[b], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("config", [gat_sizes()["student"], vgae_sizes()["student"]])
def test_the_exported_student_agrees_with_the_eager_one(config, tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model = trained(config)
    path = tmp_path / "student.onnx"
    export_onnx(model, path, max_nodes=24)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    batch = window_batch(windows=8, seed=4)
    assert len(set(batch.node_ptr.diff().tolist())) > 3
    want = eager(model, batch).numpy()
    for b in range(8):
        got = session.run(None, dense_inputs(model, batch, b, max_nodes=24))
        assert np.abs(flat(got, model) - want[b]).max() < 1e-5


def test_a_window_with_too_many_ids_is_refused():
    model = trained(KINDS["gat"])
    batch = GraphBatch.from_arrays(
        node_counts=[5],
        edge_counts=[0],
        edge_index=[[], []],
        nodes={"id": np.arange(5), "x": np.zeros((5, 10), np.float32)},
        edges={"edge_x": np.zeros((0, 11), np.float32)},
    )
    assert dense_inputs(model, batch, 0, max_nodes=5)["node"].all()
    with pytest.raises(DataError, match="has 5 ids, the exported model has places for 4"):
        dense_inputs(model, batch, 0, max_nodes=4)
