"""Building a packed store from a table, in bounded memory, so that a killed build can go on.

While it grows, the store lies in `<folder>/building/` with the list of rejected rows and the
numbers of types beside it. What the store holds is what is done: a build goes on behind the row of
its last graph, and forgets what it noted of later ones.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import psutil

from graphwright.data.fields import SCHEMA_FILE, StoreSchema
from graphwright.data.packed import PackedGraphs
from graphwright.data.packed_writer import PackedWriter
from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.runs.files import atomic_path, read_json, write_json_atomic
from graphwright.tasks.nas.interning import Interner
from graphwright.tasks.nas.layout import Layout
from graphwright.tasks.nas.row_encoders import RowEncoder
from graphwright.tasks.nas.row_fields import graph_fields, new_layout
from graphwright.tasks.nas.store_summary import summarise
from graphwright.tasks.nas.table import Rows, is_parquet, read_table
from graphwright.tasks.nas.table_columns import TableColumns

__all__ = ["COMMIT_SECONDS", "LOG_SECONDS", "StoreBuild"]

log = logging.getLogger("graphwright")

COMMIT_SECONDS = 20.0
"""After so long, what was read is made safe against a kill."""
LOG_SECONDS = 5.0
"""After so long, a line tells how far it is, and the memory."""


class StoreBuild:
    """One build of `<folder>/store`, from the beginning or from where it was killed.

    Args:
        folder: of the data set.
        path: table.
        columns: what is read of it.
        encoder: from rows to graphs.
        space: name of the format.
        strict: stop at the first bad row.
    """

    def __init__(
        self,
        folder: Path,
        path: Path,
        columns: TableColumns,
        encoder: RowEncoder,
        *,
        space: str,
        strict: bool = False,
    ) -> None:
        self.folder, self.path, self.columns = folder, path, columns
        self.encoder, self.space, self.strict = encoder, space, strict
        self.work = folder / "building"
        self._notes: list[tuple[int, str]] = []
        self._writer: PackedWriter | None = None
        self._layout: Layout | None = None
        self._graphs = self._rejected = self._interned = 0

    def run(self, limit: int = 0) -> None:
        """Read the table to its end, or to row `limit`, and put the store in place.

        Raises:
            DataError: the table is damaged, no row can be read, or `strict` and a bad row.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        start = self._go_on()
        committed = told = time.monotonic()
        try:
            for rows in read_table(self.path, self.columns, start=start, limit=limit):
                for piece in rows.pieces(self.encoder.rows_at_once):
                    self._add(piece)
                    now = time.monotonic()
                    if now - told >= LOG_SECONDS:
                        told = now
                        self._tell(int(piece.row[-1]) + 1 if len(piece) else start)
                    if now - committed >= COMMIT_SECONDS:
                        committed = now
                        self._commit()
            self._commit()
        finally:
            self._drop_writer()
        self._finish()

    def _go_on(self) -> int:
        """The row to begin with; 0 for a new build."""
        store = self.work / "store"
        if not store.is_dir():
            (self.work / "rejected.jsonl").unlink(missing_ok=True)
            return 0
        done = PackedGraphs.open(store)
        start = int(done.column("row")[-1]) + 1
        self._layout, self._graphs = Layout.from_json(done.attributes["layout"]), len(done)
        self.encoder.interner = Interner.from_json(read_json(self.work / "types.json"))
        noted = [note for note in self._noted() if note[0] < start]
        self._rejected = len(noted)
        text = "".join(json.dumps(note) + "\n" for note in noted)
        with atomic_path(self.work / "rejected.jsonl") as path:
            path.write_text(text, encoding="utf-8")
        log.info("%s: going on at row %d", self.path.name, start)
        return start

    def _add(self, rows: Rows) -> None:
        encoded = self.encoder(rows)
        notes = [(line.row, line.reason) for line in rows.bad]
        notes += [(int(rows.row[place]), reason) for place, reason in encoded.bad]
        self._note(notes)
        if not len(encoded.kept):
            return
        if self._layout is None:
            self._layout = new_layout(self.space, self.columns, rows, encoded)
        graphs, odd = graph_fields(self._layout, self.columns, rows, encoded)
        if len(odd):
            reason = "the canonical id is no whole number, as those before were"
            self._note([(int(rows.row[place]), reason) for place in odd])
            self._add(rows.take(np.setdiff1d(encoded.kept, odd)))
            return
        self._open_writer().add_many(**encoded.arrays, graphs=graphs)
        self._graphs += len(encoded.kept)

    def _note(self, notes: list[tuple[int, str]]) -> None:
        if notes and self.strict:
            row, reason = min(notes)
            raise DataError(
                f"rejected: {reason}",
                where=f"{self.path}: {self._place(row)}",
                fix="mend it, or leave such rows out with data.strict=false",
            )
        self._notes += sorted(notes)
        self._rejected += len(notes)

    def _place(self, row: int) -> str:
        return f"row {row + 1}" if is_parquet(self.path) else f"line {row + 2}"

    def _noted(self) -> Iterator[tuple[int, str]]:
        path = self.work / "rejected.jsonl"
        if not path.exists():
            return
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):  # the last one of a killed build may be half a line
                    row, reason = json.loads(line)
                    yield int(row), str(reason)

    def _open_writer(self) -> PackedWriter:
        if self._writer is None:
            store, layout = self.work / "store", self._layout
            assert layout is not None
            if store.is_dir():
                self._writer = PackedWriter.append(store)
            else:
                self._writer = PackedWriter(
                    store,
                    layout.fields(),
                    {"layout": asdict(layout)},
                    index_dtype=layout.index_dtype,
                )
            self._writer.__enter__()
        return self._writer

    def _drop_writer(self) -> None:
        """Close a writer that an error left open, without publishing what it has."""
        if self._writer is not None:
            self._writer.__exit__(GeneratorExit, GeneratorExit(), None)
            self._writer = None

    def _commit(self) -> None:
        """Make what was read safe: first what the store refers to, the store last."""
        interner = self.encoder.interner
        if len(interner) != self._interned:
            write_json_atomic(self.work / "types.json", interner.to_json())
            self._interned = len(interner)
        with (self.work / "rejected.jsonl").open("a", encoding="utf-8") as lines:
            lines.writelines(json.dumps(note) + "\n" for note in self._notes)
        self._notes = []
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.__exit__(None, None, None)

    def _tell(self, row: int) -> None:
        log.info(
            "%s: row %d, %d architectures, %d rejected, %.0f MB of memory",
            self.path.name,
            row,
            self._graphs,
            self._rejected,
            psutil.Process().memory_info().rss / 1e6,
        )

    def _finish(self) -> None:
        """Describe the store, write aside what was rejected, and put everything in place."""
        with Rejects(self.folder) as rejects:
            for row, reason in self._noted():
                rejects.add(self.path.name, self._place(row), reason)
        if not self._graphs or self._layout is None:
            raise DataError(
                "no architecture of the table can be read",
                where=self.path,
                fix=f"see {self.folder / 'rejected.csv'}: {rejects.by_reason()}",
            )
        store, interner = self.work / "store", self.encoder.interner
        schema = StoreSchema.read(store)
        attributes = summarise(PackedGraphs.open(store), self._layout, interner)
        schema = replace(schema, attributes={**schema.attributes, **attributes})
        write_json_atomic(store / SCHEMA_FILE, schema.to_json())
        with atomic_path(self.folder / "hyperparameters.npy") as path, path.open("wb") as file:
            np.save(file, interner.table(), allow_pickle=False)
        store.rename(self.folder / "store")
        shutil.rmtree(self.work)
        self._tell(int(PackedGraphs.open(self.folder / "store").column("row")[-1]) + 1)
