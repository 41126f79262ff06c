"""Columns of TSV, CSV (also .gz) and Parquet tables, read whole and without a loop over rows.

Names come as codes into a short list of different texts: a table of millions of rows has some
thousands of genes. A line with too many or too few values is no row; it goes to the rejects.

Legend: R = rows of the table, U = different texts of a column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from graphwright.errors import DataError, nearest

__all__ = ["Coded", "Table", "header", "read_table", "read_texts"]

_BLOCK_BYTES = 16 << 20
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_TEXT = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class Coded:
    """A column of texts.

    Attributes:
        codes: int32 [R], places in `texts`; −1 for an empty cell.
        texts: U different ones, trimmed of blanks.
    """

    codes: NDArray[np.int32]
    texts: list[str]


@dataclass(frozen=True)
class Table:
    """Some columns of a table.

    Attributes:
        row: int64 [R], place of each row in the file from 0, the header not counted.
        texts: columns of texts.
        numbers: columns of float64 [R]; NaN where a cell is empty or no number.
        filled: for every column of numbers bool [R]: whether the cell has anything in it.
        bad: (row, reason) of lines that are no rows.
        parquet: whether rows are counted as rows and not as lines.
    """

    row: NDArray[np.int64]
    texts: dict[str, Coded]
    numbers: dict[str, NDArray[np.float64]]
    filled: dict[str, NDArray[np.bool_]]
    bad: list[tuple[int, str]]
    parquet: bool = False

    def where(self, row: int) -> str:
        """What a person calls a row: the header is line 1."""
        return f"row {row + 1}" if self.parquet else f"line {row + 2}"


def header(path: Path) -> list[str]:
    """Names of the columns.

    Raises:
        DataError: no such file, not a table, or two columns of one name.
    """
    with _readable(path):
        if _is_parquet(path):
            names = list(pa.parquet.read_schema(path).names)
        else:
            with _csv(path, [], [], []) as reader:
                names = list(reader.schema.names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"two columns are called {twice[0]!r}", where=path)
    return names


def read_table(path: Path, texts: Sequence[str], numbers: Sequence[str] = ()) -> Table:
    """Some columns of a table.

    Args:
        path: TSV or CSV with a header (whichever the first line has: tabs or commas), also
            .gz, or Parquet.
        texts: columns that are read as texts.
        numbers: columns that are read as numbers.

    Raises:
        DataError: no such file, no such column, or a damaged file.
    """
    there = header(path)
    for name in (*texts, *numbers):
        if name not in there:
            raise DataError(
                f"there is no column {name!r}{nearest(name, there)}",
                where=path,
                fix=f"the columns are {', '.join(there)}",
            )
    bad: list[tuple[int, str]] = []
    with _readable(path):
        table = _parquet(path, texts, numbers) if _is_parquet(path) else None
        if table is None:
            with _csv(path, texts, numbers, bad) as reader:
                table = reader.read_all()
    found = {name: _numbers(table.column(name)) for name in numbers}
    return Table(
        row=_numbered(len(table), [row for row, _ in bad]),
        texts={name: _coded(table.column(name)) for name in texts},
        numbers={name: values for name, (values, _) in found.items()},
        filled={name: there for name, (_, there) in found.items()},
        bad=bad,
        parquet=_is_parquet(path),
    )


def read_texts(path: Path) -> dict[str, list[str]]:
    """All columns of a small table as texts, "" for an empty cell.

    Raises:
        DataError: no such file, a damaged one, or a line of another length than the header.
    """
    names = header(path)
    table = read_table(path, names)
    if table.bad:
        row, reason = table.bad[0]
        raise DataError(reason, where=f"{path}: {table.where(row)}")
    if len(names) < 2:
        raise DataError("a table of names needs two columns or more", where=path)
    return {
        name: [column.texts[code] if code >= 0 else "" for code in column.codes.tolist()]
        for name, column in table.texts.items()
    }


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def _parquet(path: Path, texts: Sequence[str], numbers: Sequence[str]) -> pa.Table:
    table = pa.parquet.read_table(path, columns=list(dict.fromkeys((*texts, *numbers))))
    for name in texts:
        column = table.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        coded = pc.dictionary_encode(column.cast(pa.string()))
        table = table.set_column(table.column_names.index(name), name, coded)
    return table


@contextmanager
def _csv(
    path: Path, texts: Sequence[str], numbers: Sequence[str], bad: list[tuple[int, str]]
) -> Iterator[Any]:
    """A reader of some columns; what is no row goes to `bad`."""
    with pa.input_stream(path) as stream:
        head = stream.read(1 << 16)
    if b"\0" in head:
        raise DataError("this is a binary file and no table", where=path)
    first = head.split(b"\n", 1)[0]

    def note(line: Any) -> str:
        # the header is line 1; readers with threads cannot number their lines
        reason = f"{line.actual_columns} values instead of {line.expected_columns}"
        bad.append((line.number - 2, reason))
        return "skip"

    types = dict.fromkeys(texts, _TEXT) | {name: pa.string() for name in numbers}
    reader = pa.csv.open_csv(
        path,
        read_options=pa.csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
        parse_options=pa.csv.ParseOptions(
            delimiter="\t" if b"\t" in first else ",",
            invalid_row_handler=note,
            # a blank line counts as a line, or those after it would have wrong numbers
            ignore_empty_lines=False,
        ),
        convert_options=pa.csv.ConvertOptions(
            include_columns=list(types),
            column_types=types,
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
        raise DataError("there is no such table", where=path)
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        told = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"the table cannot be read: {told}", where=path) from error


def _numbered(count: int, bad: list[int]) -> NDArray[np.int64]:
    """`count` numbers from 0 that are not those of bad lines."""
    every = np.arange(count + len(bad))
    return every[~np.isin(every, bad)][:count]


def _coded(column: pa.ChunkedArray) -> Coded:
    # a type without chunks (a table without rows) has nothing to unify
    column = column.unify_dictionaries() if column.num_chunks else column
    codes = [_plain(pc.fill_null(chunk.indices, -1)) for chunk in column.chunks]
    raw = column.chunk(0).dictionary.to_pylist() if column.num_chunks else []
    trimmed = [text.strip() for text in raw]
    texts = list(dict.fromkeys(text for text in trimmed if text))
    place = {text: i for i, text in enumerate(texts)}
    renumber = np.array([*(place.get(text, -1) for text in trimmed), -1], np.int32)
    joined = np.concatenate([np.zeros(0, np.int32), *codes])
    return Coded(renumber[joined], texts)


def _numbers(column: pa.ChunkedArray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Values, and where there is anything at all."""
    if pa.types.is_string(column.type):
        column = pc.utf8_trim_whitespace(column)
        filled = pc.fill_null(pc.not_equal(column, ""), False)
        plain = pc.match_substring_regex(column, _NUMBER)
        column = pc.if_else(plain, column, pa.scalar(None, pa.string()))
    else:
        filled = pc.is_valid(column)
    values = pc.fill_null(column.cast(pa.float64()), float("nan"))
    return _joined(values, np.float64), _joined(filled.cast(pa.int8()), np.int8).astype(bool)


def _joined(column: Any, dtype: Any) -> NDArray[Any]:
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return np.concatenate([np.zeros(0, dtype), *(_plain(chunk) for chunk in chunks)])


def _plain(array: pa.Array) -> NDArray[Any]:
    # to_numpy makes pyarrow import pandas where it is installed, which takes a second
    return np.from_dlpack(array)
