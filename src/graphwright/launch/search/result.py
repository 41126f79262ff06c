"""What a search found, as rows, as JSON and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphwright.launch.search.objective import Objective
from graphwright.launch.search.plan import PlannedSearch
from graphwright.launch.search.study import Study, Trial
from graphwright.runs.files import write_json_atomic

__all__ = ["SearchResult", "counted", "rows", "write_summary"]

SUMMARY_NAME = "search.json"


@dataclass(frozen=True)
class SearchResult:
    """The trials of a search, without those that were tried once more, and what they say.

    Attributes:
        folder: of the sweep.
        objective: what was improved.
        trials: in order.
        best: the finished one with the best value, None if none is finished.
        importance: share of the values' spread that each key explains, greatest first.
    """

    folder: Path
    objective: Objective
    trials: list[Trial]
    best: Trial | None
    importance: dict[str, float]

    @property
    def failures(self) -> list[Trial]:
        """Trials that failed."""
        return [trial for trial in self.trials if trial.state == "failed"]

    def ranked(self) -> list[Trial]:
        """Finished trials, the best first, then the pruned ones, then the failed ones."""
        sign = -1.0 if self.objective.higher_is_better else 1.0
        order = ("finished", "pruned", "failed", "running")
        return sorted(
            self.trials,
            key=lambda t: (order.index(t.state), sign * (t.value or 0.0), t.number),
        )


def counted(trials: Sequence[Trial]) -> list[Trial]:
    """Without those that failed and were tried once more."""
    replaced = {trial.again for trial in trials}
    return [trial for trial in trials if trial.number not in replaced]


def rows(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """The rows of `result.json`: as a sweep's, and what a trial has beside."""
    return [
        {
            "variant": f"trial {trial.number}",
            "overrides": list(trial.overrides),
            "state": "pending" if trial.state == "running" else trial.state,
            "run": trial.run or None,
            "error": trial.error,
            "value": trial.value,
            "epochs": max(trial.reports, default=0),
        }
        for trial in counted(trials)
    ]


def write_summary(folder: Path, planned: PlannedSearch, study: Study) -> SearchResult:
    """Write `search.json`: the best trial, the history of the best value, importances."""
    trials = counted(study.trials())
    finished = [(t.value, t) for t in trials if t.state == "finished" and t.value is not None]
    sign = -1.0 if planned.objective.higher_is_better else 1.0
    best = min(finished, key=lambda pair: sign * pair[0])[1] if finished else None
    result = SearchResult(folder, planned.objective, trials, best, study.importance())
    content = {
        "objective": planned.objective.name,
        "direction": planned.objective.direction,
        "best": None if best is None else {**rows([best])[0], "values": dict(best.values)},
        "history": _history(finished, sign),
        "importance": result.importance,
    }
    write_json_atomic(folder / SUMMARY_NAME, content)
    return result


def _history(finished: Sequence[tuple[float, Trial]], sign: float) -> list[dict[str, Any]]:
    """Trials that were better than all before them."""
    best: list[dict[str, Any]] = []
    for value, trial in sorted(finished, key=lambda pair: pair[1].number):
        if not best or sign * value < sign * best[-1]["value"]:
            best.append({"trial": trial.number, "value": value})
    return best
