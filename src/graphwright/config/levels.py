"""Names of a run's folders."""

from __future__ import annotations

import re

__all__ = ["as_level"]


def as_level(text: str, *, otherwise: str = "data") -> str:
    """A text as the name of a level: other signs than letters, digits, _ and - become one _.

    Args:
        text: a file's name, say.
        otherwise: where nothing is left.
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_") or otherwise
