"""How much of a user's input is taken where a stranger may send it: behind `graphwright serve`."""

from __future__ import annotations

from dataclasses import dataclass

from graphwright.errors import DataError

__all__ = ["InputLimits", "LimitError"]


class LimitError(DataError):
    """Input that is larger than a service takes."""


@dataclass(frozen=True, kw_only=True)
class InputLimits:
    """The most that one request may hold.

    A task whose reading or whose model costs more than in proportion to the bytes of its input
    checks it before the work is done.

    Attributes:
        samples: structures, architectures, windows, gene sets or lines.
        size: of one sample, in what the task counts (points of a structure, bytes of a line).
    """

    samples: int = 4096
    size: int = 4096

    def check_samples(self, count: int, what: str = "samples") -> None:
        """Raise LimitError if there are more samples than that."""
        if count > self.samples:
            raise LimitError(
                f"{count:,} {what} are more than the {self.samples:,} that one request may hold",
                fix="send them in several requests",
            )

    def check_size(self, size: int, what: str, where: object = None) -> None:
        """Raise LimitError if one sample is larger than that."""
        if size > self.size:
            raise LimitError(
                f"{size:,} {what} are more than the {self.size:,} that a sample may have",
                where=where,
                fix="use `graphwright predict`, which has no such limit",
            )
