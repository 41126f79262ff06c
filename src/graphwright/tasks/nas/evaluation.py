"""How well a predictor ranks held-out architectures, beside baselines and the noise ceiling.

A = architectures, T = metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.data.classification import auroc
from graphwright.errors import DataError
from graphwright.tasks.nas.baselines import Guess, Labelled, guess_labels
from graphwright.tasks.nas.metrics import (
    calibration,
    error_metrics,
    predicted_ranks,
    ranking_metrics,
)
from graphwright.tasks.nas.noise_ceiling import Ceiling
from graphwright.training.task import Columns, Evaluation

__all__ = ["Asked", "column_name", "evaluate_predictor"]

TABLE = {
    "Kendall τ": "kendall_tau",
    "Spearman ρ": "spearman_rho",
    "precision@50": "precision_at_50",
    "N@10": "n_at_10",
    "regret@10": "regret_at_10",
    "RMSE": "rmse",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is evaluated, in the words that the report uses.

    Attributes:
        model: its name, for the tables.
        split: name of the split.
        metrics: `[T]` columns that are predicted, the primary one first.
        higher_is_better: of all metrics.
        split_rule: how test architectures were held out, "at random" or "by canonical id".
        sentinel: lines on what the sentinel rule did (`Labels.describe`).
        ceilings: `[T]` noise ceiling of each metric, or none at all.
        in_units: False where predictions are scores that only order (a ranking loss that nothing
            brings back to the label's units): then no errors and no calibration are told.
        ops: name of every code of the cells' operations.
        features: names of the columns of `features_AF` that stand as baselines alone.
        seed: of the forests.
    """

    model: str
    split: str = "test"
    metrics: tuple[str, ...]
    higher_is_better: bool
    split_rule: str = "at random"
    sentinel: tuple[str, ...] = ()
    ceilings: tuple[Ceiling, ...] = ()
    in_units: bool = True
    ops: Sequence[str] = ()
    features: tuple[str, ...] = ()
    seed: int = 0


def column_name(kind: str, metrics: Sequence[str], metric: int) -> str:
    """Column of the predictions: `predicted` of the primary metric, `predicted_<name>` of others.

    Args:
        kind: "predicted", "sd" or "target".
        metrics: all of them.
        metric: which.
    """
    return kind if metric == 0 else f"{kind}_{metrics[metric]}"


def evaluate_predictor(
    columns: Columns, test: Labelled, train: Labelled | None, asked: Asked
) -> Evaluation:
    """Metrics over architectures with a valid label, tables with baselines, every prediction.

    Args:
        columns: of the model, one row a test architecture: `predicted`, perhaps `sd` and
            `p_feasible`, and for further metrics `predicted_<metric>`, `sd_<metric>`.
        test: the architectures, with labels.
        train: what the model was trained on; None: not at hand, then there are no baselines.
        asked: names and settings.

    Raises:
        DataError: fewer than two test architectures have a valid label of the primary metric.
    """
    metrics: dict[str, float] = {}
    tables = []
    for i, name in enumerate(asked.metrics):
        valid = int(test.valid_AT[:, i].sum())
        if valid < 2:
            if i == 0:
                raise DataError(
                    f"{valid} of {len(test.names)} architectures of the {asked.split} split have "
                    f"a valid {name}: there is no order to predict",
                    fix="evaluate on more architectures, or mend data.labels.sentinel",
                )
            continue
        results, notes = _results(columns, test, train, asked, i)
        prefix = "" if i == 0 else f"{name}_"
        metrics |= {f"{prefix}{key}": value for key, value in results[asked.model].items()}
        tables.append(_table(results, asked, i, [_about(test, train, asked, i), *notes]))
    feasible = _feasibility(columns, test)
    report = {
        "task": "nas",
        "split": asked.split,
        "primary": "kendall_tau",
        "higher_is_better": True,
        "metrics": metrics | feasible,
        "tables": [*tables, *_ceiling_tables(asked)],
        "scatter": _scatter(asked),
        "failed": {m: int((~test.valid_AT[:, i]).sum()) for i, m in enumerate(asked.metrics)},
    }
    return Evaluation(report, _columns(columns, test, asked))


