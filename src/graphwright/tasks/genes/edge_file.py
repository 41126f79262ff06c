"""Files of edges, read whole and without a loop over lines.

Legend: R = lines, U = different names.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from graphwright.errors import DataError

__all__ = ["EdgeList", "read_edges"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class EdgeList:
    """Edges as they stand in a file.

    Attributes:
        path: the file.
        source, target: int64 [R]; places in `names`, or of genes from 0.
        score: float64 [R]; None where the file has none.
        names: U different names; None where the file has numbers.
    """

    path: Path
    source: Ints
    target: Ints
    score: NDArray[np.float64] | None
    names: tuple[str, ...] | None


def read_edges(path: Path, name: str, *, one_based: bool) -> dict[str, EdgeList]:
    """The networks of a file by their names: one, or one for each column of scores.

    Args:
        path: separated by tabs, commas or blanks; also .gz.
        name: of the network.
        one_based: a file of STRING: a header and names of proteins, or 1-based numbers of genes
            and no header. Else names and no header.

    Raises:
        DataError: no such file, or one that is malformed.
    """
    first = _first_line(path)
    delimiter = next((one for one in "\t, " if one in first), "\t")
    cells = first.split(delimiter)
    if len(cells) < 2:
        raise DataError("a line needs two genes or more", where=f"{path}: line 1")
    headed = one_based and cells[0].strip().lower().startswith(("protein", "#"))
    numbered = one_based and not headed
    there = [cell.strip() for cell in cells] if headed else [f"f{i}" for i in range(len(cells))]
    columns = there if headed else there[:3]
    ends = pa.int64() if numbered else pa.dictionary(pa.int32(), pa.string())
    types = dict.fromkeys(columns[:2], ends) | {one: pa.float64() for one in columns[2:]}
    table = _read(path, delimiter, there, types, headed)
    source, target, names = _ends(table, columns, numbered, path)
    scores = {one: np.asarray(table.column(one)) for one in columns[2:]}
    for score in scores.values():
        if not np.isfinite(score).all():
            line = int(np.flatnonzero(~np.isfinite(score))[0]) + 1 + headed
            raise DataError("a score is no number", where=f"{path}: line {line}")
    if len(scores) <= 1:
        only = next(iter(scores.values())) if scores else None
        return {name: EdgeList(path, source, target, only, names)}
    found = {}
    for one, score in scores.items():
        # every pair of proteins has a line: a channel without evidence says 0
        said = score > 0
        found[f"{name}_{one}"] = EdgeList(path, source[said], target[said], score[said], names)
    return found


def _ends(
    table: pa.Table, columns: list[str], numbered: bool, path: Path
) -> tuple[Ints, Ints, tuple[str, ...] | None]:
    one, other = (table.column(name) for name in columns[:2])
    if one.null_count or other.null_count:
        raise DataError("a line names less than two genes", where=path)
    if numbered:
        source, target = (np.asarray(end) - 1 for end in (one, other))
        if len(source) and min(source.min(), target.min()) < 0:
            raise DataError("genes are numbered from 1 in such a file", where=path)
        return source, target, None
    both = pa.chunked_array([*one.chunks, *other.chunks], one.type).unify_dictionaries()
    codes = np.concatenate(
        [np.zeros(0, np.int64), *(np.asarray(chunk.indices) for chunk in both.chunks)]
    ).astype(np.int64)
    raw = both.chunk(0).dictionary.to_pylist() if both.num_chunks else []
    names, inverse = np.unique([_protein(text) for text in raw] or [""], return_inverse=True)
    places = inverse.reshape(-1)[codes].astype(np.int64)
    half = len(places) // 2
    return places[:half], places[half:], tuple(names.tolist()) if raw else ()


def _protein(text: str) -> str:
    """A name without blanks and without STRING's number of the species (4932.YAL001C)."""
    species, dot, rest = text.strip().partition(".")
    return rest if dot and species.isdigit() else text.strip()


def _read(
    path: Path, delimiter: str, there: list[str], types: dict[str, pa.DataType], headed: bool
) -> pa.Table:
    try:
        return pa.csv.read_csv(
            path,
            read_options=pa.csv.ReadOptions(
                use_threads=False,
                skip_rows=1 if headed else 0,
                column_names=there,
            ),
            parse_options=pa.csv.ParseOptions(delimiter=delimiter),
            convert_options=pa.csv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowException, OSError) as error:
        told = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"the network cannot be read: {told}", where=path) from error


def _first_line(path: Path) -> str:
    if not path.is_file():
        raise DataError("there is no such network", where=path)
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            return file.readline(1 << 16).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise DataError(f"the network cannot be read: {error}", where=path) from error
