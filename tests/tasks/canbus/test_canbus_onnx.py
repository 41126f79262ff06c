"""The forms of all models of windows, by the operators that an exporter sees; two as real files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_windows import window_batch, window_state

from graphwright.config.presets import resolve_preset
from graphwright.tasks.canbus.model_configs import (
    AverageConfig,
    BanditConfig,
    DQNConfig,
    GATConfig,
    MaxConfig,
    MLPConfig,
    VGAEConfig,
)
from graphwright.tasks.canbus.models.score import Calibration
from graphwright.tasks.canbus.task import CanbusTask
from graphwright.training.bundle import Bundle
from graphwright.training.export import form_of
from graphwright.training.export_trace import _quiet, _traced

GAT = GATConfig(head_dim=4, heads=2, num_layers=2, window_stats=True)
VGAE = VGAEConfig(hidden_dims=(12, 8), latent_dim=4, heads=2, window_stats=True)
KINDS: dict[str, Any] = {
    "gat": GATConfig(head_dim=4, heads=2, num_layers=2),
    "gat v1": GATConfig(
        head_dim=4, heads=2, attention="gat", self_loops=True, edge_features=False, logits=1
    ),
    "gat lstm": GATConfig(head_dim=4, heads=2, jumping="lstm", self_loops=True),
    "gat stats": dataclasses.replace(GAT, pool="mean_max"),
    "vgae stats": dataclasses.replace(VGAE, largest_error=True),
    "vgae": VGAEConfig(hidden_dims=(12, 8), latent_dim=4, heads=2),
    "vgae gatv2": VGAEConfig(hidden_dims=(12,), latent_dim=4, attention="gatv2", neighbour_dim=5),
    "fusion mlp": MLPConfig(),
    "fusion dqn": DQNConfig(),
    "fusion bandit": BanditConfig(),
    "fusion average": AverageConfig(),
    "fusion max": MaxConfig(),
}
PRESET = "canbus/automotive_traffic_classifier_gat_tiny_no_all_samples"


def bundle_of(config: Any, *, id_free: bool = False) -> Bundle:
    """A model whose every buffer and weight matters."""
    torch.manual_seed(0)
    state = window_state(id_free=id_free)
    parts = {"vgae": VGAE, "gat": GAT}
    state["parts"] = {
        role: {"config": dataclasses.asdict(part), "state": window_state(id_free=id_free)}
        for role, part in parts.items()
    }
    task = CanbusTask(resolve_preset(PRESET, ()), Path("data"))
    task.config = dataclasses.replace(task.config, model=config)
    model = task.build_model(state)
    for name, buffer in model.named_buffers():
        if name.endswith(("theta", "counts", "running_mean")):
            buffer.copy_(torch.rand(buffer.shape))
    network = getattr(model.network, "vgae", model.network)
    if isinstance(network.config, VGAEConfig):
        count = len(network.composite.mean)
        spread = np.linspace(0.5, 2, count).tolist()
        network.composite.take(Calibration([-0.5] * count, spread, 1.3))
    return Bundle(task, model.eval(), state, {})


@pytest.mark.parametrize("name", list(KINDS))
@pytest.mark.parametrize("id_free", [False, True])
def test_tensors_give_what_windows_give(
    name: str, id_free: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = form_of(bundle_of(KINDS[name], id_free=id_free))
    assert [port.name for port in form.inputs][:3] == ["edge_index", "node_ptr", "x"]
    for batch in (*form.examples, window_batch(windows=8, seed=4)):
        wanted = form.expected(batch)
        with monkeypatch.context() as patch, torch.no_grad():
            patch.setattr(torch.compiler, "is_compiling", lambda: True)
            found = form.module(*form.tensors(batch))
        for want, got in zip(wanted, found, strict=True):
            torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


def test_an_exporter_can_follow_a_fusion() -> None:
    """What is left to do then is done by the contract battery, on a GAT and a VGAE."""
    form = form_of(bundle_of(KINDS["fusion dqn"]))
    assert [port.name for port in form.outputs] == ["score", "vgae", "gat"]
    with _quiet():
        program = _traced(form)
    free = {str(size) for size in program.graph_signature.user_inputs}
    assert len(free) == len(form.inputs)
