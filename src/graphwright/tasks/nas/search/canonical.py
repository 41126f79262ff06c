"""Which architectures are the same function: a search trains one of them only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.nas.arch import Cells
from graphwright.tasks.nas.spaces import canonical_of

__all__ = ["keys_of"]


def keys_of(space: str, cells: Cells, texts: Sequence[str]) -> NDArray[np.str_]:
    """A key of every architecture `[A]`: the space's own (`spaces.canonical_of`), else its text."""
    canonical = canonical_of(space)
    if canonical is None:
        return np.array(texts, dtype=np.str_)
    return canonical(cells).astype(np.str_)
