"""Cells of TransNAS-Bench-101 (Duan et al., CVPR 2021, arXiv 2105.11871): 4 operations on 6 edges.

Text: `(1, 0, 0, 2, 1, 0)`, the edges of a 4-node cell in the order 0-1 | 0-2, 1-2 | 0-3, 1-3, 2-3
(0 none, 1 skip, 2 conv 1x1, 3 conv 3x3); the benchmark's own `64-41414-1_00_210` is read too. The
graph is that of NAS-Bench-201.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from graphwright.tasks.nas.arch import INPUT, OUTPUT
from graphwright.tasks.nas.spaces.nasbench201 import SPACE as NASBENCH201
from graphwright.tasks.nas.spaces.product import ProductSpace, integers

__all__ = ["OPERATIONS", "SPACE"]

OPERATIONS: Final = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")

_OWN_TEXT = re.compile("64-41414-([0-9])_([0-9])([0-9])_([0-9])([0-9])([0-9])")


def _read(text: str) -> Sequence[int] | str:
    own = _OWN_TEXT.fullmatch(text)
    codes = [int(digit) for digit in own.groups()] if own else integers(text)
    if codes is None or len(codes) != 6:
        return "not six numbers of operations"
    return codes if max(codes) < len(OPERATIONS) else "an operation number above 3"


def _write(codes: Sequence[int]) -> str:
    return "(" + ", ".join(map(str, codes)) + ")"


SPACE: Final = ProductSpace(
    name="transnas_micro",
    ops=(INPUT, OUTPUT, *OPERATIONS),
    first=2,
    choices=len(OPERATIONS),
    node_ops=np.array([0] * 7 + [1], np.uint8),
    slots=np.arange(1, 7),
    edges=NASBENCH201.edges,
    read=_read,
    write=_write,
)
