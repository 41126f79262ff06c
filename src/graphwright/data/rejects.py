"""Bad input rows: counted, and written aside with the reason, never silently dropped."""

from __future__ import annotations

import csv
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from graphwright.errors import DataError
from graphwright.runs.files import atomic_path, write_json_atomic

__all__ = ["KeptRejects", "Rejects"]

_LIST, _SUMMARY = "rejected.csv", "rejected.json"


class Rejects:
    """Takes note of rejected rows; a context manager, or call `close` at the end.

    `close` puts `rejected.csv` (source, where, reason: one line for each row) and `rejected.json`
    (the count, and the count of every reason) into `folder`. Both exist also when nothing was
    rejected: then somebody looked and found nothing.

    Args:
        folder: where to; None only counts.
        strict: raise at the first rejected row.
    """

    def __init__(self, folder: str | Path | None, strict: bool = False) -> None:
        self.folder = None if folder is None else Path(folder)
        self.strict = strict
        self._reasons: Counter[str] = Counter()
        self._open = ExitStack()
        self._writer: Any = None

    def add(self, source: str, where: str, reason: str) -> None:
        """Note one row.

        Args:
            source: file or data set that it came from.
            where: line, row or identifier in it.
            reason: why it is rejected, in the same words for the same reason.

        Raises:
            DataError: `strict` is set.
        """
        if self.strict:
            raise DataError(
                f"rejected: {reason}", where=f"{source}: {where}", fix="mend it or be less strict"
            )
        self._reasons[reason] += 1
        if self.folder is not None:
            self._lines().writerow((source, where, reason))

    @property
    def count(self) -> int:
        """Number of rejected rows."""
        return sum(self._reasons.values())

    def by_reason(self) -> dict[str, int]:
        """Number of rejected rows for each reason, the most frequent first."""
        return dict(self._reasons.most_common())

    def close(self) -> None:
        """Write what was noted; a second call does nothing."""
        if self.folder is None:
            return
        self._lines()
        self._open.close()
        write_json_atomic(
            self.folder / _SUMMARY, {"count": self.count, "reasons": self.by_reason()}
        )
        self.folder = None

    def _lines(self) -> Any:
        # Rows go to the file at once: a log of millions of frames must not fill the memory.
        if self._writer is None:
            assert self.folder is not None
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self._open.enter_context(atomic_path(self.folder / _LIST))
            file = self._open.enter_context(path.open("w", newline="", encoding="utf-8"))
            self._writer = csv.writer(file)
            self._writer.writerow(("source", "where", "reason"))
        return self._writer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class KeptRejects(Rejects):
    """Rejected rows in memory: the command writes them beside its output.

    Attributes:
        rows: (where, reason) of each.
    """

    def __init__(self) -> None:
        super().__init__(None)
        self.rows: list[tuple[str, str]] = []

    def add(self, source: str, where: str, reason: str) -> None:
        """See `Rejects.add`."""
        super().add(source, where, reason)
        self.rows.append((where, reason))
