"""Execute a saved run folder: the one way in which any training happens."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphwright.config import io
from graphwright.config.presets import from_yaml, task_module
from graphwright.config.schema import TaskConfig
from graphwright.errors import ConfigError
from graphwright.launch.links import read_links
from graphwright.launch.ranks import run_ranks
from graphwright.runs import provenance
from graphwright.runs.files import remove_stale_temporaries
from graphwright.runs.folder import RunFolder
from graphwright.runs.mirror import Mirrors, mirror_targets, start_mirrors
from graphwright.runs.status import mark, session

if TYPE_CHECKING:
    from graphwright.training.engine import Prepared
    from graphwright.training.phases import Phases
    from graphwright.training.rank_place import RankPlace
    from graphwright.training.ranks import OneProcess
    from graphwright.training.task import Task

__all__ = ["execute", "run_config"]

log = logging.getLogger("graphwright")

MIRROR_PATIENCE_S = 60.0


def run_config(folder: RunFolder) -> TaskConfig:
    """The configuration that a run was created with."""
    return from_yaml(folder.config_path.read_text(), where=folder.config_path)


def execute(
    folder: RunFolder,
    *,
    data_root: Path,
    phases: Phases,
    command: Sequence[str] = (),
    resume: bool = False,
    links: dict[str, Any] | None = None,
    place: RankPlace | None = None,
) -> str:
    """Train, evaluate and export the run in a folder.

    A run that wants several processes (`training.devices`) gets them, on this machine.

    Args:
        folder: holds the configuration.
        data_root: where prepared data are kept.
        phases: the start-up clock.
        command: for the provenance.
        resume: go on from `last.ckpt`.
        links: other runs that this one refers to, for the provenance.
        place: this process among those that were started for the run; None: it is alone.

    Returns:
        The state the run is left in: `finished` or `interrupted`.

    Raises:
        GraphwrightError: the run could not start or go on; its status says so too.
    """
    config = run_config(folder)
    devices = config.training.devices
    if place is None and devices > 1:
        return run_ranks(
            folder, devices, data_root=data_root, command=command, resume=resume, links=links
        )
    _check_number(devices, 1 if place is None else place.world_size)
    targets = mirror_targets(io.to_dict(config.tracking))
    with phases.importing():
        _before_torch(config)
        make_task = task_module(config.task, "task").TASK
        from graphwright.training.engine import Interrupted
        from graphwright.training.ranks import ManyProcesses, OneProcess

    ranks = OneProcess() if place is None or devices == 1 else ManyProcesses(place)
    parts = read_links(folder)
    task = make_task(config, data_root, parts)
    recorded = {**(links or {}), **{role: str(path) for role, path in parts.items()}}
    if not ranks.writes:
        return _train_along(folder, task, phases, ranks, resume=resume)
    with session(folder), _log_to(folder.log_path):
        if resume:
            remove_stale_temporaries(folder.path)
        try:
            mirrors = _train(folder, task, phases, targets, command, recorded, ranks, resume=resume)
        except Interrupted as signal:
            log.warning("stopped by %s; resume with: graphwright resume %s", signal, folder.path)
            mark(folder, "interrupted", error=f"stopped by {signal}")
            return "interrupted"
    for message in mirrors.wait(MIRROR_PATIENCE_S):
        log.warning("mirror: %s", message)
    return "finished"


def _check_number(devices: int, started: int) -> None:
    """A run goes on with as many ranks as it began with: the number is in its configuration."""
    if started != devices:
        raise ConfigError(
            f"the run has training.devices={devices}, but {started} processes were started for it",
            fix=f"start {devices}, or train a new run with training.devices={started}",
        )


def _train_along(
    folder: RunFolder,
    task: Task[Any, Any],
    phases: Phases,
    ranks: OneProcess,
    *,
    resume: bool,
) -> str:
    """What a rank that does not write does: its part of the training, and nothing after it."""
    from graphwright.training.engine import Interrupted, fit, prepare
    from graphwright.training.signals import StopRequest

    with _log_to(folder.log_path, rank=ranks.rank), StopRequest() as stop:
        try:
            fit(task, prepare(task, phases, ranks), folder, phases, stop, resume=resume)
        except Interrupted:
            return "interrupted"
    return "finished"


def _before_torch(config: TaskConfig) -> None:
    """Settings that count only before torch makes its first tensor."""
    from graphwright.training.allocator import set_allocator
    from graphwright.training.threads import cpu_pressure, settle_waiting

    training = config.training
    log.debug("memory allocator: %s", set_allocator(training.allocator))
    log.debug("waiting threads: %s", settle_waiting(cpu_pressure()))
    if training.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if training.threads:
        import torch

        torch.set_num_threads(training.threads)


def _train(
    folder: RunFolder,
    task: Task[Any, Any],
    phases: Phases,
    targets: dict[str, Any],
    command: Sequence[str],
    links: dict[str, Any],
    ranks: OneProcess,
    *,
    resume: bool,
) -> Mirrors:
    from graphwright.training.engine import fit, prepare
    from graphwright.training.finish import finish
    from graphwright.training.signals import StopRequest

    with StopRequest() as stop:
        prepared = prepare(task, phases, ranks)
        _write_provenance(folder, task.config, prepared, command, links)
        log.info(
            "training on %s, precision %s; mirrors: %s",
            prepared.placement.device,
            task.config.training.precision,
            ", ".join(targets) or "none",
        )
        mirrors = start_mirrors(folder, targets)
        fit(task, prepared, folder, phases, stop, resume=resume)
        log.debug("%s", phases.table())
        if not task.config.training.fast_dev_run:
            # asked to stop in here, it comes to its end: there is no training left to save
            finish(task, prepared, folder)
    return mirrors


def _write_provenance(
    folder: RunFolder,
    config: TaskConfig,
    prepared: Prepared,
    command: Sequence[str],
    links: dict[str, Any],
) -> None:
    from graphwright.training.hardware import describe

    written = folder.provenance_path.exists()
    previous = folder.read_json("provenance.json") if written else {}
    record = provenance.collect(
        command or sys.argv,
        {
            "config_digest": io.digest(config),
            "data_digest": prepared.data.digest,
            "split_digest": prepared.data.split_digest,
            "seed": config.seed,
            "data": prepared.data.summary,
            "device": describe(prepared.placement),
            "links": links or previous.get("links", {}),
        },
    )
    if previous:
        earlier = previous.pop("resumed_from", [])
        record["resumed_from"] = [*earlier, previous]
    folder.write_json("provenance.json", record)


class _RunLog(logging.FileHandler):
    """A full disk is reported by what it stops; that the log stops too is no further error."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Leave the record out."""

    def close(self) -> None:
        """Close the file, and give up what it could not take."""
        with suppress(OSError):
            super().close()


@contextmanager
def _log_to(path: Path, *, rank: int = 0) -> Iterator[None]:
    """Everything that is logged also goes to the run's `log.txt`, and the traceback of a failure.

    Of ranks other than 0, only what is unusual.
    """
    handler = _RunLog(path)
    who = f"rank {rank}: " if rank else ""
    handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {who}%(message)s"))
    if rank:
        handler.addFilter(lambda record: record.levelno != logging.INFO)
    handler.setLevel(logging.DEBUG)
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield
    except Exception as error:
        log.debug("%s", "".join(traceback.format_exception(error)))
        raise
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        handler.close()
