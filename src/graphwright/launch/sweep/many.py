"""Many configurations, one run folder each, by a few worker processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from graphwright.config import io
from graphwright.config.schema import TaskConfig
from graphwright.errors import GraphwrightError
from graphwright.launch.links import find_links
from graphwright.launch.local import create_run
from graphwright.launch.sweep.existing import existing_runs
from graphwright.launch.sweep.pool import Ended, Pool, cores, stoppable
from graphwright.runs.folder import discard_run
from graphwright.runs.status import Status, read_status

__all__ = ["Outcome", "discard_mistake", "run_all", "threads_for", "to_be_run"]


@dataclass(frozen=True)
class Outcome:
    """What became of one configuration: its run, or why there is none that is finished.

    `pending`: nothing is wrong, it has not come to its end.
    """

    config: TaskConfig
    run: Path | None
    error: str = ""
    pending: bool = False


AfterEach = Callable[[int, Outcome], None]


def run_all(
    configs: Sequence[TaskConfig],
    *,
    runs_root: Path = Path("runs"),
    data_root: Path = Path("data"),
    workers: int = 1,
    threads: int | None = None,
    retry_failed: bool = True,
    after_each: AfterEach = lambda count, outcome: None,
) -> list[Outcome]:
    """Train every configuration that has no finished run yet; go on with those that began.

    A run that fails is reported in its outcome, and the others go on, also when its worker process
    dies. Started again after a kill, it repeats nothing that is finished.

    Args:
        configs: what to train.
        runs_root: where run folders are looked for and made.
        data_root: where prepared data are kept.
        workers: processes; each trains one run at a time.
        threads: of each run that does not say itself (`training.threads`); the cores by the
            workers where None.
        retry_failed: go on with runs that failed before; else their error stands.
        after_each: told how many are done, and the one that just came to its end.

    Returns:
        An outcome for each configuration, in order.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; the runs in work have saved their state.
    """
    digests = [io.digest(config) for config in configs]
    unique = list(dict(zip(digests, configs, strict=True)).values())
    done, todo = to_be_run(unique, runs_root, retry_failed=retry_failed)
    for count, outcome in enumerate(done.values(), start=1):
        after_each(count, outcome)
    with stoppable(), Pool(workers, threads or threads_for(workers), data_root) as pool:
        try:
            _drain(pool, unique, todo, done, runs_root, after_each)
        except KeyboardInterrupt:
            pool.stop_all()
            raise
    by_digest = {digest: done[index] for index, digest in enumerate(dict.fromkeys(digests))}
    return [by_digest[digest] for digest in digests]


def to_be_run(
    configs: Sequence[TaskConfig], runs_root: Path, *, retry_failed: bool
) -> tuple[dict[int, Outcome], dict[int, Path | None]]:
    """Which configurations are at their end, and which are not, by their place in the list.

    Returns:
        The outcomes of the former; of the latter the run that each goes on with, if it has one.
    """
    done: dict[int, Outcome] = {}
    todo: dict[int, Path | None] = {}
    for index, run in enumerate(existing_runs(configs, runs_root)):
        status = Status(state="created") if run is None else read_status(run)
        if status.state == "finished":
            done[index] = Outcome(configs[index], run)
        elif status.state == "failed" and not retry_failed:
            done[index] = Outcome(configs[index], None, f"{status.error}\n  where: {run}")
        else:
            todo[index] = run
    return done, todo


def threads_for(workers: int) -> int:
    """CPU threads of each of several runs at a time."""
    return max(cores() // workers, 1)


def discard_mistake(ended: Ended, runs_root: Path) -> None:
    """No run comes of a user's mistake that was found before the first step.

    Args:
        ended: a run that was made for this, and that no other command had begun.
        runs_root: it lies below.
    """
    checkpoints = ended.run / "checkpoints"
    if ended.cause != "mistake" or any(checkpoints.glob("*.ckpt")):
        return
    if read_status(ended.run).state not in ("created", "failed"):
        return  # somebody else is at it
    discard_run(ended.run, runs_root)


def _drain(
    pool: Pool,
    configs: Sequence[TaskConfig],
    todo: dict[int, Path | None],
    done: dict[int, Outcome],
    runs_root: Path,
    after_each: AfterEach,
) -> None:
    left = list(todo)
    at_work: dict[Path, int] = {}

    def note(index: int, outcome: Outcome) -> None:
        done[index] = outcome
        after_each(len(done), outcome)

    while left or at_work:
        while left and pool.free:
            index = left.pop(0)
            config = configs[index]
            try:
                run = (
                    todo[index] or create_run(config, runs_root, find_links(config, runs_root)).path
                )
            except GraphwrightError as error:
                note(index, Outcome(config, None, str(error)))
                continue
            at_work[run] = index
            pool.start(run)
        for ended in pool.wait() if at_work else []:
            index = at_work.pop(ended.run)
            if todo[index] is None:
                discard_mistake(ended, runs_root)
            note(index, _outcome(configs[index], ended))


def _outcome(config: TaskConfig, ended: Ended) -> Outcome:
    if ended.state == "finished":
        return Outcome(config, ended.run)
    if ended.state == "interrupted":
        return Outcome(config, None, "it was asked to stop", pending=True)
    return Outcome(config, None, ended.error)
