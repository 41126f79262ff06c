"""Reading tables of architectures, CSV (also .gz) or Parquet, a piece at a time.

Texts stay texts ('02001' is no number), several columns that together name an architecture are
joined by ':', and a metric that is no number becomes NaN: a failed training is a row like any
other. Columns `arg_NAME` are the arguments NAME of functions that build modules.

Legend: R = rows of a piece, C = columns of one kind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.nas.table_columns import ARGUMENT, TableColumns

__all__ = ["BadLine", "Rows", "header", "is_parquet", "read_table"]

_BLOCK_BYTES = 1 << 20
_BATCH_ROWS = 8192


@dataclass(frozen=True)
class BadLine:
    """A line that is no row of the table."""

    row: int
    reason: str


@dataclass(frozen=True)
class Rows:
    """Some rows of a table, as they stand in it.

    Attributes:
        row: `[R]` place of each in the table, from 0, the header not counted.
        texts: what names each architecture; "" where nothing does.
        metrics, features, repeats: float64 `[R, C]`; NaN where there is no number.
        group: canonical id of each, or none.
        arguments: of the function that builds each; empty dicts where there are none.
        bad: lines before or among these that are no rows.
    """

    row: NDArray[np.int64]
    texts: list[str]
    metrics: NDArray[np.float64]
    features: NDArray[np.float64]
    repeats: NDArray[np.float64]
    group: list[str] | None
    arguments: list[dict[str, Any]]
    bad: list[BadLine] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.row)

    def take(self, places: NDArray[np.int64]) -> Rows:
        """Some of these rows, without the bad lines."""
        return Rows(
            row=self.row[places],
            texts=[self.texts[place] for place in places],
            metrics=self.metrics[places],
            features=self.features[places],
            repeats=self.repeats[places],
            group=None if self.group is None else [self.group[place] for place in places],
            arguments=[self.arguments[place] for place in places],
        )

    def pieces(self, size: int) -> Iterator[Rows]:
        """The same, at most `size` at once; the bad lines are told with the first."""
        if len(self) <= size:
            yield self
            return
        for start in range(0, len(self), size):
            piece = self.take(np.arange(start, min(start + size, len(self))))
            yield piece if start else replace(piece, bad=self.bad)


def is_parquet(path: Path) -> bool:
    """Whether a table is read as Parquet; anything else is CSV."""
    return path.suffix.lower() in (".parquet", ".pq")


def header(path: Path) -> list[str]:
    """Names of the columns.

    Raises:
        DataError: no such file, or not a table.
    """
    with _readable(path):
        if is_parquet(path):
            return list(pa.parquet.read_schema(path).names)
        with _csv(path, [], []) as reader:
            return list(reader.schema.names)


def read_table(
    path: Path, columns: TableColumns, *, start: int = 0, limit: int = 0
) -> Iterator[Rows]:
    """The rows of a table in pieces of some megabytes at most.

    Args:
        path: CSV, CSV.gz or Parquet.
        columns: which to read (`table_columns.find_columns`).
        start: rows that are passed over.
        limit: stop before the row of this number; 0 reads all.

    Raises:
        DataError: no such file, no such column, or the file is damaged; all before that is read.
    """
    done = 0
    with _readable(path):
        for numbers, batch, bad in _pieces(path, columns.all):
            first, stop = np.searchsorted(numbers, [start, limit or np.iinfo(np.int64).max])
            seen = [line for line in bad if start <= line.row < (limit or np.inf)]
            if first < stop or seen:
                kept = batch.slice(int(first), max(0, int(stop - first)))
                yield _rows(numbers[first:stop], kept, columns, seen)
            done = int(numbers[-1]) + 1 if len(numbers) else done
            if limit and done >= limit:
                return


def _pieces(
    path: Path, names: Sequence[str]
) -> Iterator[tuple[NDArray[np.int64], pa.RecordBatch, list[BadLine]]]:
    """Batches with the number of every row, and the lines that were no rows until then."""
    if is_parquet(path):
        begin = 0
        with pa.parquet.ParquetFile(path, memory_map=True) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=list(names), use_threads=False):
                yield np.arange(begin, begin + len(batch)), batch, []
                begin += len(batch)
        return
    bad: list[BadLine] = []
    begin, told = 0, 0
    with _csv(path, names, bad) as reader:
        for batch in reader:
            numbers = _numbered(begin, len(batch), [line.row for line in bad])
            begin = int(numbers[-1]) + 1 if len(numbers) else begin
            yield numbers, batch, bad[told:]
            told = len(bad)
    if told < len(bad):
        yield np.zeros(0, np.int64), batch.slice(0, 0), bad[told:]


def _numbered(begin: int, count: int, bad: list[int]) -> NDArray[np.int64]:
    """The next `count` numbers from `begin` that are not those of bad lines."""
    skip = np.array([row for row in bad if row >= begin], np.int64)
    numbers = np.arange(begin, begin + count + len(skip))
    return numbers[~np.isin(numbers, skip)][:count]


@contextmanager
def _csv(path: Path, names: Sequence[str], bad: list[BadLine]) -> Iterator[Any]:
    """A reader of columns as texts; lines with too many or too few values go to `bad`.

    Raises:
        DataError: the file is binary.
    """
    with pa.input_stream(path) as stream:
        if b"\0" in stream.read(1 << 16):
            raise DataError("this is a binary file and no table", where=path)

    def note(line: Any) -> str:
        reason = f"{line.actual_columns} values instead of {line.expected_columns}"
        # the header is line 1; readers that cannot number their lines are not used here
        bad.append(BadLine(line.number - 2, reason))
        return "skip"

    reader = pa.csv.open_csv(
        path,
        read_options=pa.csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
        convert_options=pa.csv.ConvertOptions(
            include_columns=list(names),
            column_types={name: pa.string() for name in names},
            strings_can_be_null=True,
            null_values=[""],
        ),
    )
    with reader:
        yield reader


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say of what pyarrow raises where it was (DataError)."""
    if not path.is_file():
        raise DataError(
            "there is no such table", where=path, fix="set data.source.path to a CSV or Parquet"
        )
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        told = str(error).splitlines()[0]
        raise DataError(f"the table cannot be read: {told}", where=path) from error


