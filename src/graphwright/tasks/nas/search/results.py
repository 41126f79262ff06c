"""What a search found: `results.json`, from its journal.

Legend: T = trainings in the order of asking.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.nas.metrics import kendall_tau
from graphwright.tasks.nas.search.candidates import INITIAL, Trial, best_first
from graphwright.tasks.nas.search.config import SearchConfig, TableTrainer
from graphwright.tasks.nas.search.lookup import Lookup

__all__ = ["RESULTS_NAME", "best_so_far", "regrets", "round_summary", "search_results"]

RESULTS_NAME = "results.json"

_TOP = 20
_REASON = 300  # characters of a reason for a failure
_FEWEST = 3  # values from which a rank correlation says anything

Values = NDArray[np.float64]


def search_results(
    config: SearchConfig,
    trials: Sequence[Trial],
    choosing_s: Sequence[float],
    table: Lookup | None,
) -> dict[str, Any]:
    """Everything that the report shows of one search, as plain JSON.

    Args:
        config: of the search.
        trials: all, in the order of asking; sentinels are failures already.
        choosing_s: seconds that each ask took, by round.
        table: of a table trainer: then the best is known, and so is the regret.
    """
    ranked = best_first(trials, higher_is_better=config.higher_is_better)
    failed = [trial for trial in trials if trial.value is None]
    rounds = [
        {**round_summary(trials, number), "choosing_s": seconds}
        for number, seconds in enumerate(choosing_s)
    ]
    spent = [trial.seconds for trial in trials if math.isfinite(trial.seconds)]
    return {
        "kind": "nas_search",
        "metric": config.trainer.metric if isinstance(config.trainer, TableTrainer) else "value",
        "test_metric": getattr(config.trainer, "test_metric", ""),
        "higher_is_better": config.higher_is_better,
        "strategy": config.strategy,
        "predictor": config.guide.recipe if config.strategy == "predictor" else None,
        "evaluated": len(trials),
        "failed": len(failed),
        "training_s": sum(spent),
        "best": _line(ranked[0], 1, table) if ranked else None,
        "best_so_far": best_so_far(trials, higher_is_better=config.higher_is_better).tolist(),
        "regret": _regret_curves(config, trials, table),
        "top": [_line(trial, rank, table) for rank, trial in enumerate(ranked[:_TOP], 1)],
        "rounds": rounds,
        "failures": [_failure(trial) for trial in failed[:_TOP]],
        "baselines": [],
    }


def best_so_far(trials: Sequence[Trial], *, higher_is_better: bool) -> Values:
    """The best value among the first 1, 2, … trainings `[T]`; NaN before the first value."""
    values = np.array([np.nan if t.value is None else t.value for t in trials], np.float64)
    best: Values = (np.fmax if higher_is_better else np.fmin).accumulate(values)
    return best


def regrets(trials: Sequence[Trial], table: Lookup, *, higher_is_better: bool) -> list[Values]:
    """How much worse the chosen is than the best of the table, after 1, 2, … trainings `[T]`.

    The chosen is the best by the metric. The first array is in the metric itself, the second, where
    the table has a test metric, is best test value − test value of the chosen. Never negative; NaN
    before the first value.
    """
    sign = 1.0 if higher_is_better else -1.0
    best, best_test = table.best(higher_is_better=higher_is_better)
    curves = [sign * (best - best_so_far(trials, higher_is_better=higher_is_better))]
    if best_test is not None:
        chosen = [table.test_value(text) if text else None for text in _chosen(trials, sign)]
        test = np.array([np.nan if value is None else value for value in chosen], np.float64)
        curves.append(sign * (best_test - test))
    return curves


def round_summary(trials: Sequence[Trial], number: int) -> dict[str, Any]:
    """What came of a batch, and how well it had been predicted before it was trained.

    `kendall_tau` compares predicted means with values of the batch that the predictor had never
    seen; None where nothing was predicted or fewer than three have values.
    """
    own = [trial for trial in trials if trial.candidate.round == number]
    pairs = [
        (trial.candidate.mean, trial.value)
        for trial in own
        if trial.value is not None and trial.candidate.mean is not None
    ]
    tau = kendall_tau(*zip(*pairs, strict=True)) if len(pairs) >= _FEWEST else math.nan
    return {
        "round": number,
        "asked": len(own),
        "failed": sum(trial.value is None for trial in own),
        "kendall_tau": tau if math.isfinite(tau) else None,
        "initial": any(trial.candidate.origin == INITIAL for trial in own),
    }


def _chosen(trials: Sequence[Trial], sign: float) -> list[str]:
    """The text of the best after each training; empty before the first value."""
    text, best, chosen = "", -math.inf, []
    for trial in trials:
        if trial.value is not None and sign * trial.value > best:
            text, best = trial.candidate.text, sign * trial.value
        chosen.append(text)
    return chosen


def _regret_curves(
    config: SearchConfig, trials: Sequence[Trial], table: Lookup | None
) -> list[dict[str, Any]]:
    if table is None or not isinstance(config.trainer, TableTrainer):
        return []
    names = [name for name in (config.trainer.metric, config.trainer.test_metric) if name]
    curves = regrets(trials, table, higher_is_better=config.higher_is_better)
    return [
        {"metric": name, "values": values.tolist()}
        for name, values in zip(names, curves, strict=True)
    ]


def _line(trial: Trial, rank: int, table: Lookup | None) -> dict[str, Any]:
    one = trial.candidate
    line = {
        "rank": rank,
        "architecture": one.text,
        "value": trial.value,
        "predicted": one.mean,
        "sd": one.sd,
        "number": one.number,
        "round": one.round,
        "origin": one.origin,
    }
    if table is not None and table.test_A is not None:
        line["test_value"] = table.test_value(one.text)
    return line


def _failure(trial: Trial) -> dict[str, Any]:
    one = trial.candidate
    return {"number": one.number, "architecture": one.text, "reason": trial.reason[:_REASON]}
