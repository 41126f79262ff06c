"""How often validation runs, what it keeps, and which weights are shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contract_case import assert_same
from test_training_engine import StopAfter, last_state, new_folder
from toy_task import ToyBatch, ToyConfig, ToyTask, toy_config

from graphwright.config.schema import OptimizerConfig, SchedulerConfig
from graphwright.runs.events import read_events
from graphwright.runs.folder import RunFolder
from graphwright.training.engine import fit, prepare, trained_model
from graphwright.training.module import Interrupted
from graphwright.training.phases import Phases
from graphwright.training.task import Columns, Stage, StepOutput


class RankingTask(ToyTask):
    """Keeps rows of the validation, for a value that batches cannot give."""

    monitor = "val_worst"

    def step(self, model: Any, batch: ToyBatch, stage: Stage) -> StepOutput:
        output = super().step(model, batch, stage)
        rows = {"error": (model(batch.x_BF).squeeze(1) - batch.y_B).abs().detach()}
        return StepOutput(output.loss, output.metrics, output.weight, rows)

    def validation_metrics(self, samples: Columns) -> dict[str, float]:
        return {"worst": float(samples["error"].max()), "rows": float(len(samples["error"]))}


def train(folder: RunFolder, config: ToyConfig, *, looks: int = 0, resume: bool = False) -> Any:
    task, phases = RankingTask(config, folder.path), Phases()
    prepared = prepare(task, phases)
    last = fit(task, prepared, folder, phases, StopAfter(looks), resume=resume)
    weights = {name: tensor.clone() for name, tensor in last.state_dict().items()}
    return task, prepared, weights


def test_validation_metrics_see_all_rows_and_can_be_monitored(tmp_path: Path) -> None:
    config = toy_config()
    folder = new_folder(tmp_path, config)
    train(folder, config)
    events = read_events(folder.events_path)
    _, _, rows = events.series("val_rows")
    assert rows == [10.0] * 4  # a quarter of 40, in several batches
    _, epochs, worst = events.series("val_worst")
    (best,) = folder.checkpoints.glob("best-*.ckpt")
    assert best.name == f"best-{epochs[int(np.argmin(worst))]:02d}-{min(worst):.3f}.ckpt"


def test_validate_every_skips_all_but_the_last(tmp_path: Path) -> None:
    config = toy_config(epochs=7, validate_every=3)
    folder = new_folder(tmp_path, config)
    train(folder, config)
    events = read_events(folder.events_path)
    assert events.series("val_loss")[1] == [2, 5, 6]
    assert events.series("train_loss")[1] == list(range(7))


@pytest.mark.parametrize("looks", [3, 8, 16, 17, 24, 25, 30, 60])
def test_resume_is_exact_where_epochs_are_not_validated(looks: int, tmp_path: Path) -> None:
    cosine = SchedulerConfig(name="cosine", warmup_epochs=1)
    config = toy_config(epochs=7, validate_every=3, scheduler=cosine)
    whole, stopped = new_folder(tmp_path / "whole", config), new_folder(tmp_path / "cut", config)
    train(whole, config)
    with pytest.raises(Interrupted):
        train(stopped, config, looks=looks)
    train(stopped, config, resume=True)
    assert_same(last_state(whole, config), last_state(stopped, config))
    ours, theirs = read_events(stopped.events_path), read_events(whole.events_path)
    for name in ("train_loss_step", "train_loss", "val_loss", "val_worst"):
        assert ours.series(name) == theirs.series(name), name


def test_keep_last_ships_the_last_weights(tmp_path: Path) -> None:
    shipped, wild = {}, OptimizerConfig(lr=1.0)
    for keep in ("best", "last"):
        config = toy_config(
            epochs=6, keep=keep, optimizer=wild, scheduler=SchedulerConfig(name="none")
        )
        folder = new_folder(tmp_path / keep, config)
        task, prepared, last = train(folder, config)
        shipped[keep] = trained_model(task, prepared, folder).state_dict()
        if keep == "last":
            assert all(torch.equal(last[name], shipped[keep][name]) for name in last)
    _, epochs, worst = read_events(folder.events_path).series("val_worst")
    assert epochs[int(np.argmin(worst))] != 5, "the last epoch is the best: nothing is shown"
    assert any(not torch.equal(shipped["best"][n], shipped["last"][n]) for n in shipped["last"])
