"""From cells with names to places of genes, and which columns hold them.

Legend: R = rows, C = genes of a row, U = different texts of a column, J = genes joined in a cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.genes.aliases import GeneNames
from graphwright.tasks.genes.data_config import ColumnsConfig
from graphwright.tasks.genes.set_rows import SetRows, number_rows, sorted_genes
from graphwright.tasks.genes.table_file import Coded, Table, read_table

__all__ = ["find_gene_columns", "genes_of_columns"]

Ints = NDArray[np.int64]
_NEUTRAL, _EMPTY = -2, -1
_MOST = 0.5  # share of the different texts of a column that must be genes to take it as one


def find_gene_columns(
    path: Path, there: Sequence[str], columns: ColumnsConfig, names: GeneNames
) -> tuple[str, ...]:
    """Columns whose different texts are mostly known genes.

    Raises:
        DataError: there is none.
    """
    others = [name for name in there if name not in (columns.label, columns.p_value)]
    found = []
    for name, column in read_table(path, others).texts.items():
        cells = [_split(text, columns.joined_by) for text in column.texts]
        known = [all(names.place(one) is not None for one in cell) for cell in cells]
        if known and sum(known) >= _MOST * len(known):
            found.append(name)
    if not found:
        raise DataError(
            "no column of the table holds known genes",
            where=path,
            fix=f"name them in data.source.columns.genes: {', '.join(there)}",
        )
    return tuple(found)


def genes_of_columns(
    table: Table,
    genes: Sequence[str],
    columns: ColumnsConfig,
    names: GeneNames,
    neutral: Sequence[str] = (),
) -> tuple[SetRows, dict[int, str]]:
    """Genes and query group of every row, and the reason of each row that cannot be used.

    Args:
        table: has the columns.
        genes: columns of genes.
        columns: query columns and what joins the genes of a cell.
        names: the genes there are.
        neutral: genes that are taken out.
    """
    reasons: dict[int, str] = {}
    parts = [
        _places(table.texts[name], names, neutral, columns.joined_by, reasons) for name in genes
    ]
    gene_RC = sorted_genes(np.concatenate(parts, axis=1))
    same_R = ((gene_RC[:, 1:] == gene_RC[:, :-1]) & (gene_RC[:, 1:] >= 0)).any(1)
    for row in np.flatnonzero(same_R).tolist():
        reasons.setdefault(row, "a gene is repeated in the row")
    for row in np.flatnonzero((gene_RC < 0).all(1)).tolist():
        reasons.setdefault(row, "the row names no gene")
    pair, pair_names = _pairs(table, columns, names, neutral, gene_RC, reasons)
    return SetRows(gene_RC, pair, pair_names, table.row), reasons


def _split(text: str, joined_by: str) -> list[str]:
    parts = text.split(joined_by) if joined_by else [text]
    return [part.strip() for part in parts if part.strip()]


def _places(
    column: Coded,
    names: GeneNames,
    neutral: Sequence[str],
    joined_by: str,
    reasons: dict[int, str],
) -> Ints:
    """Places [R, J]; the first name of a row that is no gene goes to `reasons`."""
    place_UJ, wrong = _of_texts(column.texts, names, neutral, joined_by)
    if wrong:
        bad_U = np.zeros(len(column.texts) + 1, bool)
        bad_U[list(wrong)] = True
        for row in np.flatnonzero(bad_U[column.codes]).tolist():
            reasons.setdefault(row, wrong[int(column.codes[row])])
    return place_UJ[column.codes]


def _of_texts(
    texts: Sequence[str], names: GeneNames, neutral: Sequence[str], joined_by: str
) -> tuple[Ints, dict[int, str]]:
    """Places of each different text [U + 1, J]; the last row is that of an empty cell."""
    cells = [_split(text, joined_by) for text in texts]
    place_UJ = np.full((len(texts) + 1, max(map(len, cells), default=1) or 1), _EMPTY, np.int64)
    wrong: dict[int, str] = {}
    skipped = {names.find(name) for name in neutral} | set(neutral)
    for u, cell in enumerate(cells):
        for j, name in enumerate(cell):
            found = names.find(name) if name not in skipped else _NEUTRAL
            if isinstance(found, str):
                wrong.setdefault(u, found)
            elif found not in skipped and found != _NEUTRAL:
                place_UJ[u, j] = found
    return place_UJ, wrong


def _pairs(
    table: Table,
    columns: ColumnsConfig,
    names: GeneNames,
    neutral: Sequence[str],
    gene_RC: Ints,
    reasons: dict[int, str],
) -> tuple[Ints, list[str]]:
    """Query group of every row and the groups' names: the query's genes in any order."""
    query_RC = gene_RC
    if columns.query:
        cells = [table.texts[name] for name in columns.query]
        parts = [_places(cell, names, neutral, columns.joined_by, reasons) for cell in cells]
        query_RC = sorted_genes(np.concatenate(parts, axis=1))
    pair_R = number_rows(query_RC)
    first_K = np.unique(pair_R, return_index=True)[1]
    groups = [
        "+".join(names.genes[gene] for gene in row if gene >= 0)
        for row in query_RC[first_K].tolist()
    ]
    return pair_R, groups
