"""Tensors that a model gets from the data: put in once, saved and resumed with the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toy_task import ToySource, ToyTask, toy_config

from graphwright.config import io
from graphwright.runs.folder import RunFolder
from graphwright.training.checkpoint import load_checkpoint
from graphwright.training.engine import fit, prepare, trained_model
from graphwright.training.infer import over_source
from graphwright.training.phases import Phases
from graphwright.training.signals import StopRequest
from graphwright.training.task import TaskData, new_model

EDGES = torch.tensor([3, 1, 2], dtype=torch.int32)


class Buffered(nn.Module):
    """Makes room for the data's tensors, as a shared graph does."""

    def __init__(self, inner: nn.Module, edges: int) -> None:
        super().__init__()
        self.inner = inner
        self.register_buffer("edges", torch.zeros(edges, dtype=torch.int32))
        self.register_buffer("offset", torch.zeros(4))
        self.register_buffer("lost", torch.zeros(2), persistent=False)

    def forward(self, x_BF: Tensor) -> Tensor:
        return self.inner(x_BF - self.offset)


class BufferedTask(ToyTask):
    buffers: Mapping[str, Tensor] = {"edges": EDGES, "offset": torch.ones(4, dtype=torch.float64)}

    def split(self, loaded: ToySource) -> TaskData:
        data = super().split(loaded)
        return replace(data, state={**data.state, "edges": 3}, buffers=self.buffers)

    def build_model(self, state: Mapping[str, Any]) -> nn.Module:
        return Buffered(super().build_model(state), state["edges"])

    def explain(self, model: Any, batch: Any) -> dict[str, Tensor]:
        return {"largest": batch.x_BF.abs().argmax(1)}


def task(config: Any = None, buffers: Mapping[str, Tensor] | None = None) -> BufferedTask:
    made = BufferedTask(config or toy_config(epochs=2, ema_decay=0.5), Path())
    if buffers is not None:
        made.buffers = buffers
    return made


def test_a_new_model_has_the_tensors_of_the_data() -> None:
    made = task()
    model = new_model(made, made.split(made.load()))
    assert torch.equal(model.edges, EDGES)
    assert model.edges.dtype == torch.int32
    assert torch.equal(model.offset, torch.ones(4))
    assert model.edges.data_ptr() != EDGES.data_ptr()


def test_without_buffers_nothing_is_drawn_otherwise() -> None:
    plain = ToyTask(toy_config(), Path())
    torch.manual_seed(1)
    ours = new_model(plain, plain.split(plain.load()))
    torch.manual_seed(1)
    theirs = plain.build_model({"features": 4})
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("buffers", "message"),
    [
        ({"edgse": EDGES}, "no saved buffer edgse"),
        ({"lost": torch.zeros(2)}, "no saved buffer lost"),
        ({"inner.0.weight": torch.zeros(8, 4)}, "no saved buffer inner.0.weight"),
        ({"edges": EDGES[:2]}, r"int32 \(2,\)"),
        ({"edges": EDGES.long()}, "int64"),
        ({"edges": EDGES.float()}, "float32"),
    ],
)
def test_what_has_no_place_is_an_error(buffers: dict[str, Tensor], message: str) -> None:
    made = task(buffers=buffers)
    with pytest.raises(ValueError, match=message):
        new_model(made, made.split(made.load()))


def test_trained_saved_and_found_again(tmp_path: Path) -> None:
    made = task()
    folder = RunFolder.create(tmp_path, made.config.levels(), io.to_yaml(made.config))
    prepared = prepare(made, Phases())
    with StopRequest() as stop:
        shipped = fit(made, prepared, folder, Phases(), stop, resume=False)
    assert torch.equal(shipped.edges, EDGES)
    state = load_checkpoint(folder.checkpoints / "last.ckpt", io.digest(made.config))
    assert torch.equal(state["model"]["edges"], EDGES)
    # another process prepares anew, and takes the weights of the checkpoint
    again = trained_model(made, prepare(made, Phases()), folder)
    assert torch.equal(again.edges, EDGES)
    assert torch.equal(again.offset, torch.ones(4))


def test_explanations_are_only_for_who_asks() -> None:
    made = task()
    data = made.split(made.load())
    model = new_model(made, data)
    plain = over_source(made, model, batch_size=8)(data.sources["test"])
    told = over_source(made, model, batch_size=8, explain=True)(data.sources["test"])
    assert set(plain) == {"y"}
    assert set(told) == {"y", "largest"}
    assert (told["y"] == plain["y"]).all()
    assert told["largest"].dtype.kind == "i"
