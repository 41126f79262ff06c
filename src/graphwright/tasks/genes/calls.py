"""Tables that hold only significant calls, as a grid of queries and array genes.

A cell that was not called may be negative, too weak, or not measured at all: it is *assumed* to be
negative (label 0), and the summary says so.

Legend: R = rows, K = queries, A = array genes, Q = genes of a query.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.genes.aliases import GeneNames
from graphwright.tasks.genes.data_config import CallsSource, ColumnsConfig
from graphwright.tasks.genes.gene_columns import genes_of_columns
from graphwright.tasks.genes.gene_table import GeneSetTable
from graphwright.tasks.genes.set_rows import SetRows, number_rows, sorted_genes
from graphwright.tasks.genes.table_file import Table, read_table

__all__ = ["significant_calls"]

Ints = NDArray[np.int64]
_OUTSIDE = "the array gene is not in the list of array genes"


def significant_calls(source: CallsSource, names: GeneNames, rejects: Rejects) -> GeneSetTable:
    """Every query with every array gene; 1 where a row calls it, 0 elsewhere.

    Args:
        source: file, its columns, and the file with the array genes.
        names: the genes there are.
        rejects: takes calls with an unknown or repeated gene, without a query, or with an array
            gene outside the list, and lines of that list that are no known gene.

    Raises:
        DataError: no such table or column, a damaged file, or no call that can be used.
    """
    path = Path(source.path)
    wanted = source.rows[:1]
    table = read_table(path, list(dict.fromkeys((*source.query, source.array, *wanted))))
    other_R = _other_rows(table, source)
    rows, reasons = _genes(table, source, names)
    array_R, array_reasons = _array(table, source, names)
    reasons = array_reasons | reasons
    for row in np.flatnonzero((rows.gene_RC == array_R[:, None]).any(1) & (array_R >= 0)).tolist():
        reasons.setdefault(row, "a gene is repeated in the row")
    if source.arrays:
        arrays_A = _listed(Path(source.arrays), names, rejects)
        for row in np.flatnonzero(~np.isin(array_R, arrays_A)).tolist():
            reasons.setdefault(row, _OUTSIDE)
    used_R = ~other_R
    used_R[list(reasons)] = False
    if not used_R.any():
        raise DataError("no call of the table can be used", where=path, fix=_most(reasons))
    if not source.arrays:
        arrays_A = np.unique(array_R[used_R])
    _reject(table, path, {r: why for r, why in reasons.items() if not other_R[r]}, rejects)
    kept = np.flatnonzero(used_R)
    return _grid(rows.take(kept), array_R[kept], arrays_A, int(other_R.sum()))


def _grid(rows: SetRows, array_R: Ints, arrays_A: Ints, others: int) -> GeneSetTable:
    """All cells, query after query; those whose array gene is in the query are no cells."""
    query_R = number_rows(rows.gene_RC)
    first_K = np.unique(query_R, return_index=True)[1]
    query_KQ = rows.gene_RC[first_K]
    cell_R = query_R * len(arrays_A) + np.searchsorted(arrays_A, array_R)
    cells, first = np.unique(cell_R, return_index=True)  # of several calls of a cell the first one
    called = np.full(len(query_KQ) * len(arrays_A), -1, np.int64)
    called[cells] = rows.row[first]
    query = np.repeat(np.arange(len(query_KQ)), len(arrays_A))
    array = np.tile(arrays_A, len(query_KQ))
    real = ~(query_KQ[query] == array[:, None]).any(1)
    genes = sorted_genes(np.concatenate([query_KQ[query], array[:, None]], axis=1))[real]
    names = [rows.pair_names[int(rows.pair[place])] for place in first_K.tolist()]
    called = called[real]
    table = GeneSetTable.from_rows(
        SetRows(genes, query[real], names, called),
        label=(called >= 0).astype(np.float64),
        p_value=np.full(len(called), np.nan),
        average=False,
    )
    positive = int((called >= 0).sum())
    counts = {
        "calls": len(rows),
        "calls of a cell that was called before": len(rows) - positive,
        "cells called": positive,
        "cells not called, assumed not to interact": len(table) - positive,
        "cells left out, the array gene is in the query": int((~real).sum()),
        "array genes": len(arrays_A),
    }
    if others:
        counts["rows of another kind, not looked at"] = others
    return replace(table, counts=counts)


def _genes(table: Table, source: CallsSource, names: GeneNames) -> tuple[SetRows, dict[int, str]]:
    """Genes of the query of every row."""
    columns = ColumnsConfig(query=source.query, joined_by=source.joined_by)
    return genes_of_columns(table, source.query, columns, names)


def _array(table: Table, source: CallsSource, names: GeneNames) -> tuple[Ints, dict[int, str]]:
    rows, reasons = genes_of_columns(table, (source.array,), ColumnsConfig(), names)
    return rows.gene_RC[:, 0], reasons


def _other_rows(table: Table, source: CallsSource) -> NDArray[np.bool_]:
    """Rows that have not got the value that `source.rows` asks for."""
    if not source.rows:
        return np.zeros(len(table.row), bool)
    if len(source.rows) != 2:
        raise DataError(
            f"data.source.rows is {list(source.rows)}",
            fix="give a column and its value, or nothing",
        )
    column = table.texts[source.rows[0]]
    code = column.texts.index(source.rows[1]) if source.rows[1] in column.texts else -2
    return np.asarray(column.codes != code)


def _listed(path: Path, names: GeneNames, rejects: Rejects) -> Ints:
    """Places of the genes in a file with one a line, ascending."""
    if not path.is_file():
        raise DataError("there is no such list of array genes", where=path)
    places = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            found = names.find(line)
            if isinstance(found, str):
                rejects.add(path.name, f"line {number}", found)
            else:
                places.add(found)
    return np.array(sorted(places), np.int64)


def _reject(table: Table, path: Path, reasons: dict[int, str], rejects: Rejects) -> None:
    bad = dict(table.bad) | {int(table.row[place]): why for place, why in reasons.items()}
    for row in sorted(bad):
        rejects.add(path.name, table.where(row), bad[row])


def _most(reasons: dict[int, str]) -> str:
    return "; ".join(sorted(set(reasons.values()))[:3]) or "it has no rows of this kind"
