"""What several trained runs say of one input, as one table: their mean, and how far they differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from graphwright.errors import BundleError, DataError, RunError

if TYPE_CHECKING:
    from graphwright.launch.use import Predictions
    from graphwright.training.task import Columns

__all__ = ["SPREAD", "check_same_task", "combine", "distinct_runs"]

SPREAD = "_sd"  # of the runs, at the end of a column's name


def distinct_runs(runs: Sequence[Path]) -> list[Path]:
    """All runs; the same one twice would make the spread look smaller than it is.

    Raises:
        RunError: a run is named twice.
    """
    seen: set[Path] = set()
    for run in runs:
        if run.resolve() in seen:
            raise RunError("this run is named twice", where=run, fix="name each run once")
        seen.add(run.resolve())
    return list(runs)


def check_same_task(tasks: Mapping[Path, str]) -> None:
    """All runs are of one task.

    Raises:
        BundleError: a run of another task than the first.
    """
    first = next(iter(tasks))
    for run, task in tasks.items():
        if task != tasks[first]:
            raise BundleError(
                f"this is a run of {task}, and {first} is one of {tasks[first]}",
                where=run,
                fix=f"name runs of {tasks[first]} in --also",
            )


def combine(
    answers: Mapping[Path, Predictions], finish: Callable[[Columns], Columns]
) -> Predictions:
    """The mean of every column over all runs, and `<column>_sd` beside it.

    The spread is the sample standard deviation (over n − 1 runs): how much a prediction depends on
    the seed, and not how far all runs together may be from the truth.

    Args:
        answers: of each run, on the same input; two at least.
        finish: makes the columns that need the whole input (a rank) from the means.

    Raises:
        BundleError: the runs do not predict the same columns.
        DataError: the runs do not read the same samples in the input.
    """
    import numpy as np

    (first, reference), *others = answers.items()
    for run, other in others:
        _check_same(first, reference, run, other)
    columns: Columns = {}
    for name in reference.columns:
        values_RS = np.stack([one.columns[name].astype(np.float64) for one in answers.values()])
        columns[name] = values_RS.mean(0)
        columns[name + SPREAD] = values_RS.std(0, ddof=1)
    return type(reference)(reference.names, finish(columns), reference.rejected)


def _check_same(first: Path, reference: Predictions, run: Path, other: Predictions) -> None:
    if list(reference.columns) != list(other.columns):
        raise BundleError(
            f"the runs predict different columns: {', '.join(reference.columns)}; "
            f"and {', '.join(other.columns)}",
            where=run,
            fix=f"name runs of the same configuration as {first}",
        )
    if reference.names != other.names or reference.rejected != other.rejected:
        raise DataError(
            f"the runs read the input differently: {len(reference.names)} samples and "
            f"{len(reference.rejected)} rejected rows; here {len(other.names)} and "
            f"{len(other.rejected)}",
            where=run,
            fix=f"name runs that were trained on the same data as {first}",
        )
