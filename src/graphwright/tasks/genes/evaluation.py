"""How well interactions of held-out gene sets are predicted, beside the nulls and the noise.

Legend: S = gene sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.data.classification import average_precision
from graphwright.errors import DataError
from graphwright.tasks.genes.bootstrap import Interval, intervals
from graphwright.tasks.genes.data_config import SplitConfig
from graphwright.tasks.genes.labelled_sets import LabelledSets
from graphwright.tasks.genes.metrics import call_metrics, pearson, score_metrics
from graphwright.tasks.genes.nulls import OVERLAP_ROWS, NullsConfig, fit_nulls
from graphwright.tasks.genes.replicates import Ceiling
from graphwright.tasks.genes.report_rows import (
    ceiling_table,
    interval_table,
    main_table,
    size_table,
)
from graphwright.tasks.genes.splitting import SPLIT_RULES
from graphwright.training.task import Columns, Evaluation

__all__ = ["Asked", "evaluate_sets", "primary_metric"]

Values = NDArray[np.float64]

FEWEST = 10  # sets of one size, below which they have no row of their own


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is evaluated, in the words that the report uses.

    Attributes:
        model: its name, for the tables.
        num_genes: N.
        split: name of the split.
        label: what is predicted: eps, tau, "interaction".
        calls: labels are calls (1) and assumed negatives (0).
        rule: how sets were held out.
        notes: what else a reader must know: groups too large to be held out, say.
        ceiling: noise of the labels, or None.
        seed: of nulls and resamples.
        mlp: whether the one-hot MLP is fitted.
        resamples: of the bootstrap.
    """

    model: str
    num_genes: int
    split: str = "test"
    label: str = "interaction"
    calls: bool = False
    rule: SplitConfig = field(default_factory=SplitConfig)
    notes: tuple[str, ...] = ()
    ceiling: Ceiling | None = None
    seed: int = 0
    mlp: bool = True
    resamples: int = 500


def primary_metric(calls: bool) -> str:
    """Name of the metric that decides: Pearson's r of scores, average precision of calls."""
    return "average_precision" if calls else "pearson"


def evaluate_sets(
    columns: Columns,
    test: LabelledSets,
    train: LabelledSets | None,
    names: Sequence[str],
    asked: Asked,
    *,
    overlaps: tuple[Values, Values] | None = None,
) -> Evaluation:
    """Metrics in the label's unit, tables with the nulls, every prediction.

    Args:
        columns: of the model, one row a set: `predicted` (scores in the label's unit; of calls any
            number that orders) and perhaps others, which are kept.
        test: the sets with labels.
        train: what the model was trained on; None: not at hand, then there are no nulls.
        names: of each set, for people: "YKL051W YDR108W".
        asked: names and settings.
        overlaps: see `nulls.fit_nulls`.

    Raises:
        DataError: fewer than two sets, or predictions that are not one a set.
    """
    if not len(test) == len(names) == len(columns["predicted"]):
        raise DataError(
            f"{len(test)} gene sets have {len(names)} names and {len(columns['predicted'])} "
            "predictions"
        )
    rows, notes = _rows(columns["predicted"], test, train, asked, overlaps)
    results = {name: _measure(values, test.label, asked) for name, values in rows.items()}
    spreads = _intervals(rows, test, asked)
    about = [_about(test, train, asked), *asked.notes, *notes]
    primary = primary_metric(asked.calls)
    report = {
        "task": "genes",
        "split": asked.split,
        "primary": primary,
        "higher_is_better": True,
        "metrics": results[asked.model] | _of_interval(results, spreads, asked, primary),
        "tables": [
            main_table(results, asked.model, asked.split, calls=asked.calls, notes=about),
            interval_table(results, spreads, asked.model, primary, how=_drawn(asked)),
            *_sizes(rows, test, asked),
            *([] if asked.ceiling is None else ceiling_table(asked.ceiling)),
        ],
    }
    if not asked.calls:
        scatter = {"target": ["target"], "predicted": ["predicted"]}
        report["scatter"] = {**scatter, "label": asked.label, "unit": ""}
    return Evaluation(report, _columns(columns, test, names, asked))


