"""The size space of NATS-Bench (Dong et al., TPAMI 2021, arXiv 2009.00437): 5 channel widths.

Text: `8:16:64:32:8`, each width one of 8, 16, …, 64. The graph is a chain of five nodes whose
operation says the width (`conv_8` … `conv_64`); where a node stands is what the chain tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from graphwright.tasks.nas.arch import INPUT, OUTPUT
from graphwright.tasks.nas.spaces.product import ProductSpace

__all__ = ["SPACE", "WIDTHS"]

WIDTHS: Final = (8, 16, 24, 32, 40, 48, 56, 64)
"""Channels that a stage can have."""

_STAGES = 5
_CODES = {str(width): code for code, width in enumerate(WIDTHS)}


def _read(text: str) -> Sequence[int] | str:
    parts = text.split(":")
    if len(parts) != _STAGES:
        return "not five channel widths joined by colons"
    try:
        return [_CODES[part] for part in parts]
    except KeyError:
        return "a width that NATS-Bench does not have (8, 16, …, 64)"


def _write(codes: Sequence[int]) -> str:
    return ":".join(str(WIDTHS[code]) for code in codes)


SPACE: Final = ProductSpace(
    name="nats_sss",
    ops=(INPUT, OUTPUT, *(f"conv_{width}" for width in WIDTHS)),
    first=2,
    choices=len(WIDTHS),
    node_ops=np.array([0] * 6 + [1], np.uint8),
    slots=np.arange(1, 6),
    edges=np.array([range(6), range(1, 7)], np.uint8),
    read=_read,
    write=_write,
)
