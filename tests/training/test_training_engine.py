"""The loop: exact resume, stopping, guarding; on a task without graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from contract_case import assert_same
from toy_task import ToyConfig, ToyTask, toy_config

from graphwright.config import io
from graphwright.errors import BundleError, TrainingError
from graphwright.runs.events import read_events
from graphwright.runs.folder import RunFolder
from graphwright.training.checkpoint import Checkpoints, load_checkpoint
from graphwright.training.engine import fit, prepare, trained_model
from graphwright.training.module import Interrupted
from graphwright.training.phases import Phases
from graphwright.training.signals import StopRequest

STEPS_PER_EPOCH = 8  # 30 rows in batches of 4


class StopAfter(StopRequest):
    """A stop request that arrives after so many looks at it (0: never)."""

    def __init__(self, looks: int = 0) -> None:
        self._looks = looks
        super().__init__()

    @property
    def received(self) -> str | None:
        self._looks -= 1
        return "SIGTERM" if self._looks == 0 else None

    @received.setter
    def received(self, value: str | None) -> None:
        del value


def run(folder: RunFolder, config: ToyConfig, *, looks: int = 0, resume: bool = False) -> Any:
    task = ToyTask(config, folder.path)
    phases = Phases()
    prepared = prepare(task, phases)
    return fit(task, prepared, folder, phases, StopAfter(looks), resume=resume)


def new_folder(root: Path, config: ToyConfig) -> RunFolder:
    return RunFolder.create(root, ("toy",), io.to_yaml(config))


def last_state(folder: RunFolder, config: ToyConfig) -> dict[str, Any]:
    return load_checkpoint(folder.checkpoints / "last.ckpt", io.digest(config))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, ToyConfig]:
    config = toy_config(ema_decay=0.9)
    folder = new_folder(tmp_path_factory.mktemp("reference"), config)
    run(folder, config)
    return folder, config


# a stop is looked for after each training batch, in each validation batch, after each validation
@pytest.mark.parametrize("looks", [1, 5, 8, 9, 10, 13, 18, 19, 31])
def test_resume_equals_uninterrupted(
    looks: int, reference: tuple[RunFolder, ToyConfig], tmp_path: Path
) -> None:
    whole, config = reference
    folder = new_folder(tmp_path, config)
    with pytest.raises(Interrupted):
        run(folder, config, looks=looks)
    run(folder, config, resume=True)
    assert_same(last_state(whole, config), last_state(folder, config))
    ours, theirs = read_events(folder.events_path), read_events(whole.events_path)
    for name in ("train_loss_step", "train_loss", "val_loss", "lr", "grad_norm"):
        assert ours.series(name) == theirs.series(name), name


def test_two_runs_are_bit_equal(reference: tuple[RunFolder, ToyConfig], tmp_path: Path) -> None:
    whole, config = reference
    folder = new_folder(tmp_path, config)
    run(folder, config)
    assert_same(last_state(whole, config), last_state(folder, config))


def test_many_interruptions(reference: tuple[RunFolder, ToyConfig], tmp_path: Path) -> None:
    whole, config = reference
    folder = new_folder(tmp_path, config)
    for attempt in range(30):
        try:
            run(folder, config, looks=3, resume=attempt > 0)
        except Interrupted:
            continue
        break
    assert attempt > 5
    assert_same(last_state(whole, config), last_state(folder, config))


def test_resume_from_intermediate_checkpoint(tmp_path: Path) -> None:
    """As after a kill -9: the run goes on from the last checkpoint, not from where it died."""
    config = toy_config(checkpoint_every=3)
    whole = new_folder(tmp_path, config)
    run(whole, config)
    folder = new_folder(tmp_path, config)
    with pytest.raises(Interrupted):
        run(folder, config, looks=14)
    kept = last_state(folder, config)
    state = load_checkpoint(folder.checkpoints / "last.ckpt", io.digest(config))
    assert state["step"] == kept["step"]
    run(folder, config, resume=True)
    assert_same(last_state(whole, config), last_state(folder, config))


def test_learns_and_ships_the_best(reference: tuple[RunFolder, ToyConfig]) -> None:
    folder, config = reference
    losses = read_events(folder.events_path).series("val_loss")[2]
    assert losses[-1] < losses[0]
    best = Checkpoints(folder.checkpoints, io.digest(config)).best()
    assert best is not None
    epoch = losses.index(min(losses))
    assert best.name == f"best-{epoch:02d}-{min(losses):.3f}.ckpt"
    task = ToyTask(config, folder.path)
    prepared = prepare(task, Phases())
    model = trained_model(task, prepared, folder)
    averaged = load_checkpoint(best, io.digest(config))["averaged"]
    assert torch.equal(model[0].weight, averaged["module.0.weight"])


def test_plateau_and_early_stopping(tmp_path: Path) -> None:
    config = toy_config(epochs=200, early_stopping=2)
    folder = new_folder(tmp_path, config)
    run(folder, config)
    events = read_events(folder.events_path)
    _, epochs, losses = events.series("val_loss")
    assert len(losses) < 200
    assert min(losses) not in losses[-2:]
    assert events.series("lr")[2][-1] < events.series("lr")[2][0]
    # resuming a training that stopped early changes nothing
    before = last_state(folder, config)
    run(folder, config, resume=True)
    assert_same(before, last_state(folder, config))
    assert epochs[-1] == len(losses) - 1


def test_nonfinite_loss_names_the_tensor(tmp_path: Path) -> None:
    config = ToyConfig(**{**vars(toy_config()), "poison_step": STEPS_PER_EPOCH + 6})
    folder = new_folder(tmp_path, config)
    with pytest.raises(TrainingError, match=r"parameter 0\.weight \(1 of 32 values"):
        run(folder, config)
    kept = last_state(folder, config)
    assert kept["feed"]["epoch"] == 1
    assert all(torch.isfinite(t).all() for t in kept["model"].values())


def test_checkpoint_of_another_config_is_refused(tmp_path: Path) -> None:
    config, other = toy_config(), toy_config(epochs=5)
    folder, second = new_folder(tmp_path, config), new_folder(tmp_path, other)
    run(folder, config)
    second.checkpoints.mkdir()
    (second.checkpoints / "last.ckpt").write_bytes((folder.checkpoints / "last.ckpt").read_bytes())
    with pytest.raises(BundleError, match="belongs to configuration"):
        run(second, other, resume=True)


def test_fast_dev_run_is_short_and_leaves_no_checkpoint(tmp_path: Path) -> None:
    config = toy_config(fast_dev_run=2)
    folder = new_folder(tmp_path, config)
    run(folder, config)
    assert read_events(folder.events_path).series("train_loss_step")[0] == [1, 2]
    assert not folder.checkpoints.exists()


def test_startup_is_timed(reference: tuple[RunFolder, ToyConfig]) -> None:
    startup = reference[0].read_json("startup.json")
    names = [phase["name"] for phase in startup["phases"]]
    for name in ("imports", "data loading and validation", "split", "loaders", "model", "logging"):
        assert name in names
    for mark in ("first_forward_s", "first_batch_s", "first_epoch_s", "steady_batch_s", "total_s"):
        assert startup[mark] > 0


def test_float64_and_cosine(tmp_path: Path) -> None:
    from graphwright.config.schema import SchedulerConfig

    config = toy_config(precision="64", scheduler=SchedulerConfig(name="cosine", warmup_epochs=1))
    folder = new_folder(tmp_path, config)
    model = run(folder, config)
    assert model[0].weight.dtype == torch.float64
    rates = read_events(folder.events_path).series("lr")[2]
    assert rates[0] == pytest.approx(1e-3 / STEPS_PER_EPOCH)
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] < 1e-4
