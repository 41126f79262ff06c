"""A task without any graph: what the floor offers must not depend on graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from graphwright.config.schema import LoadingConfig, SchedulerConfig, TaskConfig, TrainingConfig
from graphwright.data.source import Subset
from graphwright.training.task import Evaluation, Infer, RawInput, Stage, StepOutput, Task, TaskData


@dataclass(frozen=True, kw_only=True)
class ToyConfig(TaskConfig):
    task: Literal["toy"] = "toy"
    rows: int = 40
    dropout: float = 0.2
    poison_step: int = -1  # makes a weight NaN before this call of step


@dataclass(frozen=True)
class ToyBatch:
    x_BF: Tensor
    y_B: Tensor
    index: Tensor

    @property
    def num_samples(self) -> int:
        return len(self.index)

    def to(self, device: Any, *, dtype: Any = None, non_blocking: bool = False) -> ToyBatch:
        return ToyBatch(
            self.x_BF.to(device, dtype), self.y_B.to(device, dtype), self.index.to(device)
        )

    def pin_memory(self) -> ToyBatch:
        return self


class ToySource:
    def __init__(self, rows: int) -> None:
        rng = np.random.default_rng(0)
        self.x = rng.normal(size=(rows, 4)).astype(np.float32)
        self.y = (self.x @ np.array([1.0, -2.0, 0.5, 3.0])).astype(np.float32)

    def __len__(self) -> int:
        return len(self.x)

    def sizes(self) -> np.ndarray:
        return np.ones(len(self), dtype=np.int64)

    def batch(self, index: np.ndarray) -> ToyBatch:
        return ToyBatch(
            torch.from_numpy(self.x[index]),
            torch.from_numpy(self.y[index]),
            torch.from_numpy(index),
        )


class ToyTask(Task[ToyConfig, ToySource]):
    calls = 0

    def load(self) -> ToySource:
        return ToySource(self.config.rows)

    def split(self, loaded: ToySource) -> TaskData:
        rows = np.arange(len(loaded))
        cut = len(loaded) * 3 // 4
        parts = {"train": rows[:cut], "val": rows[cut:], "test": rows[cut:]}
        sources = {name: Subset(loaded, index) for name, index in parts.items()}
        return TaskData(sources, {"features": 4}, "data", "split", {"rows": len(loaded)})

    def build_model(self, state: Mapping[str, Any]) -> nn.Module:
        return nn.Sequential(
            nn.Linear(state["features"], 8),
            nn.ReLU(),
            nn.Dropout(self.config.dropout),
            nn.Linear(8, 1),
        )

    def step(self, model: nn.Module, batch: ToyBatch, stage: Stage) -> StepOutput:
        self.calls += 1
        if self.calls == self.config.poison_step:
            with torch.no_grad():
                next(iter(model.parameters()))[0, 0] = float("nan")
        loss = (model(batch.x_BF).squeeze(1) - batch.y_B).square().mean()
        return StepOutput(loss, {"rmse": loss.detach().sqrt()}, batch.num_samples)

    def predict(self, model: nn.Module, batch: ToyBatch) -> dict[str, Tensor]:
        return {"y": model(batch.x_BF).squeeze(1)}

    def evaluate(self, infer: Infer, data: TaskData, split: str) -> Evaluation:
        columns = infer(data.sources[split])
        return Evaluation(
            {"split": split, "metrics": {"mean": float(columns["y"].mean())}}, columns
        )

    def read_input(self, raw: Any, state: Mapping[str, Any]) -> RawInput:
        return RawInput(ToySource(3), ["a", "b", "c"], [])

    def read_labelled(self, path: Path, state: Mapping[str, Any]) -> TaskData:
        raise NotImplementedError

    def proof(self, model: nn.Module, data: TaskData) -> dict[str, Any]:
        return {}


def toy_config(**training: Any) -> ToyConfig:
    settings = {
        "epochs": 4,
        "log_every": 1,
        "scheduler": SchedulerConfig(name="plateau", patience=0),
    }
    return ToyConfig(
        training=replace(TrainingConfig(), **{**settings, **training}),
        loading=LoadingConfig(batch_size=4),
    )
