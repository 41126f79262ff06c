"""Cells over the operations of NAS-Bench-201 with labels of our own: the embedded default."""

from __future__ import annotations

from typing import Final

from graphwright.tasks.nas.spaces.nasbench201 import canonical, cell_space

__all__ = ["SPACE", "canonical"]

SPACE: Final = cell_space("tiny_cells")
