"""The texts of DARTS genotypes, parsed with `ast` and never evaluated.

A genotype is a row of 40 numbers: for the normal and then the reduction cell (input, operation) of
each of eight operations, and for each of the four nodes whether the cell's output has it.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["OPERATIONS", "ROW", "read", "write"]

OPERATIONS: Final = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""In the order of the short form (NASLib, NAS-Bench-301)."""

ROW: Final = 40

_LONGEST = 4_000  # characters of a text; a genotype has some 600
_NOT_A_GENOTYPE = "not the text of a DARTS genotype"
_ALL = [1, 1, 1, 1]
_CODES = {name: code for code, name in enumerate(OPERATIONS)}


class _WrongError(Exception):
    """The reason why a text is no genotype."""


def read(text: str) -> Sequence[int] | str:
    """The row of 40 numbers, or the reason why not."""
    if len(text) > _LONGEST or text[:1] not in ("G", "[", "("):
        return _NOT_A_GENOTYPE
    try:
        with warnings.catch_warnings(action="ignore"):  # of odd spellings in texts that are none
            tree = ast.parse(text, mode="eval").body
        return _from_call(tree) if isinstance(tree, ast.Call) else _from_short(tree)
    except _WrongError as error:
        return str(error)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return _NOT_A_GENOTYPE


def write(row: Sequence[int]) -> str:
    """The genotype of 40 numbers, the two operations of each node in order."""
    words = []
    for part, name in ((row[:20], "normal"), (row[20:], "reduce")):
        pairs = [(OPERATIONS[op], feed) for feed, op in _in_order(list(part[:16]))]
        concat = [2 + node for node in range(4) if part[16 + node]]
        words += [f"{name}={pairs}", f"{name}_concat={concat}"]
    return f"Genotype({', '.join(words)})"


def _from_call(call: ast.Call) -> list[int]:
    if not (isinstance(call.func, ast.Name) and call.func.id == "Genotype"):
        raise _WrongError(_NOT_A_GENOTYPE)
    names = ("normal", "normal_concat", "reduce", "reduce_concat")
    given = dict(zip(names, call.args, strict=False))
    given |= {word.arg: word.value for word in call.keywords if word.arg}
    if sorted(given) != sorted(names) or len(call.args) + len(call.keywords) != len(names):
        raise _WrongError(_NOT_A_GENOTYPE)
    row: list[int] = []
    for name in ("normal", "reduce"):
        pairs = ast.literal_eval(given[name])
        for op, _ in pairs:
            if op not in _CODES:
                raise _WrongError("an operation that DARTS does not have")
        row += _cell([(feed, _CODES[op]) for op, feed in pairs])
        row += _concat(given[f"{name}_concat"])
    return row


def _from_short(tree: ast.expr) -> list[int]:
    normal, reduce = ast.literal_eval(tree)
    return [*_cell(normal), *_ALL, *_cell(reduce), *_ALL]


def _cell(pairs: Sequence[tuple[Any, Any]]) -> list[int]:
    """16 numbers of eight (input, operation)."""
    if len(pairs) != 8:
        raise _WrongError("not eight operations in a cell")
    flat = [number for feed, op in pairs for number in (feed, op)]
    if not all(type(number) is int for number in flat):
        raise _WrongError(_NOT_A_GENOTYPE)
    for j, (feed, op) in enumerate(pairs):
        if not 0 <= op < len(OPERATIONS):
            raise _WrongError("an operation that DARTS does not have")
        if not 0 <= feed < 2 + j // 2:
            raise _WrongError("an operation whose input comes later")
    return [number for pair in _in_order(flat) for number in pair]


def _in_order(flat: list[int]) -> list[tuple[int, int]]:
    """(input, operation) eight times, sorted within each node."""
    pairs = list(zip(flat[0::2], flat[1::2], strict=True))
    return [pair for at in range(0, 8, 2) for pair in sorted(pairs[at : at + 2])]


def _concat(value: ast.expr) -> list[int]:
    """Which of the nodes 2 to 5 the output has; `range(2, 6)` and `[2, 3, 4, 5]`."""
    if isinstance(value, ast.Call):
        if not (isinstance(value.func, ast.Name) and value.func.id == "range") or value.keywords:
            raise _WrongError(_NOT_A_GENOTYPE)
        ends = [ast.literal_eval(argument) for argument in value.args]
        if len(ends) != 2 or not all(type(end) is int and 0 <= end < 99 for end in ends):
            raise _WrongError(_NOT_A_GENOTYPE)
        nodes = list(range(*ends))
    else:
        nodes = list(ast.literal_eval(value))
    if not nodes or not all(type(node) is int and 2 <= node <= 5 for node in nodes):
        raise _WrongError("an output that concatenates other nodes than 2 to 5")
    return [int(node in nodes) for node in range(2, 6)]
