"""The loop's parts, each alone."""

from __future__ import annotations

import json
import os
import pickle
import random
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from toy_task import ToyBatch, ToySource, ToyTask, toy_config

from graphwright.config.schema import OptimizerConfig, SchedulerConfig, TrainingConfig
from graphwright.errors import BundleError, ConfigError
from graphwright.training.allocator import set_allocator
from graphwright.training.checkpoint import Checkpoints, load_checkpoint
from graphwright.training.device import place
from graphwright.training.infer import over_source
from graphwright.training.nonfinite import first_bad_tensor
from graphwright.training.optim import Schedule, build_optimizer, gradient_norm
from graphwright.training.phases import Phases
from graphwright.training.random_state import get_random_state, seed_everything, set_random_state
from graphwright.training.recorder import Average
from graphwright.training.signals import StopRequest
from graphwright.training.stopping import BestSoFar
from graphwright.training.threads import cpu_pressure, settle_waiting
from graphwright.training.warmup import warm_up


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(()))


def test_random_state_survives_a_file(tmp_path: Path) -> None:
    seed_everything(3)
    draws()
    torch.save(get_random_state(), tmp_path / "state")
    expected = [draws() for _ in range(3)]
    set_random_state(torch.load(tmp_path / "state", weights_only=True))
    assert [draws() for _ in range(3)] == expected


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")])
def test_optimizers(name: Any, kind: str) -> None:
    optimizer = build_optimizer(nn.Linear(2, 2).parameters(), OptimizerConfig(name=name, lr=0.5))
    assert type(optimizer).__name__ == kind
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[0]["weight_decay"] == 1e-5


def make_schedule(config: SchedulerConfig, epochs: int = 4) -> Schedule:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    schedule = Schedule(optimizer, config, steps_per_epoch=5, epochs=epochs, higher_is_better=False)
    optimizer.step()  # torch warns of a schedule that moves before its optimizer
    return schedule


def test_cosine_rises_then_falls_to_its_floor() -> None:
    schedule = make_schedule(SchedulerConfig(name="cosine", warmup_epochs=1, min_lr=0.1))
    rates = []
    for _ in range(20):
        rates.append(schedule.lr)
        schedule.after_step()
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5] == pytest.approx(1.0)
    assert all(a >= b for a, b in pairwise(rates[4:]))
    assert schedule.lr == pytest.approx(0.1)


def test_plateau_drops_and_continues_from_its_state() -> None:
    config = SchedulerConfig(name="plateau", patience=1, factor=0.5)
    one, other = make_schedule(config), make_schedule(config)
    for value in (1.0, 1.1):
        one.after_validation(value)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for schedule in (one, other):
        schedule.after_validation(1.2)
        assert schedule.lr == 0.5


def test_constant_rate_has_no_state() -> None:
    schedule = make_schedule(SchedulerConfig(name="none"))
    schedule.after_step()
    schedule.after_validation(1.0)
    schedule.load_state_dict(schedule.state_dict())
    assert schedule.lr == 1.0


def test_gradient_norm_clips_only_when_asked() -> None:
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    assert float(gradient_norm([weight], 0.0)) == 5.0
    assert weight.grad.tolist() == [3.0, 4.0]
    assert float(gradient_norm([weight], 1.0)) == 5.0
    assert weight.grad.norm() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("precision", ["16-mixed", "16-true"])
def test_half_precision_is_refused_on_a_cpu(precision: Any) -> None:
    with pytest.raises(ConfigError, match="not supported on a CPU"):
        place(TrainingConfig(device="cpu", precision=precision))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_missing_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="no CUDA device"):
        place(TrainingConfig(device="cuda"))


@pytest.mark.parametrize(
    ("precision", "dtype", "told"),
    [
        ("32", torch.float32, "32-true"),
        ("64", torch.float64, "32-true"),
        ("bf16-true", torch.bfloat16, "32-true"),
        ("bf16-mixed", torch.float32, "bf16-mixed"),
    ],
)
def test_precisions_of_a_cpu(precision: Any, dtype: torch.dtype, told: str) -> None:
    placement = place(TrainingConfig(device="cpu", precision=precision))
    assert (placement.dtype, placement.lightning_precision) == (dtype, told)


class Breaks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.second = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.log(self.first(x) * 0 - 1))


def test_first_bad_tensor_is_found() -> None:
    model, good = Breaks(), torch.ones(3, 2)
    assert first_bad_tensor(model, good, lambda: model(good)).startswith("output of second (6 of 6")
    bad = {"x": good.clone(), "n": torch.ones(2, dtype=torch.int64)}
    bad["x"][0, 0] = torch.inf
    assert (
        first_bad_tensor(model, bad, lambda: None) == "input batch.x (1 of 6 values are not finite)"
    )
    assert first_bad_tensor(nn.Identity(), [good], lambda: None) == "the loss itself"


