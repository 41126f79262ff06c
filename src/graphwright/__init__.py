"""graphwright: train, compare and ship graph neural networks.

>>> from graphwright import resolve_preset, train
>>> run = train(resolve_preset("geometry/tiny", ["training.epochs=2"]))  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "compare": "report.compare",
    "evaluate": "launch.use",
    "load_config": "config.presets",
    "load_run": "launch.use",
    "predict": "launch.use",
    "prepare_data": "launch.datasets",
    "resolve_preset": "config.presets",
    "resume": "launch.local",
    "train": "launch.local",
    "write_card": "report.card",
    "write_report": "report.page",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    """Import a public function only when it is asked for: `--help` must answer at once."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"graphwright.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'graphwright' has no attribute {name!r}")