def _rows(
    predicted_S: Values,
    test: LabelledSets,
    train: LabelledSets | None,
    asked: Asked,
    overlaps: tuple[Values, Values] | None,
) -> tuple[dict[str, Values], list[str]]:
    """Predictions of the model and of every null, by the name of its row."""
    own = {asked.model: np.asarray(predicted_S, np.float64)}
    if train is None:
        return own, ["No nulls: the training sets are not at hand."]
    config = NullsConfig(
        num_genes=asked.num_genes,
        calls=asked.calls,
        split=asked.rule,
        seed=asked.seed,
        mlp=asked.mlp,
    )
    nulls, notes = fit_nulls(train, test, config, overlaps)
    return own | nulls, notes


def _measure(predicted_S: Values, label_S: Values, asked: Asked) -> dict[str, float]:
    measure = call_metrics if asked.calls else score_metrics
    return measure(predicted_S, label_S)


def _intervals(rows: Mapping[str, Values], test: LabelledSets, asked: Asked) -> dict[str, Interval]:
    # sets of one query share its strain: resampled one by one they would seem independent
    grouped = asked.rule.by == "pair_disjoint"
    return intervals(
        rows,
        test.label,
        asked.model,
        average_precision if asked.calls else pearson,
        group_S=test.pair if grouped else None,
        resamples=asked.resamples,
        seed=asked.seed,
    )


def _drawn(asked: Asked) -> str:
    what = "whole query groups" if asked.rule.by == "pair_disjoint" else "gene sets"
    return f"{asked.resamples} resamples of {what}"


def _of_interval(
    results: Mapping[str, Mapping[str, float]],
    spreads: Mapping[str, Interval],
    asked: Asked,
    primary: str,
) -> dict[str, float]:
    """The model's interval, and its lead over the best null."""
    own = spreads[asked.model]
    found = {f"{primary}_low": own.low, f"{primary}_high": own.high}
    apart = {asked.model, *OVERLAP_ROWS}  # the latter know the networks
    nulls = {name: row[primary] for name, row in results.items() if name not in apart}
    if nulls:
        found[f"{primary}_above_nulls"] = results[asked.model][primary] - max(nulls.values())
    return found


def _sizes(rows: Mapping[str, Values], test: LabelledSets, asked: Asked) -> list[dict[str, Any]]:
    """A table by the size of the set, where there are several sizes."""
    size_S = test.sizes()
    found = {}
    for size in np.unique(size_S).tolist():
        here = np.flatnonzero(size_S == size)
        if len(here) >= FEWEST:
            found[size] = (
                len(here),
                {name: _measure(v[here], test.label[here], asked) for name, v in rows.items()},
            )
    return [size_table(found, asked.model, calls=asked.calls)] if len(found) > 1 else []


def _about(test: LabelledSets, train: LabelledSets | None, asked: Asked) -> str:
    """Which labels, how many sets, how held out."""
    parts = [
        f"Label: {asked.label}, {len(test):,} gene sets held out {SPLIT_RULES[asked.rule.by]}."
    ]
    if asked.calls:
        parts.append(
            f"{int(test.label.sum()):,} of them were called; cells that were not called are "
            "assumed to be negatives, which some may not be."
        )
    if train is not None:
        parts.append(f"Model and nulls know the same {len(train):,} training labels.")
    if asked.ceiling is not None and asked.ceiling.agreement is None:
        parts.append(f"Replicate ceiling: {asked.ceiling.how}")
    return " ".join(parts)


def _columns(columns: Columns, test: LabelledSets, names: Sequence[str], asked: Asked) -> Columns:
    """One row a set: its genes, its label, what was predicted."""
    found: Columns = {
        "id": np.array(list(names)),
        "split": np.full(len(test), asked.split),
        "size": test.sizes(),
        "target": test.label,
    }
    return found | {name: value for name, value in columns.items() if name not in found}
