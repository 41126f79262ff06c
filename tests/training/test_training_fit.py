"""`fit_in_memory` against a loop written out, with the toy task and with graphs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_task import ToySource, ToyTask, toy_config

from graphwright.config.schema import OptimizerConfig, SchedulerConfig
from graphwright.data.loader import Loader
from graphwright.errors import ConfigError
from graphwright.training.fit import fit_in_memory


def _task(dropout: float = 0.2, **training) -> ToyTask:
    optimizer = OptimizerConfig(name=training.pop("name", "adam"), lr=1e-2, weight_decay=1e-3)
    settings = {"scheduler": SchedulerConfig(name="cosine", min_lr=0.0), "optimizer": optimizer}
    config = toy_config(**{"epochs": 5, "gradient_clip": 0.0, **settings, **training})
    return ToyTask(replace(config, dropout=dropout), Path())


def _model(task: ToyTask) -> torch.nn.Module:
    torch.manual_seed(3)
    return task.build_model({"features": 4})


def _by_hand(task: ToyTask, source: ToySource, seed: int, clip: float, decay: float) -> dict:
    model = _model(task).train()
    config = task.config.training
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-3)
    loader = Loader(source, batch_size=4, seed=seed, shuffle=True)
    torch.manual_seed(seed)
    step, total, average = 0, len(loader) * config.epochs, None
    for epoch in range(config.epochs):
        loader.set_epoch(epoch)
        for batch in loader:
            optimizer.param_groups[0]["lr"] = 5e-3 * (1 + math.cos(math.pi * step / total))
            optimizer.zero_grad()
            task.step(model, batch, "train").loss.backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            step += 1
            now = {key: value.detach().clone() for key, value in model.state_dict().items()}
            if average is None:
                average = now
            average = {key: average[key].lerp(now[key], 1 - decay) for key in now}
    return average if decay else now


@pytest.mark.parametrize(("clip", "decay"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.9)])
def test_equals_a_plain_loop(clip, decay):
    task, source = _task(gradient_clip=clip, ema_decay=decay), ToySource(18)
    fitted = fit_in_memory(task, _model(task), source, seed=7)
    torch.testing.assert_close(fitted.state_dict(), _by_hand(task, source, 7, clip, decay))
    assert not fitted.training


def test_the_seed_decides_and_nothing_else_does():
    task, source = _task(), ToySource(18)
    fits = []
    for seed, other in ((0, 1), (0, 2), (1, 1)):
        model = _model(task)
        torch.manual_seed(other)
        before = torch.get_rng_state()
        fits.append(fit_in_memory(task, model, source, seed=seed).state_dict())
        assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(fits[0][key], fits[1][key]) for key in fits[0])
    assert any(not torch.equal(fits[0][key], fits[2][key]) for key in fits[0])


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_other_optimizers_learn_too(name):
    task, source = _task(dropout=0.0, name=name, epochs=30), ToySource(18)
    batch = source.batch(np.arange(18))
    before = task.step(_model(task), batch, "train").loss
    after = task.step(fit_in_memory(task, _model(task), source, seed=0), batch, "train").loss
    assert after < before / 2


def test_parameters_have_memory_of_their_own_again():
    task, source = _task(epochs=1), ToySource(18)
    fitted = fit_in_memory(task, _model(task), source, seed=0)
    places = {parameter.untyped_storage().data_ptr() for parameter in fitted.parameters()}
    assert len(places) == len(list(fitted.parameters()))
    assert all(parameter.grad is None for parameter in fitted.parameters())


def test_a_schedule_that_needs_a_validation_is_refused():
    task = _task(scheduler=SchedulerConfig(name="plateau"))
    with pytest.raises(ConfigError, match="plateau"):
        fit_in_memory(task, _model(task), ToySource(18), seed=0)


def test_a_loss_that_is_not_finite_is_an_error():
    task = _task(dropout=0.0)
    task.config = replace(task.config, poison_step=3)
    with pytest.raises(FloatingPointError, match="nan"):
        fit_in_memory(task, _model(task), ToySource(18), seed=0)
