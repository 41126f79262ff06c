"""Types and hyperparameters of traced operations as numbers: each distinct row is kept once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.nas.arch import Arch

__all__ = ["Interner"]

Row = tuple[tuple[str, float], ...]


class Interner:
    """Gives numbers in the order of first appearance, so that a build that goes on gives the same.

    Args:
        ops: type names whose codes are settled.
    """

    def __init__(self, ops: Sequence[str] = ()) -> None:
        self._ops: dict[str, int] = {op: code for code, op in enumerate(ops)}
        self._rows: dict[Row, int] = {}

    @property
    def ops(self) -> list[str]:
        """Type name of every code."""
        return list(self._ops)

    @property
    def names(self) -> list[str]:
        """All hyperparameters, sorted."""
        return sorted({name for row in self._rows for name, _ in row})

    def __len__(self) -> int:
        return len(self._ops) + len(self._rows)

    def rows(self, arch: Arch) -> tuple[list[int], list[int]]:
        """Code of the type and number of the hyperparameter row of every node."""
        none: Mapping[str, float] = {}
        attributes = arch.attributes or (none,) * len(arch.ops)
        codes = [self._ops.setdefault(op, len(self._ops)) for op in arch.ops]
        keys = [tuple(sorted(values.items())) for values in attributes]
        return codes, [self._rows.setdefault(key, len(self._rows)) for key in keys]

    def table(self) -> NDArray[np.float32]:
        """The rows `[R, H]`, columns in the order of `names`; NaN where one is absent."""
        names = {name: column for column, name in enumerate(self.names)}
        found = np.full((len(self._rows), len(names)), np.nan, np.float32)
        for row, values in enumerate(self._rows):
            for name, value in values:
                found[row, names[name]] = value
        return found

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; `from_json` goes on where this was."""
        rows = [[[name, _spelt(value)] for name, value in row] for row in self._rows]
        return {"ops": self.ops, "rows": rows}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Interner:
        """From `to_json` (DataError if it is none)."""
        try:
            made = cls(data["ops"])
            rows = [tuple((str(k), float(v)) for k, v in row) for row in data["rows"]]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"a vocabulary that is not whole: {error!r}") from error
        made._rows = {row: number for number, row in enumerate(rows)}
        return made


def _spelt(value: float) -> float | str:
    """A number that JSON has; NaN and infinity as the texts that `float` reads."""
    return float(value) if math.isfinite(value) else str(float(value))
