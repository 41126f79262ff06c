"""From a task and a run folder to trained weights: the timed phases, then the loop."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, cast

import lightning.pytorch as pl
import torch
from torch import nn

from graphwright.config import io
from graphwright.config.schema import LoadingConfig, TaskConfig
from graphwright.data.loader import Loader
from graphwright.errors import ConfigError
from graphwright.runs.events import EventWriter
from graphwright.runs.folder import RunFolder
from graphwright.training.around import deterministic, lightning_quiet
from graphwright.training.checkpoint import Checkpoints, load_checkpoint
from graphwright.training.ddp import keep_signals, trainer_arguments
from graphwright.training.device import Placement, place
from graphwright.training.feed import Feed
from graphwright.training.module import Interrupted, TrainingModule
from graphwright.training.optim import Schedule, build_optimizer
from graphwright.training.parts import Parts
from graphwright.training.phases import Phases
from graphwright.training.progress import Progress
from graphwright.training.random_state import seed_everything
from graphwright.training.ranks import ManyProcesses, OneProcess
from graphwright.training.recorder import NoEvents, Recorder
from graphwright.training.signals import StopRequest
from graphwright.training.task import Task, TaskData, new_model
from graphwright.training.warmup import warm_up

__all__ = ["Interrupted", "Prepared", "fit", "prepare", "trained_model"]

log = logging.getLogger("graphwright")


@dataclass(frozen=True)
class Prepared:
    """What the start-up phases leave for the loop.

    `called` is the model as training calls it: compiled, where that is asked for. `ranks` are the
    processes that share the training.
    """

    data: TaskData
    model: nn.Module
    called: nn.Module
    feed: Feed
    placement: Placement
    ranks: OneProcess


def prepare(task: Task[Any, Any], phases: Phases, ranks: OneProcess | None = None) -> Prepared:
    """Data, split, loaders and model, each timed.

    Args:
        task: what is trained.
        phases: the start-up clock.
        ranks: the processes that share the training; None: this one alone.

    Raises:
        ConfigError: device and precision do not fit.
        DataError: the data are missing or wrong.
    """
    config: TaskConfig = task.config
    ranks = ranks or OneProcess()
    if config.training.compile and ranks.world_size > 1:
        raise ConfigError(
            "training.compile=true: not with several processes", fix="use training.devices=1"
        )
    placement = place(config.training)
    with phases.timed("data loading and validation") as details:
        loaded = task.load()
    with phases.timed("split"):
        data = task.split(loaded)
    details.update(data.summary)
    with phases.timed("loaders") as details:
        feed = _build_feed(task, data, placement, ranks)
        details.update(io.to_dict(config.loading), batches=feed.batches)
    with phases.timed("model") as details:
        seed_everything(config.seed)
        model = new_model(task, data).to(placement.device, placement.dtype)
        details["parameters"] = sum(p.numel() for p in model.parameters())
        details["layers"] = sum(1 for _ in model.modules()) - 1
    with phases.timed("compilation") as details:
        # only set up here: the compiler works in the first forward and backward, timed apart
        called = _compiled(model) if config.training.compile else model
        details["enabled"] = config.training.compile
    return Prepared(data, model, called, feed, placement, ranks)


def fit(
    task: Task[Any, Any],
    prepared: Prepared,
    folder: RunFolder,
    phases: Phases,
    stop: StopRequest,
    *,
    resume: bool,
) -> nn.Module:
    """Train to the end, or raise.

    Returns:
        The model with its last weights (averaged where averaging is on).

    Raises:
        Interrupted: a stop was asked for; `last.ckpt` is where it goes on.
        TrainingError: the loss is no longer finite.
        BundleError: the checkpoint to resume from is damaged or of another configuration.
    """
    config: TaskConfig = task.config
    digest = io.digest(config)
    checkpoints, ranks = None, prepared.ranks
    if not config.training.fast_dev_run:
        checkpoints = Checkpoints(folder.checkpoints, digest, writes=ranks.writes)
    state = _state_to_resume(checkpoints, digest) if resume else None
    written = EventWriter(folder.events_path) if ranks.writes else NoEvents()
    with written as events, lightning_quiet():
        if resume:
            events.mark_resume(0 if state is None else state["step"])
        recorder = _timed_recorder(config, prepared, events, phases)
        with phases.timed("trainer configuration") as details:
            module = _build_module(task, prepared, recorder, checkpoints, stop, phases)
            trainer = _build_trainer(config, prepared)
            details["precision"] = config.training.precision
            details["device"] = str(prepared.placement.device)
        if state is not None:
            module.restore(state)
            log.info("resuming at epoch %d, step %d", prepared.feed.epoch, module.step_count)
        _maybe_warm_up(task, prepared)
        try:
            with (
                deterministic(config.training.deterministic),
                ranks.connected(prepared.placement.device, config.seed),
            ):
                ranks.check_start(module.step_count)
                _run(trainer, module, prepared.feed)
        finally:
            if ranks.writes:
                folder.write_json("startup.json", phases.to_json())
    return module.evaluated


def trained_model(task: Task[Any, Any], prepared: Prepared, folder: RunFolder) -> nn.Module:
    """The prepared model with the weights of the run's best checkpoint, or of the last."""
    digest = io.digest(task.config)
    checkpoints = Checkpoints(folder.checkpoints, digest)
    best = checkpoints.best() if task.config.training.keep == "best" else None
    state = load_checkpoint(best or checkpoints.last, digest)
    weights = state["model"]
    if state["averaged"] is not None:
        prefix = "module."
        weights = {
            k.removeprefix(prefix): v for k, v in state["averaged"].items() if k.startswith(prefix)
        }
    prepared.model.load_state_dict(weights)
    task.after_training(prepared.model.eval(), prepared.data)
    return prepared.model


