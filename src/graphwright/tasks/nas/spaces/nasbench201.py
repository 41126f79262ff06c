"""NAS-Bench-201 (Dong and Yang, ICLR 2020, arXiv 2001.00326): 5 operations on 6 edges.

A cell has 4 nodes. Its graph here is input, the six edges in the order of the string (0-1 | 0-2,
1-2 | 0-3, 1-3, 2-3), output; edge i-j feeds every edge that starts at j. `none` and `skip_connect`
are nodes like any other; `paths.prune` removes the first.

Texts: `|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|…|`, or the six numbers `421211`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.nas.arch import INPUT, OUTPUT, Cells
from graphwright.tasks.nas.spaces.nasbench201_keys import canonical
from graphwright.tasks.nas.spaces.product import ProductSpace

__all__ = ["OPERATIONS", "SPACE", "canonical", "cell_space", "flops", "params"]

OPERATIONS: Final = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

# By operation, all 15 cells of the network together: 5 each with 16, 32 and 64 channels. Every
# operation is built and counted, whether or not anything passes through it.
_PARAMS = np.array([0, 0, 28_000, 243_040, 0])
_FLOPS = np.array([0, 0, 4_362_240, 35_819_520, 1_290_240])
_PARAMS_OUTSIDE, _FLOPS_OUTSIDE = 73_306, 7_943_872

_TEXT = re.compile(
    r"\|([^|~]+)~0\|\+\|([^|~]+)~0\|([^|~]+)~1\|\+\|([^|~]+)~0\|([^|~]+)~1\|([^|~]+)~2\|"
)
_DIGITS = re.compile("[0-9]{6}")
_CODES = {name: code for code, name in enumerate(OPERATIONS)}
_EDGES = np.array(
    [[0, 0, 1, 0, 1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6, 6, 7, 7, 7]], np.uint8
)  # source, target


def _read(text: str) -> Sequence[int] | str:
    if _DIGITS.fullmatch(text):
        codes = [ord(letter) - ord("0") for letter in text]
        return codes if max(codes) < len(OPERATIONS) else "an operation number above 4"
    found = _TEXT.fullmatch(text)
    if found is None:
        return "not the text of a NAS-Bench-201 cell"
    try:
        return [_CODES[name] for name in found.groups()]
    except KeyError:
        return "an operation that NAS-Bench-201 does not have"


def _write(codes: Sequence[int]) -> str:
    a, b, c, d, e, f = (OPERATIONS[code] for code in codes)
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def cell_space(name: str) -> ProductSpace:
    """A space of these cells and texts under another name."""
    return ProductSpace(
        name=name,
        ops=(INPUT, OUTPUT, *OPERATIONS),
        first=2,
        choices=len(OPERATIONS),
        node_ops=np.array([0, 0, 0, 0, 0, 0, 0, 1], np.uint8),
        slots=np.arange(1, 7),
        edges=_EDGES,
        read=_read,
        write=_write,
    )


SPACE: Final = cell_space("nasbench201")


def params(cells: Cells) -> NDArray[np.int64]:
    """Parameters of the CIFAR-10 network of every cell (`params_cifar10` of the benchmark), [A].

    Raises:
        DataError: graphs that are not whole cells (pruned ones, for example).
    """
    total_A: NDArray[np.int64] = _PARAMS_OUTSIDE + _PARAMS[SPACE.codes(cells)].sum(axis=1)
    return total_A


def flops(cells: Cells) -> NDArray[np.int64]:
    """Multiply-adds of the CIFAR-10 network, as the benchmark counts them, [A].

    Raises:
        DataError: graphs that are not whole cells (pruned ones, for example).
    """
    total_A: NDArray[np.int64] = _FLOPS_OUTSIDE + _FLOPS[SPACE.codes(cells)].sum(axis=1)
    return total_A
