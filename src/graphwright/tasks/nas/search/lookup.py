"""A table in which every architecture has been trained already.

Legend: A = architectures of the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from graphwright.errors import DataError, nearest
from graphwright.tasks.nas.search.config import TableTrainer
from graphwright.tasks.nas.spaces import detect, get_space

__all__ = ["Lookup", "read_lookup"]


@dataclass(frozen=True, eq=False)
class Lookup:
    """Values by architecture.

    Attributes:
        space: of the architectures.
        texts: as the space writes them.
        values_A: of the metric; NaN where the table has none.
        test_A: of the test metric; None without one.
    """

    space: str
    texts: Sequence[str]
    values_A: NDArray[np.float64]
    test_A: NDArray[np.float64] | None = None
    _rows: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rows", {text: row for row, text in enumerate(self.texts)})

    def value(self, text: str) -> float | None:
        """Of an architecture; None if the table has none, or one that is not finite."""
        return self._finite(self.values_A, text)

    def test_value(self, text: str) -> float | None:
        """Of the test metric; None where there is none."""
        return None if self.test_A is None else self._finite(self.test_A, text)

    def best(self, *, higher_is_better: bool) -> tuple[float, float | None]:
        """The best value and the best test value of the whole table."""
        pick = np.nanmax if higher_is_better else np.nanmin
        test = None if self.test_A is None else float(pick(_known(self.test_A)))
        return float(pick(_known(self.values_A))), test

    def _finite(self, values_A: NDArray[np.float64], text: str) -> float | None:
        row = self._rows.get(text)
        if row is None or not np.isfinite(values_A[row]):
            return None
        return float(values_A[row])


def read_lookup(config: TableTrainer, space: str = "") -> Lookup:
    """Read the table of a configuration; `space` is found from the texts if empty.

    Raises:
        DataError: the file or a column is missing, or an architecture cannot be read.
    """
    path = Path(config.path)
    table = _read(path)
    texts = _texts(table, config.arch, path)
    space = space or detect(texts)
    cells, bad = get_space(space).encode(texts)
    if bad:
        row, reason = bad[0]
        raise DataError(f"{texts[row]!r}: {reason}", where=f"{path}, row {row + 1}")
    test = _numbers(table, config.test_metric, path) if config.test_metric else None
    return Lookup(space, get_space(space).decode(cells), _numbers(table, config.metric, path), test)


def _known(values_A: NDArray[np.float64]) -> NDArray[np.float64]:
    return values_A[np.isfinite(values_A)]


def _read(path: Path) -> pa.Table:
    """All columns as texts: '02001' is no number."""
    if not path.is_file():
        raise DataError("there is no such table", where=path)
    try:
        if path.suffix == ".parquet":
            return pa.parquet.read_table(path)
        names = pa.csv.open_csv(path).schema.names
        texts = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
        return pa.csv.read_csv(path, convert_options=texts)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"cannot read the table: {error}", where=path) from error


def _texts(table: pa.Table, arch: Sequence[str], path: Path) -> list[str]:
    """The columns that are the architecture, joined; the first that a space can read if empty."""
    if arch:
        columns = [[str(v) for v in _column(table, name, path).to_pylist()] for name in arch]
        return [":".join(parts) for parts in zip(*columns, strict=True)]
    for name in table.column_names:
        column = table[name]
        if not pa.types.is_string(column.type):
            continue
        values = [str(value) for value in column.to_pylist()]
        try:
            detect(values)
        except DataError:
            continue
        return values
    raise DataError(
        f"no column holds architectures in a known format; there are "
        f"{', '.join(table.column_names)}",
        where=path,
        fix="name the column: --arch-column",
    )


def _column(table: pa.Table, name: str, path: Path) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise DataError(
            f"there is no column {name!r}{nearest(name, table.column_names)}; "
            f"there are {', '.join(table.column_names)}",
            where=path,
        )
    return table[name]


def _numbers(table: pa.Table, name: str, path: Path) -> NDArray[np.float64]:
    column = _column(table, name, path)
    try:
        if pa.types.is_string(column.type):
            return np.array([float(value or "nan") for value in column.to_pylist()], np.float64)
        return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    except (ValueError, pa.ArrowException) as error:
        raise DataError(f"column {name} is not all numbers: {error}", where=path) from error
