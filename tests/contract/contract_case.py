"""One model of one task in the battery: its data, and the tiny trainings that all checks share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contract_battery import SETTINGS, Contract
from torch import Tensor, nn

from graphwright.config import io
from graphwright.config.presets import resolve_preset, task_module
from graphwright.config.schema import TaskConfig
from graphwright.launch.local import train
from graphwright.runs.folder import RunFolder
from graphwright.training.checkpoint import load_checkpoint
from graphwright.training.engine import Prepared, prepare, trained_model
from graphwright.training.phases import Phases
from graphwright.training.task import Task, new_model

__all__ = ["Case", "assert_same"]


@dataclass
class Case:
    """A configuration, and what was made of it so far."""

    contract: Contract
    variant: str
    home: Path
    _made: dict[str, Any] = field(default_factory=dict)

    @property
    def data_root(self) -> Path:
        """Where its prepared data lie."""
        return self.home / "data"

    @property
    def config(self) -> TaskConfig:
        """Preset and overrides."""
        return self._once("config", self.configure)

    def configure(self, *more: str) -> TaskConfig:
        """The configuration with further overrides."""
        overrides = (*SETTINGS, *self.variant.split(), *self.contract.overrides, *more)
        return resolve_preset(self.contract.preset, overrides)

    def task(self, config: TaskConfig | None = None) -> Task[Any, Any]:
        """A fresh task object."""
        config = config or self.config
        made: Task[Any, Any] = task_module(config.task, "task").TASK(config, self.data_root)
        return made

    @property
    def prepared(self) -> Prepared:
        """Data and an untrained model; nobody trains this one."""
        return self._once("prepared", lambda: prepare(self.task(), Phases()))

    @property
    def run(self) -> RunFolder:
        """A finished run."""
        return self._once("run", self.train)

    @property
    def trained(self) -> nn.Module:
        """That run's model as training left it: from the checkpoint, not from the bundle."""
        return self._once("trained", self._from_checkpoint)

    def train(self) -> RunFolder:
        """One more run of the same configuration."""
        return train(self.config, runs_root=self.home / "runs", data_root=self.data_root)

    def fresh_model(self, task: Task[Any, Any] | None = None) -> nn.Module:
        """Untrained, and the caller's own."""
        torch.manual_seed(self.config.seed)
        return new_model(task or self.task(), self.prepared.data)

    def samples(self, index: list[int], *, dtype: torch.dtype = torch.float32) -> Any:
        """A batch of these training samples, in this order."""
        return self.prepared.data.sources["train"].batch(np.array(index)).to("cpu", dtype=dtype)

    def predict(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """The model's answers, without gradients."""
        with torch.inference_mode():
            return self.task().predict(model, batch)

    def last_state(self, run: RunFolder) -> dict[str, Any]:
        """Everything in a run's last checkpoint."""
        return load_checkpoint(run.checkpoints / "last.ckpt", io.digest(self.config))

    def _from_checkpoint(self) -> nn.Module:
        return trained_model(self.task(), prepare(self.task(), Phases()), self.run).eval()

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


def assert_same(a: Any, b: Any, where: str = "state") -> None:
    """Two states are equal bit for bit."""
    if isinstance(a, Tensor):
        assert a.dtype == b.dtype, where
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{i}]")
    else:
        assert a == b, where
