"""A search: trials that Optuna proposes, each an ordinary run, poor ones given up early.

The study, the runs and their events say everything: a search that was killed at any instant goes
on with the same command, repeats no trial that ended and resumes those that began.
A trial is given up by its values alone, however late that is noticed: the same values always have
the same end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from graphwright.config import io
from graphwright.config.schema import TaskConfig
from graphwright.errors import ConfigError, GraphwrightError, RunError
from graphwright.launch.links import find_links
from graphwright.launch.local import create_run
from graphwright.launch.search.objective import Follower
from graphwright.launch.search.plan import PlannedSearch, SearchPlan, goes_on, plan_search
from graphwright.launch.search.result import SearchResult, counted, rows, write_summary
from graphwright.launch.search.study import State, Study, Trial
from graphwright.launch.sweep.existing import existing_run, remove_remains
from graphwright.launch.sweep.folder import Results, sweep_folder
from graphwright.launch.sweep.many import discard_mistake, threads_for
from graphwright.launch.sweep.pool import Ended, Pool, stoppable
from graphwright.runs.status import mark, read_status

__all__ = ["run_search"]

_LOOK_EVERY_S = 0.25

AfterEach = Callable[[int, int, Trial], None]


def run_search(
    plan: SearchPlan,
    *,
    sweeps_root: Path = Path("sweeps"),
    runs_root: Path = Path("runs"),
    data_root: Path = Path("data"),
    workers: int = 1,
    threads: int | None = None,
    retry_failed: bool = False,
    after_each: AfterEach = lambda count, total, trial: None,
) -> SearchResult:
    """Check and write the plan, then try what is proposed until so many trials came to an end.

    Args:
        plan: what to search.
        sweeps_root: the search's folder is `<sweeps_root>/<plan.name>`.
        runs_root: where run folders are looked for and made.
        data_root: where prepared data are kept.
        workers: trials at a time. With one, the same seed gives the same trials.
        threads: of each run that does not say itself; the cores by the workers where None.
        retry_failed: try what failed before once more, in the runs that it left.
        after_each: told how many of how many are done, and the trial that just ended.

    Raises:
        ConfigError: the plan makes no sense; nothing was written.
        MissingExtraError: Optuna is not installed.
        RunError: the folder has another plan, is in use, or cannot be written.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the runs in work have saved their state.
    """
    planned = plan_search(plan)
    folder = sweeps_root / plan.name
    with sweep_folder(folder, planned.content, goes_on) as killed:
        study = Study(folder, planned)
        results = Results(folder, lambda: rows(study.trials()))
        with stoppable(), Pool(workers, threads or threads_for(workers), data_root) as pool:
            search = _Search(planned, study, pool, runs_root, after_each, results.note)
            search.take_up(killed, retry_failed=retry_failed)
            try:
                search.go_on()
            except KeyboardInterrupt:
                search.stop()
                raise
            finally:
                results.write()
        return write_summary(folder, planned, study)


@dataclass
class _Live:
    """A trial whose run is in work."""

    trial: Trial
    config: TaskConfig
    follower: Follower
    hopeless: bool
    is_new: bool  # its folder was made now


class _Search:
    """The loop: propose, start, follow, give up, note."""

    def __init__(
        self,
        planned: PlannedSearch,
        study: Study,
        pool: Pool,
        runs_root: Path,
        after_each: AfterEach,
        noted: Callable[[], None],
    ) -> None:
        self._planned, self._study, self._pool = planned, study, pool
        self._runs_root, self._after_each, self._noted = runs_root, after_each, noted
        self._waiting: deque[Trial] = deque()  # began, or failed, under an earlier command
        self._live: dict[Path, list[_Live]] = {}
        self._ended: dict[str, int] = {}  # trials by the digests of their configurations

    def take_up(self, killed: int | None, *, retry_failed: bool) -> None:
        """Where earlier commands left it."""
        trials = self._study.trials()
        self._ended = {trial.digest: trial.number for trial in trials if trial.digest}
        self._waiting.extend(trial for trial in trials if trial.state == "running")
        if killed is not None:
            begun = [config for t in self._waiting if (config := self._config(t)) is not None]
            remove_remains(begun, self._runs_root, killed)
        if retry_failed:
            replaced = {trial.again for trial in trials}
            failed = [t for t in trials if t.state == "failed" and t.number not in replaced]
            self._waiting.extend(self._study.ask_again(trial) for trial in failed)

    def go_on(self) -> None:
        """Until all trials have ended."""
        while True:
            for trial in self._proposals():
                self._begin(trial)
            if not self._live:
                return
            for ended in self._pool.wait(_LOOK_EVERY_S):
                self._end(ended)
            for run, lives in self._live.items():
                for live in lives:
                    self._follow(live)
                if all(live.hopeless for live in lives):
                    self._pool.stop(run)

    def stop(self) -> None:
        """Ask all runs to save and leave; their trials stay where they are."""
        for ended in self._pool.stop_all():
            if ended.state != "interrupted":
                self._end(ended)

    def _proposals(self) -> Iterator[Trial]:
        while self._pool.free:
            if self._waiting:
                yield self._waiting.popleft()
            elif len(counted(self._study.trials())) < self._planned.plan.trials:
                yield self._study.ask()
            else:
                return

    def _begin(self, trial: Trial) -> None:
        try:
            config = self._planned.space.config(trial.overrides)
            if (earlier := self._twin(trial, config)) is not None:
                self._repeat(trial, earlier)
                return
            found = existing_run(config, self._runs_root)
            run = found or self._new_run(config)
        except GraphwrightError as error:
            self._write_end(trial, None, "failed", error=str(error))
            return
        follower = Follower(run, self._planned.objective.name, max(trial.reports, default=0))
        live = _Live(trial, config, follower, self._study.hopeless(trial.number), found is None)
        if run in self._live:  # the same configuration is in work: it ends with that
            self._live[run].append(live)
            return
        self._live[run] = [live]
        if read_status(run).state == "finished":
            self._end(Ended(run, "finished"))
        else:
            self._pool.start(run)

    def _twin(self, trial: Trial, config: TaskConfig) -> Trial | None:
        """An ended trial of the same configuration; not the one that this repeats on purpose."""
        number = self._ended.get(io.digest(config))
        if number is None or trial.again is not None:
            return None
        return self._study.trials()[number]

    def _new_run(self, config: TaskConfig) -> Path:
        links = find_links(config, self._runs_root)
        return create_run(config, self._runs_root, links).path

    def _follow(self, live: _Live) -> None:
        """Hand on what was validated since; nothing after the one that ended its hopes."""
        number = live.trial.number
        for epochs, value in () if live.hopeless else live.follower.read():
            self._study.report(number, epochs, value)
            if self._study.hopeless(number):
                live.hopeless = True
                return

    def _end(self, ended: Ended) -> None:
        lives = self._live.pop(ended.run)
        for live in lives:
            self._follow(live)
        given_up = any(live.hopeless for live in lives)
        for live in lives:
            if live.hopeless or (given_up and ended.state == "interrupted"):
                self._prune(live, ended.run)
            elif ended.state == "finished":
                self._finish(live, ended.run)
            elif ended.state == "failed":
                self._fail(live, ended)
            # else somebody asked it to stop: the same command goes on with it

    def _prune(self, live: _Live, run: Path) -> None:
        reports = self._study.trials()[live.trial.number].reports
        epochs = max(reports)
        with suppress(RunError):  # finished before it could be stopped: that is never changed
            name = self._planned.plan.name
            mark(run, "interrupted", error=f"pruned by the sweep {name} after {epochs} epochs")
        self._write_end(live.trial, live.config, "pruned", reports[epochs], run=str(run))

    def _finish(self, live: _Live, run: Path) -> None:
        value = self._planned.objective.of_run(run, live.config.training.keep)
        self._write_end(live.trial, live.config, "finished", value, run=str(run))

    def _fail(self, live: _Live, ended: Ended) -> None:
        if live.is_new:
            discard_mistake(ended, self._runs_root)
        run = str(ended.run) if ended.run.exists() else ""
        diverged = ended.cause == "training"
        self._write_end(
            live.trial, live.config, "failed", run=run, error=ended.error, diverged=diverged
        )

    def _repeat(self, trial: Trial, earlier: Trial) -> None:
        """The same configuration has the same end, without another run."""
        for epochs, value in earlier.reports.items():
            self._study.report(trial.number, epochs, value)
        state = cast("State", earlier.state)
        self._write_end(trial, None, state, earlier.value, run=earlier.run, error=earlier.error)

    def _write_end(
        self,
        trial: Trial,
        config: TaskConfig | None,
        state: State,
        value: float | None = None,
        *,
        run: str = "",
        error: str = "",
        diverged: bool = False,
    ) -> None:
        digest = "" if config is None else io.digest(config)
        self._study.end(
            trial.number, state, value, run=run, error=error, digest=digest, diverged=diverged
        )
        if digest:
            self._ended[digest] = trial.number
        trials = counted(self._study.trials())
        done = sum(one.state != "running" for one in trials)
        self._after_each(done, self._planned.plan.trials, self._study.trials()[trial.number])
        self._noted()

    def _config(self, trial: Trial) -> TaskConfig | None:
        try:
            return self._planned.space.config(trial.overrides)
        except ConfigError:
            return None
