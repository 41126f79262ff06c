"""Networks of TransNAS-Bench-101 (Duan et al., CVPR 2021, arXiv 2105.11871): 4 to 6 modules.

Text: `(1, 2, 4, 2, 0, 0)`, the type of every module and zeros up to six (the benchmark's own
`64-1242-basic` is read too). Types: 1 plain, 2 doubles the channels, 3 halves the image, 4 both.
Of the modules one to four halve the image and one to three double the channels: 3,256 networks. The
graph is the chain of modules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.nas.arch import INPUT, OUTPUT, Cells
from graphwright.tasks.nas.spaces.arrays import Bad
from graphwright.tasks.nas.spaces.product import integers, read_each

__all__ = ["OPERATIONS", "SPACE", "TransNasMacro"]

OPERATIONS: Final = ("module", "module_wider", "module_smaller", "module_wider_smaller")

_MOST, _FEWEST = 6, 4
_OWN_TEXT = re.compile("64-([0-9]{4,6})-basic")


class TransNasMacro:
    """The space; nodes are the modules."""

    name = "transnas_macro"
    ops = (INPUT, OUTPUT, *OPERATIONS)

    def encode(self, texts: Sequence[str]) -> tuple[Cells, Bad]:
        """Graphs of the good texts, and (row, reason) of the bad ones."""
        codes_AM, bad = read_each(texts, _read, _MOST)
        return _chains(codes_AM), bad

    def decode(self, cells: Cells) -> list[str]:
        """Text of each (`Space.decode`).

        Raises:
            DataError: graphs that are not chains of four to six modules.
        """
        modules_A = cells.node_counts - 2
        odd_A = (modules_A < _FEWEST) | (modules_A > _MOST) | (cells.edge_counts != modules_A + 1)
        if odd_A.any():
            raise DataError(f"a network of {self.name} is a chain of {_FEWEST} to {_MOST} modules")
        place_AM = np.arange(_MOST)
        inside_AM = place_AM < modules_A[:, None]
        at_AM = np.where(inside_AM, cells.node_ptr[:-1, None] + 1 + place_AM, 0)
        codes_AM = np.where(inside_AM, cells.ops[at_AM].astype(np.int64) - 1, 0)
        return ["(" + ", ".join(map(str, row)) + ")" for row in codes_AM.tolist()]

    def sample(self, count: int, rng: np.random.Generator) -> list[str]:
        """Uniform, without repeats up to the size of the space."""
        every = self.decode(self.everything())
        full = [rng.permutation(len(every)) for _ in range(count // len(every))]
        rest = rng.choice(len(every), count % len(every), replace=False)
        return [every[row] for row in np.concatenate([*full, rest]).tolist()]

    def mutate(self, text: str, rng: np.random.Generator) -> str:
        """Another type of one module, or a module more or less.

        Raises:
            DataError: `text` is no network of this space.
        """
        codes = _read(text)
        if isinstance(codes, str):
            raise DataError(f"{text!r}: {codes}")
        modules = [code for code in codes if code]
        near = [row for row in _neighbours(modules) if not isinstance(_checked(row), str)]
        chosen = near[int(rng.integers(len(near)))]
        return "(" + ", ".join(map(str, _padded(chosen))) + ")"

    def everything(self) -> Cells:
        """All 3,256."""
        rows = [row for length in (4, 5, 6) for row in product((1, 2, 3, 4), repeat=length)]
        good = [_padded(row) for row in rows if not isinstance(_checked(row), str)]
        return _chains(np.array(good, np.uint8))


SPACE: Final = TransNasMacro()


def _read(text: str) -> Sequence[int] | str:
    own = _OWN_TEXT.fullmatch(text)
    codes = [int(digit) for digit in own[1]] if own else integers(text)
    if codes is None or not _FEWEST <= len(codes) <= _MOST:
        return "not the types of four to six modules"
    while codes and codes[-1] == 0:
        codes.pop()
    return _checked(codes)


def _checked(modules: Sequence[int]) -> Sequence[int] | str:
    """The types padded to six, or what is wrong with them."""
    if not _FEWEST <= len(modules) <= _MOST or not all(1 <= code <= 4 for code in modules):
        return "not the types of four to six modules"
    smaller = sum(code > 2 for code in modules)
    wider = sum(code % 2 == 0 for code in modules)
    if not (1 <= smaller <= 4 and 1 <= wider <= 3):
        return "not one to four modules that halve the image and one to three that double channels"
    return _padded(modules)


def _padded(modules: Sequence[int]) -> list[int]:
    return [*modules, *[0] * (_MOST - len(modules))]


def _neighbours(modules: list[int]) -> list[list[int]]:
    """All lists of types one edit away; some are not valid."""
    types = (1, 2, 3, 4)
    places = range(len(modules))
    other = [[*modules[:at], code, *modules[at + 1 :]] for at in places for code in types]
    fewer = [modules[:at] + modules[at + 1 :] for at in places]
    gaps = range(len(modules) + 1)
    more = [[*modules[:at], code, *modules[at:]] for at in gaps for code in types]
    return [row for row in other + fewer + more if row != modules]


def _chains(codes_AM: NDArray[np.uint8]) -> Cells:
    """Chains of modules; type 0 is past the end."""
    count = len(codes_AM)
    modules_A = (codes_AM > 0).sum(axis=1)
    ops_AN = np.zeros((count, _MOST + 2), np.uint8)
    ops_AN[:, 1:-1] = codes_AM + 1
    ops_AN[np.arange(count), modules_A + 1] = 1
    edges = np.arange(_MOST + 1) < modules_A[:, None] + 1
    source = np.nonzero(edges)[1].astype(np.uint8)
    return Cells(
        ops=ops_AN[np.arange(_MOST + 2) < modules_A[:, None] + 2],
        node_counts=modules_A + 2,
        edge_counts=modules_A + 1,
        edge_index=np.stack([source, source + np.uint8(1)]),
    )