def _results(
    columns: Columns, test: Labelled, train: Labelled | None, asked: Asked, metric: int
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Metrics of the model and of every baseline, by the name of its row."""
    own = Guess(columns[column_name("predicted", asked.metrics, metric)], asked.in_units)
    guesses, notes = {asked.model: own}, []
    if train is None:
        notes.append("No baselines: the training architectures are not at hand.")
    else:
        found, notes = guess_labels(
            train, test, metric, ops=asked.ops, features=asked.features, seed=asked.seed
        )
        guesses |= found
    valid_A = test.valid_AT[:, metric]
    target_A = test.target_AT[valid_A, metric]
    results = {
        row: _measure(guess, valid_A, target_A, higher=asked.higher_is_better)
        for row, guess in guesses.items()
    }
    sd_A = columns.get(column_name("sd", asked.metrics, metric))
    # a single member has no spread: nothing was claimed, so nothing is wrong
    if asked.in_units and sd_A is not None and np.any(np.nan_to_num(sd_A) > 0):
        results[asked.model] |= calibration(own.predicted_A[valid_A], sd_A[valid_A], target_A)
    if not asked.in_units:
        notes.append("The model's predictions are an order, not labels: it has no RMSE.")
    return results, notes


def _measure(
    guess: Guess, valid_A: NDArray[np.bool_], target_A: NDArray[np.float64], *, higher: bool
) -> dict[str, float]:
    predicted_A = guess.predicted_A[valid_A]
    measured = ranking_metrics(predicted_A, target_A, higher_is_better=higher)
    return measured | (error_metrics(predicted_A, target_A) if guess.in_units else {})


def _table(
    results: Mapping[str, Mapping[str, float]], asked: Asked, metric: int, notes: Sequence[str]
) -> dict[str, Any]:
    shown = {t: key for t, key in TABLE.items() if any(key in row for row in results.values())}
    of = f": {asked.metrics[metric]}" if len(asked.metrics) > 1 else ""
    return {
        "title": f"Ranking of the {asked.split} architectures{of}",
        "note": " ".join(notes),
        "columns": ["model", *shown],
        "rows": [
            [row, *(measured.get(key) for key in shown.values())]
            for row, measured in results.items()
        ],
        "highlight": asked.model,
    }


def _about(test: Labelled, train: Labelled | None, asked: Asked, metric: int) -> str:
    """Which labels, how many architectures, how held out, what counts as failed."""
    name, valid = asked.metrics[metric], int(test.valid_AT[:, metric].sum())
    way = "higher" if asked.higher_is_better else "lower"
    failed = len(test.names) - valid
    parts = [f"Label: {name} ({way} is better), {valid:,} architectures."]
    parts += [f"{failed:,} without a valid label are left out."] if failed else []
    if train is not None:
        known = int(train.valid_AT[:, metric].sum())
        parts.append(
            f"Model and baselines know the same {known:,} training labels; "
            f"test architectures are held out {asked.split_rule}."
        )
    parts += [f"{line}." for line in asked.sentinel if line.startswith(f"{name}:")]
    if metric < len(asked.ceilings) and asked.ceilings[metric].agreement is None:
        parts.append(f"Noise ceiling: {asked.ceilings[metric].how}")
    parts.append("N@10: true rank of the best of the predicted first ten; regret@10: its distance")
    return " ".join(parts) + " from the best, in units of the label."


def _ceiling_tables(asked: Asked) -> list[dict[str, Any]]:
    """What noise leaves possible; no model's row, so that nobody takes it for a baseline."""
    rows: list[list[Any]] = []
    notes = []
    for name, ceiling in zip(asked.metrics, asked.ceilings, strict=False):
        if ceiling.agreement is None:
            continue
        of = f", {name}" if len(asked.metrics) > 1 else ""
        rows.append([f"two trainings{of}", ceiling.agreement, ceiling.agreement_sd, ceiling.count])
        rows.append([f"perfect predictor (simulated){of}", ceiling.perfect, None, ceiling.count])
        notes.append(ceiling.how)
    if not rows:
        return []
    note = "How far trainings of the same architecture agree, and what that leaves possible: "
    columns = ["", "Kendall τ", "sd", "architectures"]
    title = "Noise ceiling"
    note += " ".join(dict.fromkeys(notes))
    return [{"title": title, "note": note, "columns": columns, "rows": rows, "highlight": None}]


def _feasibility(columns: Columns, test: Labelled) -> dict[str, float]:
    """How well the chance of a valid label tells valid from failed ones; nothing if not asked."""
    chance_A, valid_A = columns.get("p_feasible"), test.valid_AT[:, 0]
    if chance_A is None or valid_A.all() or not valid_A.any():
        return {}
    return {"feasibility_auroc": auroc(chance_A, valid_A)}


def _scatter(asked: Asked) -> dict[str, Any]:
    label = asked.metrics[0]
    if asked.in_units:
        return {"target": ["target"], "predicted": ["predicted"], "label": label, "unit": ""}
    return {"target": ["true_rank"], "predicted": ["rank"], "label": f"rank by {label}", "unit": ""}


def _columns(columns: Columns, test: Labelled, asked: Asked) -> Columns:
    """One row an architecture: labels (NaN where failed), predictions, ranks."""
    valid_A = test.valid_AT[:, 0]
    higher = asked.higher_is_better
    known_A = np.where(valid_A, test.target_AT[:, 0], np.nan)
    found: Columns = {
        "id": np.array(list(test.names)),
        "split": np.full(len(test.names), asked.split),
        "valid": valid_A.copy(),
        "rank": predicted_ranks(columns["predicted"], higher_is_better=higher),
        "true_rank": np.where(valid_A, predicted_ranks(known_A, higher_is_better=higher), np.nan),
    }
    for i in range(len(asked.metrics)):
        target_A = np.where(test.valid_AT[:, i], test.target_AT[:, i], np.nan)
        found[column_name("target", asked.metrics, i)] = target_A
    return found | {name: value for name, value in columns.items() if name not in found}
