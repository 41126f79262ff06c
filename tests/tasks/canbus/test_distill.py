"""Distillation: the axis, the temperature, the frozen teacher, what structure means."""

import copy

import pytest
import torch
from model_windows import window_batch, window_state

from graphwright.errors import ConfigError
from graphwright.tasks.canbus.build import build_model
from graphwright.tasks.canbus.distill import (
    Teacher,
    distillation_loss,
    soft_targets,
    structure_loss,
)
from graphwright.tasks.canbus.model_configs import DistillationConfig, GATConfig, VGAEConfig

STANDARD = DistillationConfig(method="standard")
TOPOLOGY = DistillationConfig(method="topology_preserving")
TEACHERS = {
    "vgae": VGAEConfig(hidden_dims=(16,), latent_dim=6),
    "gat": GATConfig(head_dim=6, heads=2, num_layers=2, fc_dim=8),
}
STUDENTS = {
    "vgae": VGAEConfig(hidden_dims=(8,), latent_dim=3),
    "gat": GATConfig(head_dim=4, heads=1, num_layers=1, fc_layers=1),
}


def pair(name):
    torch.manual_seed(0)
    student = build_model(STUDENTS[name], window_state() | {"teacher_latent": 6})
    return student, Teacher(build_model(TEACHERS[name], window_state()))


def test_soft_targets_go_over_the_classes():
    student = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    teacher = torch.randn(5, 2, generator=torch.Generator().manual_seed(1))
    p, q = (teacher / 4).softmax(1), (student / 4).softmax(1)
    torch.testing.assert_close(soft_targets(student, teacher, 4.0), 16 * (p * (p / q).log()).sum(1))


def test_soft_targets_of_a_window_do_not_depend_on_the_batch():
    student, teacher = torch.randn(5, 2), torch.randn(5, 2)
    whole = soft_targets(student, teacher, 4.0)
    torch.testing.assert_close(soft_targets(student[2:3], teacher[2:3], 4.0), whole[2:3])


def test_one_logit_against_two():
    one = torch.tensor([[1.5], [-2.0]])
    two = torch.tensor([[0.0, 1.5], [3.0, 1.0]])
    torch.testing.assert_close(soft_targets(one, two, 2.0), torch.zeros(2), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["vgae", "gat"])
@pytest.mark.parametrize("config", [STANDARD, TOPOLOGY], ids=lambda c: c.method)
def test_a_student_comes_closer_to_its_teacher(name, config):
    student, teacher = pair(name)
    batch = window_batch(windows=12)
    optimizer = torch.optim.Adam(student.parameters(), 0.01)
    losses = []
    for _ in range(40):
        loss = distillation_loss(student, student(batch), teacher(batch), batch, config)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-5:]) < 0.7 * losses[0]


@pytest.mark.parametrize("name", ["vgae", "gat"])
def test_the_teacher_never_changes(name):
    student, teacher = pair(name)
    batch = window_batch()
    before = copy.deepcopy(teacher._model.state_dict())
    first = teacher(batch)
    student.train()
    distillation_loss(student, student(batch), first, batch, STANDARD).backward()
    assert not teacher._model.training
    assert all(p.grad is None and not p.requires_grad for p in teacher._model.parameters())
    after = teacher._model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    key = "logits" if name == "gat" else "reconstructed"
    assert torch.equal(getattr(teacher(batch), key), getattr(first, key))


def test_structure_ignores_rotation_scale_and_width():
    batch = window_batch()
    torch.manual_seed(0)
    x = torch.randn(batch.num_nodes, 5, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64))[0][:5]
    same = structure_loss(3 * x @ turn + 7, x, batch)
    torch.testing.assert_close(same, torch.zeros_like(same), atol=1e-12, rtol=0)
    other = structure_loss(torch.randn_like(x), x, batch)
    assert 0.1 < other < 8


def test_structure_by_hand():
    """Two windows of two nodes with one edge each."""
    batch = window_batch(windows=2)
    batch = type(batch).from_arrays(
        node_counts=[2, 2], edge_counts=[1, 1], edge_index=[[0, 2], [1, 3]]
    )
    student = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    teacher = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])
    # along the edges 0 against 1; windows are opposite to each other for both
    assert structure_loss(student, teacher, batch).item() == pytest.approx(1.0)


def test_structure_sees_windows_even_without_edges():
    batch = window_batch().from_arrays(
        node_counts=[1, 1, 1], edge_counts=[0, 0, 0], edge_index=[[], []]
    )
    student = torch.eye(3)
    teacher = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert structure_loss(student, teacher, batch) > 0.1
    assert structure_loss(teacher, teacher, batch) == 0


def test_kinds_that_do_not_fit_are_refused():
    batch = window_batch()
    gat, vgae = pair("gat")[0], build_model(STUDENTS["vgae"], window_state())
    with pytest.raises(ConfigError, match="own kind"):
        distillation_loss(gat, gat(batch), vgae(batch), batch, STANDARD)
    with pytest.raises(ConfigError, match="no projection"):
        distillation_loss(vgae, vgae(batch), vgae(batch), batch, STANDARD)
