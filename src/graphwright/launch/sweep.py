"""A sweep: a folder with its plan, written first, and the runs that it became.

The runs themselves lie where any run lies. A sweep that was killed goes on with the same command:
finished runs are found by the digest of their configuration and not repeated, begun ones resumed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphwright.config import io
from graphwright.errors import RunError
from graphwright.launch.many import Outcome, run_all
from graphwright.launch.sweep_plan import PlannedRun, SweepPlan, planned_runs
from graphwright.runs.files import read_json, storage_errors, write_json_atomic

__all__ = ["Sweep", "run_sweep", "runs_of_sweep"]

_PLAN, _RESULT = "plan.json", "result.json"


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
        """Those that are not."""
        return [outcome for outcome in self.outcomes if outcome.run is None]


def run_sweep(
    plan: SweepPlan,
    *,
    sweeps_root: Path = Path("sweeps"),
    runs_root: Path = Path("runs"),
    data_root: Path = Path("data"),
    workers: int = 1,
    after_each: Callable[[int, int, Outcome], None] = lambda count, total, outcome: None,
) -> Sweep:
    """Check and write the plan, then run what is not finished yet.

    Args:
        plan: what to run.
        sweeps_root: the sweep's folder is `<sweeps_root>/<plan.name>`.
        runs_root: where run folders are looked for and made.
        data_root: where prepared data are kept.
        workers: runs at a time, each in a process of its own.
        after_each: told how many of how many are done, and the one that just ended.

    Raises:
        ConfigError: the plan makes no sense; nothing was written.
        RunError: the folder has another plan, cannot be written, or a worker died.
    """
    runs = planned_runs(plan)
    folder = sweeps_root / plan.name
    _write_plan(folder, plan, runs)
    outcomes = run_all(
        [run.config for run in runs],
        runs_root=runs_root,
        data_root=data_root,
        workers=workers,
        after_each=lambda count, outcome: after_each(count, len(runs), outcome),
    )
    by_config = {io.digest(outcome.config): outcome for outcome in outcomes}
    ordered = [by_config[run.digest] for run in runs]
    write_json_atomic(folder / _RESULT, [_row(r, o) for r, o in zip(runs, ordered, strict=True)])
    return Sweep(folder, ordered)


def runs_of_sweep(folder: Path) -> list[Path]:
    """The finished runs of a sweep, in the order of its plan.

    Raises:
        RunError: no sweep has ended there, or none of its runs is finished.
    """
    rows = read_json(folder / _RESULT)
    found = [Path(row["run"]) for row in rows if row["run"]]
    if not found:
        raise RunError("no run of this sweep is finished", where=folder)
    return found


def _write_plan(folder: Path, plan: SweepPlan, runs: list[PlannedRun]) -> None:
    content = {
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
    path = folder / _PLAN
    if path.is_file():
        if read_json(path) == content:
            return
        raise RunError(
            "this sweep's folder has another plan",
            where=path,
            fix="give the sweep another name, or delete the folder (its runs lie elsewhere)",
        )
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_json_atomic(path, content)


def _row(run: PlannedRun, outcome: Outcome) -> dict[str, Any]:
    return {
        "variant": run.variant,
        "overrides": list(run.overrides),
        "run": str(outcome.run.absolute()) if outcome.run else None,
        "error": outcome.error,
    }
