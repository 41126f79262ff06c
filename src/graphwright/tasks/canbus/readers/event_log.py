"""Event logs as CSV: a time, a source, numbers, and perhaps a label, under names of your own."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from graphwright.data.rejects import Rejects
from graphwright.errors import ConfigError, DataError, nearest
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.readers.content import PAD, Content, Lines, line_blocks
from graphwright.tasks.canbus.readers.decode import Verdict
from graphwright.tasks.canbus.readers.fields import Fields, split_quoted
from graphwright.tasks.canbus.readers.moments import moment_column
from graphwright.tasks.canbus.readers.numbers import number_column, text_column
from graphwright.tasks.canbus.readers.parsed import Parsed, parsed, rows_with

__all__ = ["EventColumns", "SourceNames", "event_frames"]

_MOST_FIELDS = 255  # `Frames.length` is a byte


@dataclass(frozen=True, kw_only=True)
class EventColumns:
    """Which columns of an event log mean what.

    Attributes:
        time: column of the time, in seconds or as dates of ISO 8601 (`moments.py`).
        source: column of what the event comes from (a host, a sensor tag).
        fields: columns of numbers, in the order they get in the payload.
        label: column that says whether the event is an attack; None for none.
        benign: values of `label`, in any case, that say it is not; every other one is an attack.
    """

    time: str = "time"
    source: str = "source"
    fields: tuple[str, ...] = ()
    label: str | None = None
    benign: tuple[str, ...] = ("0", "benign", "false", "no", "normal")

    def __post_init__(self) -> None:
        if not 1 <= len(self.fields) <= _MOST_FIELDS:
            raise ConfigError(
                f"an event log needs 1 to {_MOST_FIELDS} fields, not {len(self.fields)}",
                fix="name the columns of numbers in `fields`",
            )


class SourceNames:
    """Codes of sources, in the order they are met; share one between the files of a data set.

    Attributes:
        names: name of every code.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = list(names)
        self._code = {name: code for code, name in enumerate(self.names)}

    def codes(self, texts: Sequence[str]) -> NDArray[np.uint32]:
        """Code of each name; one that is new gets the next."""
        for text in texts:
            if text not in self._code:
                self._code[text] = len(self.names)
                self.names.append(text)
        return np.array([self._code[text] for text in texts], np.uint32)


def event_frames(
    path: Path,
    columns: EventColumns,
    names: SourceNames,
    rejects: Rejects,
    digest: Callable[[bytes], object] | None = None,
) -> Iterator[Frames]:
    """Events of a log, a block of lines at a time. Quotes are known, line feeds in them are not.

    A field that is empty is 0, and `length` counts those that are not; an empty source, time or
    label, or a field that is no finite number, is a reject.

    Raises:
        DataError: no file, an empty one, or a header without one of the columns.
    """
    places: dict[str, int] = {}
    width = 0
    for lines in line_blocks(Content(path, digest), rejects):
        body = lines
        if lines.first == 1:
            header, body = _behind_header(lines)
            places, width = _places(header, columns, path), len(header)
        if len(body.data) > 2 * PAD:
            found = _parse(split_quoted(body), columns, places, width, names)
            yield found.tell(rejects, str(path))
    if not width:
        raise DataError(f"{path.name} is empty", where=path, fix="an event log needs a header")


def _parse(
    fields: Fields, columns: EventColumns, places: dict[str, int], width: int, names: SourceNames
) -> Parsed:
    rows, verdict = rows_with(fields, np.int64(width))
    data = fields.data
    time = moment_column(data, fields.column(rows, places[columns.time]), verdict)
    payload = np.zeros((len(rows), len(columns.fields)), np.float32)
    length = np.zeros(len(rows), np.uint8)
    for k, name in enumerate(columns.fields):
        start, end = fields.column(rows, places[name])
        payload[:, k] = number_column(data, (start, end), verdict)
        length += end > start
    attack = _labels(fields, rows, columns, places, verdict)
    ids = _sources(fields, rows, places[columns.source], names, verdict)
    return parsed(
        fields,
        rows,
        verdict,
        time=time,
        id=ids,
        extended=np.zeros(len(rows), bool),
        length=length,
        payload=payload,
        attack=attack,
    )


def _sources(
    fields: Fields, rows: NDArray[np.int64], place: int, names: SourceNames, verdict: Verdict
) -> NDArray[np.uint32]:
    start, end = fields.column(rows, place)
    verdict.against(start == end, "source is empty")
    ids = np.zeros(len(rows), np.uint32)
    good = np.flatnonzero(verdict.code == 0)  # a rejected row must not bring a source
    values, index = _distinct(text_column(fields.data, (start[good], end[good])))
    ids[good] = names.codes(values)[index]
    return ids


def _labels(
    fields: Fields,
    rows: NDArray[np.int64],
    columns: EventColumns,
    places: dict[str, int],
    verdict: Verdict,
) -> NDArray[np.uint8]:
    if columns.label is None:
        return np.zeros(len(rows), np.uint8)
    start, end = fields.column(rows, places[columns.label])
    verdict.against(start == end, "label is empty")
    values, index = _distinct(text_column(fields.data, (start, end)))
    benign = {value.casefold() for value in columns.benign}
    is_attack = np.array([value.casefold() not in benign for value in values], np.uint8)
    return is_attack[index] if len(index) else np.zeros(0, np.uint8)


def _distinct(texts: pa.BinaryArray) -> tuple[list[str], NDArray[np.int64]]:
    coded = texts.dictionary_encode()
    values = [value.decode("utf-8", "backslashreplace") for value in coded.dictionary.to_pylist()]
    return values, coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _behind_header(lines: Lines) -> tuple[list[str], Lines]:
    text = lines.data[PAD:-PAD].tobytes()
    cut = text.find(b"\n") + 1
    row = next(csv.reader([text[:cut].decode("utf-8-sig", "backslashreplace")]), [])
    data = lines.data[cut:].copy()
    data[:PAD] = 0
    return [name.strip() for name in row], Lines(data, 2)


def _places(header: list[str], columns: EventColumns, path: Path) -> dict[str, int]:
    wanted = [columns.time, columns.source, *columns.fields]
    wanted += [] if columns.label is None else [columns.label]
    for name in wanted:
        if header.count(name) != 1:
            state = "several columns" if name in header else "no column"
            raise DataError(
                f"{path.name} has {state} {name}{nearest(name, header)}",
                where=f"{path}:1",
                fix=f"name columns that are there: {', '.join(header)}",
            )
    return {name: header.index(name) for name in wanted}