def _rows(
    numbers: NDArray[np.int64], batch: pa.RecordBatch, columns: TableColumns, bad: list[BadLine]
) -> Rows:
    parts = [_texts(batch, name) for name in columns.arch]
    group = _texts(batch, columns.group) if columns.group else None
    return Rows(
        row=numbers,
        texts=parts[0]
        if len(parts) == 1
        else [":".join(part) for part in zip(*parts, strict=True)],
        metrics=_numbers(batch, columns.metrics),
        features=_numbers(batch, columns.features),
        repeats=_numbers(batch, columns.repeats),
        group=group,
        arguments=_arguments(batch, columns.arguments),
        bad=bad,
    )


def _texts(batch: pa.RecordBatch, name: str) -> list[str]:
    column = pc.utf8_trim_whitespace(batch.column(name).cast(pa.string()))
    return [text or "" for text in column.to_pylist()]


def _numbers(batch: pa.RecordBatch, names: Sequence[str]) -> NDArray[np.float64]:
    """Columns as float64 `[R, C]`; what is no number is NaN."""
    found = np.empty((len(batch), len(names)))
    for place, name in enumerate(names):
        found[:, place] = _as_numbers(batch.column(name))
    return found


def _as_numbers(column: pa.Array) -> NDArray[np.float64]:
    # scalars, arrays and to_numpy make pyarrow import pandas where it is installed: a second
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = pc.utf8_trim_whitespace(column)
    try:
        known = column.cast(pa.float64()).to_pylist()
    except pa.ArrowInvalid:  # a word among the numbers: one by one
        known = [_number(text) for text in column.to_pylist()]
    return np.array(known, np.float64)  # None becomes NaN


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def _arguments(batch: pa.RecordBatch, names: Sequence[str]) -> list[dict[str, Any]]:
    """Keyword arguments of each row: JSON values, or texts where they are none; "" is absent."""
    if not names:
        return [{}] * len(batch)
    values = [_texts(batch, name) for name in names]
    keys = [name.removeprefix(ARGUMENT) for name in names]
    return [
        {key: _json_or_text(text) for key, text in zip(keys, row, strict=True) if text}
        for row in zip(*values, strict=True)
    ]


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
