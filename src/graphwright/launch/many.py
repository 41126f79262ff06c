"""Many configurations, one run folder each, by a few worker processes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from graphwright.config import io
from graphwright.config.presets import from_yaml
from graphwright.config.schema import TaskConfig
from graphwright.errors import GraphwrightError, RunError
from graphwright.runs.folder import RunFolder
from graphwright.runs.status import read_status

__all__ = ["Outcome", "run_all"]

log = logging.getLogger("graphwright")

_LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class Outcome:
    """What became of one configuration: its run, or why there is none that is finished."""

    config: TaskConfig
    run: Path | None
    error: str = ""


def run_all(
    configs: Sequence[TaskConfig],
    *,
    runs_root: Path = Path("runs"),
    data_root: Path = Path("data"),
    workers: int = 1,
    after_each: Callable[[int, Outcome], None] = lambda count, outcome: None,
) -> list[Outcome]:
    """Train every configuration that has no finished run yet; go on with those that began.

    A run that fails is reported in its outcome, and the others go on. Started again after a kill,
    it repeats nothing that is finished.

    Args:
        configs: what to train.
        runs_root: where run folders are looked for and made.
        data_root: where prepared data are kept.
        workers: processes; each trains one run at a time, with one thread unless
            `training.threads` says otherwise.
        after_each: told how many are done, and the one that just came to its end.

    Raises:
        RunError: a worker process died (killed, out of memory); the runs it left can be resumed.
    """
    found = [_existing(config, runs_root) for config in configs]
    outcomes = [Outcome(c, f) for c, f in zip(configs, found, strict=True) if _is_finished(f)]
    for count, outcome in enumerate(outcomes, start=1):
        after_each(count, outcome)
    left = [
        (config, run) for config, run in zip(configs, found, strict=True) if not _is_finished(run)
    ]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_be_a_worker, initargs=(os.getpid(),)
    ) as pool:
        futures = {
            pool.submit(_train_one, io.to_yaml(config), run, runs_root, data_root): config
            for config, run in left
        }
        for future in as_completed(futures):
            outcomes.append(_outcome(futures[future], future))
            after_each(len(outcomes), outcomes[-1])
    return outcomes


def _existing(config: TaskConfig, runs_root: Path) -> Path | None:
    """The finished run of exactly this configuration, or else one that can be resumed."""
    # as it is read back: a 50 that was written may be a 50.0
    digest, started = io.digest(from_yaml(io.to_yaml(config))), None
    for path in sorted(runs_root.joinpath(*config.levels()).glob("run_*/config.yaml")):
        if io.digest(from_yaml(path.read_text(), where=path)) != digest:
            continue
        if _is_finished(path.parent):
            return path.parent
        started = path.parent
    return started


def _is_finished(run: Path | None) -> bool:
    return run is not None and read_status(run).state == "finished"


def _be_a_worker(parent: int) -> None:
    """Own threads would fight with the other workers' for the cores."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    logging.getLogger("graphwright").setLevel(logging.WARNING)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """A worker whose parent was killed must free its run for whoever goes on with it."""
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _train_one(text: str, run: Path | None, runs_root: Path, data_root: Path) -> Path:
    """In a worker: train anew, or go on with a run that began."""
    from graphwright.launch.local import resume, train

    if run is not None:
        folder = RunFolder.open(run)
        resume(folder, data_root=data_root)
    else:
        folder = train(from_yaml(text), runs_root=runs_root, data_root=data_root)
    return folder.path


def _outcome(config: TaskConfig, future: Future[Path]) -> Outcome:
    try:
        return Outcome(config, future.result())
    except GraphwrightError as error:
        return Outcome(config, None, str(error))
    except BrokenProcessPool:
        raise RunError(
            "a worker process died (killed, or out of memory)",
            fix="run the same command again: finished runs are kept, begun ones resumed",
        ) from None
