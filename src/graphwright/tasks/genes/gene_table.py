"""Tables of gene sets with measured scores.

Every row of a file ends in exactly one place: in a set (several rows may measure the same one) or
among the rejects, with the reason.

Legend: R = rows, S = sets, P = genes of all sets, C = columns of genes, K = query groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.genes.aliases import GeneNames
from graphwright.tasks.genes.data_config import TableSource
from graphwright.tasks.genes.gene_columns import find_gene_columns, genes_of_columns
from graphwright.tasks.genes.set_rows import SetRows, number_rows
from graphwright.tasks.genes.table_file import Table, header, read_table

__all__ = ["GeneSetTable", "read_gene_sets"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneSetTable:
    """Sets of deleted genes.

    Attributes:
        gene_index: int32 [P], places of the genes of set 0, then of set 1, …; ascending in a set.
        gene_ptr: int64 [S+1], where each set begins.
        label: float64 [S], mean over the rows of a set; None for a table without labels.
        p_value: float64 [S]; NaN where there is none or several rows were averaged.
        pair: int32 [S], query group: equal for sets that were measured with the same query.
        pair_names: names of the K query groups.
        repeats: int32 [S], rows of each set.
        spread: float64 [S], standard deviation between the rows of a set (n − 1); NaN for one row.
        row: int64 [S], place in the file of the first row of each set.
        counts: what became of the rows, for people.
    """

    gene_index: NDArray[np.int32]
    gene_ptr: Ints
    label: Floats | None
    p_value: Floats
    pair: NDArray[np.int32]
    pair_names: tuple[str, ...]
    repeats: NDArray[np.int32]
    spread: Floats
    row: Ints
    counts: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.gene_ptr) - 1

    def sizes(self) -> Ints:
        """Genes of each set, int64 [S]."""
        return np.diff(self.gene_ptr)

    @property
    def noise(self) -> float | None:
        """Standard deviation of a single measurement, pooled over sets with several rows."""
        if self.label is None:
            return None
        freedom_S = self.repeats[self.repeats > 1] - 1
        if not len(freedom_S):
            return None
        squares = self.spread[self.repeats > 1] ** 2
        return float(np.sqrt((squares * freedom_S).sum() / freedom_S.sum()))

    def summary(self) -> dict[str, Any]:
        """Sets by size, labels, repeats, query groups."""
        sizes, amounts = np.unique(self.sizes(), return_counts=True)
        found: dict[str, Any] = {
            "sets": len(self),
            "sets by size": dict(zip(map(str, sizes.tolist()), amounts.tolist(), strict=True)),
            "genes in sets": len(np.unique(self.gene_index)),
            "query groups": len(self.pair_names),
            **self.counts,
        }
        if self.label is not None and len(self):
            found["label"] = _describe(self.label)
        if self.noise is not None:
            several = int((self.repeats > 1).sum())
            found["repeats"] = f"{several} sets, sd between repeats {self.noise:.4g}"
        return found

    @classmethod
    def from_rows(
        cls,
        rows: SetRows,
        *,
        label: Floats | None,
        p_value: Floats,
        average: bool = True,
    ) -> Self:
        """One set for each different set of genes among rows, in the order of first appearance.

        Args:
            rows: R good rows.
            label: of each [R].
            p_value: of each [R].
            average: False keeps every row as a set of its own.
        """
        set_R = number_rows(rows.gene_RC) if average else np.arange(len(rows))
        first_S = np.unique(set_R, return_index=True)[1]
        repeats_S = np.bincount(set_R, minlength=len(first_S)).astype(np.int32)
        genes_SC = rows.gene_RC[first_S]
        pair_K, pair_S = np.unique(rows.pair[first_S], return_inverse=True)
        mean_S, spread_S = _moments(label, set_R, repeats_S)
        mixed = _mixed(rows.pair, set_R, first_S)
        counts = {
            "rows": len(rows),
            "rows of a set that was there before": len(rows) - len(first_S),
        }
        if mixed:
            counts["sets measured with several queries (the first one counts)"] = mixed
        return cls(
            gene_index=genes_SC[genes_SC >= 0].astype(np.int32),
            gene_ptr=np.concatenate(([0], np.cumsum((genes_SC >= 0).sum(1)))).astype(np.int64),
            label=mean_S,
            p_value=np.where(repeats_S == 1, p_value[first_S], np.nan),
            pair=pair_S.reshape(-1).astype(np.int32),
            pair_names=tuple(rows.pair_names[k] for k in pair_K.tolist()),
            repeats=repeats_S,
            spread=spread_S,
            row=rows.row[first_S],
            counts=counts,
        )


def read_gene_sets(source: TableSource, names: GeneNames, rejects: Rejects) -> GeneSetTable:
    """The gene sets of a table.

    Args:
        source: file, columns, neutral genes, and what is done with duplicates.
        names: the genes there are.
        rejects: takes rows with an unknown, ambiguous or repeated gene, without any gene, with a
            label that is no finite number, or with a p-value that is none from 0 to 1.

    Raises:
        DataError: no such table or column, a damaged file, or no row that can be used.
    """
    path, columns = Path(source.path), source.columns
    label, p_value = columns.label, columns.p_value
    genes = columns.genes or find_gene_columns(path, header(path), columns, names)
    numbers = [name for name in (label, p_value) if name]
    table = read_table(path, list(dict.fromkeys((*genes, *columns.query))), numbers)
    bad = dict(table.bad)
    rows, reasons = genes_of_columns(table, genes, columns, names, source.neutral)
    _check_numbers(table, label, p_value, reasons)
    good_R = np.ones(len(rows), bool)
    good_R[list(reasons)] = False
    kept = np.flatnonzero(good_R)
    bad |= {int(table.row[place]): reason for place, reason in reasons.items()}
    for row in sorted(bad):
        rejects.add(path.name, table.where(row), bad[row])
    if not len(kept):
        raise DataError(
            "no row of the table can be used", where=path, fix=f"{_most(rejects.by_reason())}"
        )
    return GeneSetTable.from_rows(
        rows.take(kept),
        label=table.numbers[label][kept] if label else None,
        p_value=table.numbers[p_value][kept] if p_value else np.full(len(kept), np.nan),
        average=source.duplicates == "average",
    )


def _check_numbers(table: Table, label: str, p_value: str, reasons: dict[int, str]) -> None:
    """Add to `reasons` the rows with an unfit label or p-value."""
    checks = []
    if label:
        checks.append((~np.isfinite(table.numbers[label]), f"{label} is no finite number"))
    if p_value:
        p = table.numbers[p_value]
        wrong = table.filled[p_value] & ~((p >= 0) & (p <= 1))
        checks.append((wrong, f"{p_value} is no number from 0 to 1"))
    for wrong, reason in checks:
        for place in np.flatnonzero(wrong).tolist():
            reasons.setdefault(place, reason)


def _moments(
    label: Floats | None, set_R: Ints, repeats_S: NDArray[np.int32]
) -> tuple[Floats | None, Floats]:
    """Mean of every set, and the standard deviation between its rows."""
    if label is None:
        return None, np.full(len(repeats_S), np.nan)
    mean_S = np.bincount(set_R, label, len(repeats_S)) / repeats_S
    squares_S = np.bincount(set_R, (label - mean_S[set_R]) ** 2, len(repeats_S))
    several_S = repeats_S > 1
    spread_S = np.full(len(repeats_S), np.nan)
    spread_S[several_S] = np.sqrt(squares_S[several_S] / (repeats_S[several_S] - 1))
    return mean_S, spread_S


def _mixed(pair_R: Ints, set_R: Ints, first_S: Ints) -> int:
    """Sets with rows of several query groups."""
    other_R = pair_R != pair_R[first_S][set_R]
    return len(np.unique(set_R[other_R]))


def _describe(label: Floats) -> str:
    return (
        f"mean {label.mean():.4g}, sd {label.std():.4g}, "
        f"from {label.min():.4g} to {label.max():.4g}"
    )


def _most(reasons: Mapping[str, int], count: int = 3) -> str:
    parts: Sequence[str] = [f"{n} × {reason}" for reason, n in list(reasons.items())[:count]]
    return "; ".join(parts) or "it has no rows"
