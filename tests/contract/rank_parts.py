"""Losses of a batch's rows whose values and gradients must not depend on who holds which rows.

Legend: R = rows, F = features, B = windows, N = nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.nn import across_ranks
from graphwright.nn.stacked import StackedBatchNorm
from graphwright.tasks.canbus.distill import distillation_loss
from graphwright.tasks.canbus.fusion.heads import build_head
from graphwright.tasks.canbus.fusion.model import FusionModel
from graphwright.tasks.canbus.model_configs import FUSIONS, DistillationConfig, DQNConfig, MLPConfig
from graphwright.tasks.canbus.models.gat import GATOutput
from graphwright.tasks.canbus.models.vgae import VGAEOutput
from graphwright.training.rank_place import RankPlace
from graphwright.training.ranks import ManyProcesses, OneProcess
from graphwright.training.task import StepOutput

__all__ = ["PARTS", "ROWS", "of_piece", "of_whole"]

ROWS = 7
Part = Callable[[slice], tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]]


def of_whole(name: str) -> dict[str, Tensor]:
    """Loss, gradients and buffers in one process."""
    return _values(name, slice(0, ROWS), OneProcess(), stand_in=False)


def of_piece(place: RankPlace, name: str, cut: int) -> dict[str, Tensor]:
    """In one of two processes, of which the first has the rows before the cut."""
    ranks = ManyProcesses(place)
    mine = slice(0, cut) if ranks.rank == 0 else slice(cut, ROWS)
    empty = mine.start == mine.stop
    with ranks.connected(torch.device("cpu"), 0):
        across_ranks.rows_count(not empty)
        return _values(name, slice(ROWS - 1, ROWS) if empty else mine, ranks, stand_in=empty)


def _values(name: str, rows: slice, ranks: OneProcess, *, stand_in: bool) -> dict[str, Tensor]:
    torch.manual_seed(3)
    loss, leaves, kept = PARTS[name](rows)
    output = StepOutput(loss, {}, rows.stop - rows.start)
    step = ranks.combine(output, {}, stand_in=stand_in)
    step.objective.backward()  # type: ignore[no-untyped-call]
    grads = {f"gradient of {key}": leaf.grad for key, leaf in leaves.items()}
    averaged = {key: grad / ranks.world_size for key, grad in grads.items() if grad is not None}
    kept = {key: tensor.detach() for key, tensor in kept.items()}
    return {"loss": step.output.loss.detach().double(), **kept, **averaged}


def _normed(norm: nn.Module, shape: tuple[int, ...], rows: slice) -> Any:
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    goal = torch.randn(shape, dtype=torch.float64)
    norm = norm.double().train()
    place = (slice(None),) * (len(shape) - 2) + (rows,)
    loss = (norm(x[place]) * goal[place]).tanh().mean()
    return loss, {"x": x, **dict(norm.named_parameters())}, dict(norm.named_buffers())


def _pairs(rows: slice) -> Any:
    x_RF = torch.randn(ROWS, 3, dtype=torch.float64, requires_grad=True)
    every_RF = across_ranks.gather_rows(x_RF[rows])
    flags_R = across_ranks.gather_rows((x_RF > 0)[rows]).all(1)
    order_R = across_ranks.gather_rows(torch.arange(ROWS)[rows])
    loss = (every_RF @ every_RF.t()).tanh().mean()
    return loss, {"x": x_RF}, {"flags": flags_R, "order": order_R}


def _of_some(known: tuple[int, ...], rows: slice) -> Any:
    """A mean over the rows that are known, beside one over all rows."""
    x_R = torch.randn(ROWS, dtype=torch.float64, requires_grad=True)
    known_R = torch.zeros(ROWS, dtype=torch.bool).index_fill(0, torch.tensor(known).long(), True)
    count = known_R[rows].sum()
    some = (x_R[rows].square() * known_R[rows]).sum() / count.clamp(min=1)
    total = across_ranks.all_rows(rows.stop - rows.start)
    loss = across_ranks.pooled_mean(some, count) + x_R[rows].exp().mean()
    return loss, {"x": x_R}, {"all": torch.tensor(total)}


def _distilled(kind: str, method: str, rows: slice) -> Any:
    """Windows of three nodes; the edges of some of them."""
    node = slice(3 * rows.start, 3 * rows.stop)
    student, teacher, logits, target = (
        torch.randn(size, width, dtype=torch.float64, requires_grad=True)
        for size, width in ((3 * ROWS, 4), (3 * ROWS, 5), (ROWS, 2), (ROWS, 2))
    )
    count = rows.stop - rows.start
    edges = [2 if window % 3 else 0 for window in range(rows.start, rows.stop)]
    batch = GraphBatch.from_arrays(
        node_counts=[3] * count,
        edge_counts=edges,
        edge_index=torch.tensor([[0, 1], [1, 2]]).repeat(1, sum(map(bool, edges))),
        local=True,
    )

    def output(x_ND: Tensor, logits_B2: Tensor) -> Any:
        if kind == "gat":
            return GATOutput(logits_B2[rows], x_ND[node], logits_B2[rows])
        x_ND = x_ND[node]
        return VGAEOutput(SimpleNamespace(), x_ND, x_ND[:, :4].sin(), x_ND, x_ND)  # type: ignore[arg-type]

    config = DistillationConfig(method=method)  # type: ignore[arg-type]
    pair = output(student, logits), output(teacher.detach(), target.detach())
    loss = distillation_loss(nn.Identity(), *pair, batch, config)
    return loss, {"student": student, "logits": logits}, {}


def _fused(name: str, rows: slice) -> Any:
    """Two steps, so that what the first one counted shows in the second."""
    states_BS = torch.rand(ROWS, 6)
    label_B = torch.arange(ROWS) % 2
    config = {
        **FUSIONS,
        "dqn": DQNConfig(hidden_dims=(8,), discount=0.5),
        "mlp": MLPConfig(hidden_dims=(8,), dropout=0.0),
    }[name]
    head = build_head(config, 6, 3, 0)
    model = FusionModel(nn.Identity(), nn.Identity(), head).double().train()  # type: ignore[arg-type]
    graphs = {"states": states_BS.double()[rows], "label": label_B[rows]}
    batch: Any = SimpleNamespace(graphs=graphs)
    model.step(batch)
    loss = model.step(batch).loss
    return loss, dict(head.named_parameters()), dict(head.named_buffers())


PARTS: dict[str, Part] = {
    "BatchNorm1d": lambda rows: _normed(across_ranks.SharedBatchNorm(3), (ROWS, 3), rows),
    "StackedBatchNorm": lambda rows: _normed(StackedBatchNorm(2, 3), (2, ROWS, 3), rows),
    "pairs": _pairs,
    "known": partial(_of_some, (1, 2, 6)),
    "known to one": partial(_of_some, (5,)),
    "nothing known": partial(_of_some, ()),
    "gat, standard": partial(_distilled, "gat", "standard"),
    "gat, topology_preserving": partial(_distilled, "gat", "topology_preserving"),
    "vgae, topology_preserving": partial(_distilled, "vgae", "topology_preserving"),
    **{f"fusion, {name}": partial(_fused, name) for name in FUSIONS},
}
