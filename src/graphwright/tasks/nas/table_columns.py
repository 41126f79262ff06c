"""Which columns of a table are what, and in which words it speaks of architectures."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphwright.errors import DataError, nearest
from graphwright.tasks.nas.data_config import TableSource

__all__ = ["ARGUMENT", "TableColumns", "find_arch", "find_columns", "find_format"]

ARGUMENT = "arg_"
"""Columns whose names begin so are arguments of the functions in the column of architectures."""

_KNOWN: tuple[tuple[str, ...], ...] = (
    ("adj_upper_bits", "ops"),  # NAS-Bench-101
    ("c1", "c2", "c3", "c4", "c5"),  # NATS-Bench sizes
    ("arch",),
    ("arch_str",),
    ("genome",),
    ("architecture",),
    ("genotype",),
    ("compact_darts",),
    ("ops",),
    ("module",),
    ("onnx",),
)
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True, kw_only=True)
class TableColumns:
    """Names of the columns that are read, by what they mean."""

    arch: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    repeats: tuple[str, ...] = ()
    group: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def all(self) -> list[str]:
        """Every column once, in this order."""
        group = (self.group,) if self.group else ()
        parts = (self.arch, self.metrics, self.features, self.repeats, group, self.arguments)
        return list(dict.fromkeys(name for part in parts for name in part))


def find_columns(source: TableSource, header: Sequence[str]) -> TableColumns:
    """The columns that a configuration names, checked against those that are there.

    Raises:
        DataError: one is missing; all columns are listed, and the nearest name.
    """
    named = [*source.arch, *source.metrics, *source.features, *source.repeats]
    for name in [*named, *([source.group] if source.group else [])]:
        if name not in header:
            raise DataError(
                f"the table has no column {name!r}{nearest(name, header)}",
                where=source.path,
                fix=f"its columns are {', '.join(header)}",
            )
    return TableColumns(
        arch=source.arch or find_arch(header, where=source.path),
        metrics=source.metrics,
        features=source.features,
        repeats=source.repeats,
        group=source.group,
        arguments=tuple(name for name in header if name.startswith(ARGUMENT)),
    )


def find_arch(header: Sequence[str], *, where: object = None) -> tuple[str, ...]:
    """The column, or columns, that usually name an architecture.

    Raises:
        DataError: none of these names is there.
    """
    for names in _KNOWN:
        if set(names) <= set(header):
            return names
    known = ", ".join("+".join(names) for names in _KNOWN)
    raise DataError(
        "no column is known to name architectures",
        where=where,
        fix=f"set data.source.arch to one of {', '.join(header)}; known names are {known}",
    )


def find_format(texts: Sequence[str], detect: Callable[[Sequence[str]], str]) -> str:
    """`module`, `onnx`, or the space whose texts the first values of a column are.

    Args:
        texts: values.
        detect: `spaces.detect`.

    Raises:
        DataError: none fits.
    """
    known = [text for text in texts if text]
    if not known:
        raise DataError("the column of architectures is empty")
    if all(text.lower().endswith(".onnx") for text in known):
        return "onnx"
    if all(_FUNCTION.fullmatch(text) for text in known):
        return "module"
    return detect(known)
