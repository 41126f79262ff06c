"""Errors for people: what went wrong, where, and how to mend it.

Every error that a user can cause is a `GraphwrightError`. The command line prints it without a
traceback and exits with its `exit_code`: 2 for a user's mistake, 1 for work that failed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BundleError",
    "ConfigError",
    "DataError",
    "GraphwrightError",
    "MissingExtraError",
    "RunError",
    "TrainingError",
    "nearest",
]


class GraphwrightError(Exception):
    """Something a person can mend.

    Args:
        what: what is wrong, in one sentence, with the offending value.
        where: file (and line), config key or run folder it was found in.
        fix: what to do about it.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: object = None, fix: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.fix = fix
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.where is not None:
            lines.append(f"  where: {self.where}")
        if self.fix is not None:
            lines.append(f"  fix:   {self.fix}")
        return "\n".join(lines)


class ConfigError(GraphwrightError):
    """A configuration key, value or combination that makes no sense."""


class DataError(GraphwrightError):
    """Input data that is missing, malformed or damaged."""


class RunError(GraphwrightError):
    """A run folder that cannot be made, found, locked or continued."""


class BundleError(GraphwrightError):
    """A model bundle or checkpoint that cannot be trusted or does not fit."""


class MissingExtraError(GraphwrightError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed",
            fix=f"pip install 'graphwright[{extra}]'",
        )


class TrainingError(GraphwrightError):
    """Training began and could not go on (a non-finite loss, for example)."""

    exit_code = 1


def nearest(word: str, candidates: Iterable[str]) -> str:
    """A hint ", did you mean …?" for a misspelt word, or an empty string.

    >>> nearest("hiden_dim", ["hidden_dim", "layers"])
    ', did you mean hidden_dim?'
    """
    found = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return f", did you mean {found[0]}?" if found else ""