def test_warm_up_leaves_no_trace() -> None:
    task = ToyTask(toy_config(), Path())
    model = task.build_model({"features": 4})
    batch = ToySource(8).batch(np.arange(8))
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    seed_everything(1)
    before = get_random_state()
    warm_up(
        model,
        lambda parameters: build_optimizer(parameters, OptimizerConfig()),
        lambda twin, one: task.step(twin, one, "train").loss,
        batch,
    )
    after = get_random_state()
    assert torch.equal(before["torch"], after["torch"])
    assert all(torch.equal(weights[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert task.calls == 2


def test_average_is_weighted_and_continues() -> None:
    average = Average()
    average.add({"a": torch.tensor(1.0)}, 1)
    other = Average()
    other.load_state_dict(average.state_dict())
    other.add({"a": torch.tensor(4.0)}, 3)
    assert other.means() == {"a": 3.25}


def test_best_so_far() -> None:
    best = BestSoFar(higher_is_better=True, patience=2)
    assert [best.update(v, i) for i, v in enumerate((1.0, 2.0, 1.5))] == [True, True, False]
    again = BestSoFar(higher_is_better=True, patience=2)
    again.load_state_dict(best.state_dict())
    assert not again.exhausted
    again.update(0.0, 3)
    assert again.exhausted
    assert (again.value, again.epoch) == (2.0, 1)


def test_signals_are_noted_and_handlers_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest() as stop:
        assert stop.received is None
        os.kill(os.getpid(), signal.SIGUSR1)
        assert stop.received == "SIGUSR1"
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == "SIGTERM"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_allocator_says_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    assert set_allocator("system") == "system default"
    assert set_allocator("huge_pages") == "transparent huge pages"
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert "no glibc" in set_allocator("keep")


@pytest.mark.parametrize(
    ("pressure", "expected"),
    [
        (40.0, "OMP_WAIT_POLICY=passive"),
        (0.5, "GOMP_SPINCOUNT=3000"),
        (None, "GOMP_SPINCOUNT=1000"),
    ],
)
def test_threads_wait_according_to_the_crowd(
    pressure: float | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    assert settle_waiting(pressure) == expected
    name, value = expected.split("=")
    assert os.environ[name] == value
    assert settle_waiting(None) == expected  # a choice that was made stands


def test_cpu_pressure_is_a_share_or_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 <= (cpu_pressure() or 0) <= 100
    monkeypatch.setattr(Path, "read_text", lambda self: "some avg10=7.25 avg60=1.00 total=5\n")
    assert cpu_pressure() == 7.25
    monkeypatch.setattr(Path, "read_text", lambda self: "nothing of the sort")
    assert cpu_pressure() is None


def test_phases_time_and_tabulate() -> None:
    phases = Phases(since_process_start=True)
    with phases.timed("split") as details:
        details["train"] = 3
    phases.mark("total_s", 2.0)
    phases.mark("total_s", 9.0)
    record = phases.to_json()
    assert record["phases"][-1]["details"] == {"train": 3}
    assert record["phases"][0]["name"] == "imports"
    assert record["phases"][0]["seconds"] > 0
    assert record["total_s"] == 2.0
    assert "split" in phases.table()


class Marker:
    """Unpickling it writes a file: whoever reads a foreign pickle runs its code."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("content", ["pickle", "torch", "short", "text", "foreign"])
def test_bad_checkpoints_are_refused(content: str, tmp_path: Path) -> None:
    path, marker = tmp_path / "last.ckpt", tmp_path / "ran"
    if content == "pickle":
        path.write_bytes(pickle.dumps(Marker(marker)))
    elif content == "torch":
        torch.save({"format": 1, "x": Marker(marker)}, path)
    elif content == "short":
        Checkpoints(tmp_path, "d").save_last({"x": torch.zeros(1000)})
        path.write_bytes(path.read_bytes()[:2000])
    elif content == "text":
        path.write_text("hello")
    else:
        torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(BundleError):
        load_checkpoint(path, "d")
    assert not marker.exists()


def test_missing_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "last.ckpt", "d")


def test_infer_keeps_the_order_of_the_source() -> None:
    task, source = ToyTask(toy_config(), Path()), ToySource(10)
    model = task.build_model({"features": 4})
    columns = over_source(task, model, batch_size=3)(source)
    whole = source.batch(np.arange(10))
    assert isinstance(whole, ToyBatch)
    with torch.no_grad():
        expected = model(whole.x_BF).squeeze(1).double().numpy()
    np.testing.assert_allclose(columns["y"], expected, atol=1e-6)
    assert not model.training
