"""A sweep: a folder with its plan, written first, and the runs that it became.

The runs themselves lie where any run lies. A sweep that was killed goes on with the same command:
finished runs are found by the digest of their configuration and not repeated, begun ones resumed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphwright.config import io
from graphwright.launch.sweep.existing import remove_remains
from graphwright.launch.sweep.folder import Results, sweep_folder
from graphwright.launch.sweep.many import Outcome, run_all, to_be_run
from graphwright.launch.sweep.plan import PlannedRun, SweepPlan, planned_runs

if TYPE_CHECKING:
    from graphwright.config.launch import LaunchConfig

__all__ = ["Sweep", "run_sweep", "submit_sweep"]

AfterEach = Callable[[int, int, Outcome], None]


@dataclass(frozen=True)
class Sweep:
    """What became of a sweep: its folder, and an outcome for each planned run, in order."""

    folder: Path
    outcomes: list[Outcome]

    @property
    def finished(self) -> list[Path]:
        """Folders of the runs that are finished."""
        return [outcome.run for outcome in self.outcomes if outcome.run is not None]

    @property
    def failures(self) -> list[Outcome]:
        """Those that came to another end."""
        return [one for one in self.outcomes if one.run is None and not one.pending]


def run_sweep(
    plan: SweepPlan,
    *,
    sweeps_root: Path = Path("sweeps"),
    runs_root: Path = Path("runs"),
    data_root: Path = Path("data"),
    workers: int = 1,
    threads: int | None = None,
    retry_failed: bool = False,
    after_each: AfterEach = lambda count, total, outcome: None,
) -> Sweep:
    """Check and write the plan, then run what is not finished yet, on this machine.

    Args:
        plan: what to run.
        sweeps_root: the sweep's folder is `<sweeps_root>/<plan.name>`.
        runs_root: where run folders are looked for and made.
        data_root: where prepared data are kept.
        workers: runs at a time, each in a process of its own.
        threads: of each run that does not say itself; the cores by the workers where None.
        retry_failed: also go on with runs that failed before; else their error stands.
        after_each: told how many of how many are done, and the one that just ended.

    Raises:
        ConfigError: the plan makes no sense; nothing was written.
        RunError: the folder has another plan, is in use, or cannot be written.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the runs in work have saved their state.
    """
    runs = planned_runs(plan)
    folder, configs = sweeps_root / plan.name, [run.config for run in runs]
    with sweep_folder(folder, _content(plan, runs)) as killed, _Noted(folder, runs) as noted:
        if killed is not None:
            remove_remains(configs, runs_root, killed)
        run_all(
            configs,
            runs_root=runs_root,
            data_root=data_root,
            workers=workers,
            threads=threads,
            retry_failed=retry_failed,
            after_each=lambda count, one: after_each(count, len(runs), noted.add(one)),
        )
    return Sweep(folder, noted.outcomes)


def submit_sweep(
    plan: SweepPlan,
    launch: LaunchConfig,
    *,
    sweeps_root: Path = Path("sweeps"),
    runs_root: Path = Path("runs"),
    data_root: Path = Path("data"),
    wait: bool = False,
    retry_failed: bool = False,
    after_each: AfterEach = lambda count, total, outcome: None,
) -> Sweep:
    """`run_sweep` on a Slurm cluster: a job array in which each job executes a saved run.

    Called again it collects what has ended, and submits only what has neither ended nor a job.

    Args:
        plan: what to run.
        launch: placement of the jobs.
        sweeps_root: as for `run_sweep`.
        runs_root: must be seen by the cluster's nodes.
        data_root: must be, too.
        wait: until no job is left; else come back at once, runs without an end are pending.
        retry_failed: also submit runs that failed before; else their error stands.
        after_each: told how many of how many are done, and the one that just ended.

    Raises:
        ConfigError: the plan makes no sense; nothing was written.
        RunError: as `run_sweep`, or Slurm refused the jobs.
    """
    from graphwright.launch.slurm.array import as_ended, collect, submit_all

    runs = planned_runs(plan)
    folder, configs = sweeps_root / plan.name, [run.config for run in runs]
    with sweep_folder(folder, _content(plan, runs)), _Noted(folder, runs) as noted:
        done, todo = to_be_run(configs, runs_root, retry_failed=retry_failed)

        def tell(one: Outcome) -> None:
            noted.add(one)
            after_each(len(noted.ended), len(runs), one)

        for one in done.values():
            tell(one)
        submitted = submit_all(
            [configs[index] for index in todo],
            launch,
            runs_root=runs_root,
            data_root=data_root,
            folder=folder / "slurm",
        )
        outcomes = as_ended(submitted) if wait else collect(submitted)
        for one in outcomes:
            tell(one)
    return Sweep(folder, noted.outcomes)


class _Noted:
    """Outcomes by configuration, and their rows in `result.json`, which leaving it completes."""

    def __init__(self, folder: Path, runs: list[PlannedRun]) -> None:
        self._runs = runs
        self._by_digest: dict[str, Outcome] = {}
        self._results = Results(folder, self._rows)

    @property
    def outcomes(self) -> list[Outcome]:
        """Of every planned run; pending where nobody has told another."""
        return [
            self._by_digest.get(run.digest, Outcome(run.config, None, "not begun", pending=True))
            for run in self._runs
        ]

    @property
    def ended(self) -> list[Outcome]:
        """Those that are not pending."""
        return [outcome for outcome in self.outcomes if not outcome.pending]

    def add(self, outcome: Outcome) -> Outcome:
        """Note one, and give it back."""
        self._by_digest[io.digest(outcome.config)] = outcome
        self._results.note()
        return outcome

    def __enter__(self) -> _Noted:
        return self

    def __exit__(self, *_: object) -> None:
        self._results.write()

    def _rows(self) -> list[dict[str, Any]]:
        return [_row(run, one) for run, one in zip(self._runs, self.outcomes, strict=True)]


def _content(plan: SweepPlan, runs: list[PlannedRun]) -> dict[str, Any]:
    return {
        "preset": plan.preset,
        "runs": [
            {
                "variant": run.variant,
                "overrides": list(run.overrides),
                "levels": list(run.config.levels()),
                "config_sha256": run.digest,
            }
            for run in runs
        ],
    }


def _row(run: PlannedRun, outcome: Outcome) -> dict[str, Any]:
    state = "finished" if outcome.run else "pending" if outcome.pending else "failed"
    return {
        "variant": run.variant,
        "overrides": list(run.overrides),
        "state": state,
        "run": str(outcome.run.absolute()) if outcome.run else None,
        "error": outcome.error,
    }
