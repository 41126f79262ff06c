"""Mean and spread of a metric over seeds, and how a column of them is written."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from graphwright.report.text import MISSING, format_number

__all__ = ["Spread", "direction", "spread_texts"]

MOST_DECIMALS = 8
# words of a metric's name that say which way is better; a name with none of them, or with both,
# says nothing
_LOWER = {
    "bits", "brier", "displacement", "ece", "error", "fnr", "fpr", "loss", "mae", "mse", "nll",
    "perplexity", "regret", "rmse",
}  # fmt: skip
_HIGHER = {
    "acc", "accuracy", "ap", "auc", "auprc", "auroc", "f1", "kendall", "mcc", "pearson",
    "precision", "r2", "recall", "spearman", "tpr",
}  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1; None for one value) over the seeds of a group."""

    mean: float
    sd: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of one value or more, one a seed; NaN if any is not finite."""
        if len(values) == 1:
            return cls(values[0], None, 1)
        if not all(map(math.isfinite, values)):
            return cls(math.nan, None, len(values))
        return cls(statistics.fmean(values), statistics.stdev(values), len(values))

    def __str__(self) -> str:
        if self.sd is None or not math.isfinite(self.sd) or not math.isfinite(self.mean):
            return format_number(self.mean)
        if self.sd == 0:
            return f"{format_number(self.mean)} ± 0"
        # the standard deviation says how many decimals of the mean mean anything
        decimals = _decimals(self.sd)
        if not 0 <= decimals <= MOST_DECIMALS:
            return f"{format_number(self.mean)} ± {format_number(self.sd, 2)}"
        return f"{self.mean:,.{decimals}f} ± {self.sd:,.{decimals}f}"


def spread_texts(cells: Sequence[Spread | None]) -> list[str]:
    """A column of them with the same decimals, where that can be read; None is a dash.

    The decimals are those at which the middle one of the standard deviations has two significant
    digits. A cell that they would round to "± 0" keeps its own.

    >>> spread_texts([Spread(0.9287, 0.0006, 3), Spread(0.91, 0.017, 3), None])
    ['0.92870 ± 0.00060', '0.91000 ± 0.01700', '–']
    """
    given = [cell for cell in cells if cell is not None and math.isfinite(cell.mean)]
    sds = [cell.sd for cell in given if cell.sd]
    decimals = _decimals(statistics.median_low(sds)) if sds else _decimals_of_means(given)
    return [MISSING if cell is None else _text(cell, decimals) for cell in cells]


def direction(name: str) -> bool | None:
    """Whether higher is better, as far as the name of a metric tells; None where it does not.

    >>> direction("val_auroc"), direction("mae_x"), direction("epochs")
    (True, False, None)
    """
    words = set(re.findall(r"[a-z0-9]+", name.lower().replace("_", " ")))
    lower, higher = bool(words & _LOWER), bool(words & _HIGHER)
    return higher if lower != higher else None


def _decimals(sd: float) -> int:
    return 1 - int(f"{sd:.1e}".split("e")[1])


def _decimals_of_means(cells: Sequence[Spread]) -> int:
    """Four significant digits of the largest; -1 where whole numbers or wide ranges forbid it."""
    sizes = [abs(cell.mean) for cell in cells if cell.mean]
    if not sizes or max(sizes) > 1e3 * min(sizes) or all(size == int(size) for size in sizes):
        return -1
    return 3 - math.floor(math.log10(max(sizes)))


def _text(cell: Spread, decimals: int) -> str:
    if not math.isfinite(cell.mean) or not 0 <= decimals <= MOST_DECIMALS:
        return str(cell)
    if cell.sd is None:
        return f"{cell.mean:,.{decimals}f}"
    if cell.sd and cell.sd < 0.5 * 10.0**-decimals:
        return str(cell)
    sd = f"{cell.sd:,.{decimals}f}" if cell.sd else "0"
    return f"{cell.mean:,.{decimals}f} ± {sd}"