def _compiled(model: nn.Module) -> nn.Module:
    return cast("nn.Module", torch.compile(model, dynamic=True))


def _state_to_resume(checkpoints: Checkpoints | None, digest: str) -> dict[str, Any] | None:
    if checkpoints is None or not checkpoints.last.exists():
        return None  # killed before the first checkpoint: start anew, in the same folder
    return load_checkpoint(checkpoints.last, digest)


def _timed_recorder(
    config: TaskConfig, prepared: Prepared, events: EventWriter, phases: Phases
) -> Recorder:
    with phases.timed("logging"):
        device = prepared.placement.device
        return Recorder(events, log_every=config.training.log_every, device=device)


def _build_feed(
    task: Task[Any, Any], data: TaskData, placement: Placement, ranks: OneProcess
) -> Feed:
    config: TaskConfig = task.config
    sources = dict(data.sources)
    if config.loading.resident:
        sources = {
            name: source.resident(placement.device) if hasattr(source, "resident") else source
            for name, source in sources.items()
        }
    settings = _worker_settings(config.loading)
    settings |= {"rank": ranks.rank, "world_size": ranks.world_size}
    train = Loader(
        sources["train"],
        batch_size=config.loading.batch_size,
        seed=config.seed,
        shuffle=True,
        max_size=config.loading.max_size or None,
        select=task.epoch_samples(data),
        **settings,
    )
    validation = Loader(
        sources["val"],
        batch_size=config.loading.eval_batch_size,
        seed=config.seed,
        shuffle=False,
        **settings,
    )
    return Feed(train, validation, limit=config.training.fast_dev_run)


def _worker_settings(loading: LoadingConfig) -> dict[str, Any]:
    return {
        "num_workers": loading.num_workers,
        "persistent_workers": loading.persistent_workers,
        "prefetch_factor": loading.prefetch_factor,
        "pin_memory": loading.pin_memory,
    }


def _build_module(
    task: Task[Any, Any],
    prepared: Prepared,
    recorder: Recorder,
    checkpoints: Checkpoints | None,
    stop: StopRequest,
    phases: Phases,
) -> TrainingModule:
    config: TaskConfig = task.config
    optimizer = build_optimizer(prepared.model.parameters(), config.training.optimizer)
    schedule = Schedule(
        optimizer,
        config.training.scheduler,
        steps_per_epoch=prepared.feed.mean_batches(config.training.epochs),
        epochs=config.training.epochs,
        higher_is_better=task.higher_is_better,
    )
    parts = Parts(
        task=task,
        optimizer=optimizer,
        schedule=schedule,
        feed=prepared.feed,
        recorder=recorder,
        checkpoints=checkpoints,
        stop=prepared.ranks.agree(stop),
        phases=phases,
        ranks=prepared.ranks,
    )
    return TrainingModule(prepared.model, prepared.called, prepared.placement, parts)


def _build_trainer(config: TaskConfig, prepared: Prepared) -> pl.Trainer:
    training, placement = config.training, prepared.placement
    trainer = pl.Trainer(
        accelerator="gpu" if placement.device.type == "cuda" else "cpu",
        precision=placement.lightning_precision,
        max_epochs=1 if training.fast_dev_run else training.epochs,
        callbacks=[Progress(training.epochs)] if prepared.ranks.writes else [],
        # each of these is done by our own, exactly resumable parts
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=1 if training.fast_dev_run else training.validate_every,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        **trainer_arguments(prepared.ranks),
    )
    if isinstance(prepared.ranks, ManyProcesses):
        keep_signals(trainer)
    return trainer


def _maybe_warm_up(task: Task[Any, Any], prepared: Prepared) -> None:
    training = task.config.training
    on_cuda = prepared.placement.device.type == "cuda"
    if not (training.warmup and on_cuda) or training.fast_dev_run:
        return
    source, size = prepared.data.sources["train"], task.config.loading.batch_size
    loader = Loader(source, batch_size=size, seed=task.config.seed, shuffle=False)
    batch = next(iter(loader)).to(prepared.placement.device, dtype=prepared.placement.dtype)
    warm_up(
        prepared.model,
        lambda parameters: build_optimizer(parameters, training.optimizer),
        lambda model, one: task.step(model, one, "train").loss,
        batch,
    )


def _run(trainer: pl.Trainer, module: TrainingModule, feed: Feed) -> None:
    module.parts.phases.start_loop()
    _close_epoch(trainer, module, feed)  # stopped at its end, or inside its validation
    progress: Any = trainer.fit_loop.epoch_progress.current
    progress.ready = progress.started = progress.processed = progress.completed = feed.epoch
    if not module.best.exhausted:
        trainer.fit(module)
        _close_epoch(trainer, module, feed)  # the last one, where Lightning did not validate it


def _close_epoch(trainer: pl.Trainer, module: TrainingModule, feed: Feed) -> None:
    """Where an epoch's batches are done and it is still open."""
    if not (feed.batch and feed.at_end):
        return
    if module.validation_due:
        trainer.validate(module, verbose=False)
    else:
        module.close_without_validation()
