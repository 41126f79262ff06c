"""graphwright: train, compare and ship graph neural networks.

>>> from graphwright import resolve_preset, train
>>> run = train(resolve_preset("geometry/tiny", ["training.epochs=2"]))  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # so that editors and type checkers know the names; see `__getattr__`
    from graphwright.config.presets import load_config as load_config
    from graphwright.config.presets import resolve_preset as resolve_preset
    from graphwright.launch.datasets import prepare_data as prepare_data
    from graphwright.launch.local import resume as resume
    from graphwright.launch.local import train as train
    from graphwright.launch.sweep.plan import SweepPlan as SweepPlan
    from graphwright.launch.sweep.run import run_sweep as run_sweep
    from graphwright.launch.use import Predictions as Predictions
    from graphwright.launch.use import evaluate as evaluate
    from graphwright.launch.use import export_bundle as export_bundle
    from graphwright.launch.use import export_onnx as export_onnx
    from graphwright.launch.use import load_run as load_run
    from graphwright.launch.use import predict as predict
    from graphwright.report.card import write_card as write_card
    from graphwright.report.compare import compare as compare
    from graphwright.report.page import write_report as write_report
    from graphwright.report.terminal import print_report as print_report
    from graphwright.runs.events import read_events as read_events
    from graphwright.runs.folder import RunFolder as RunFolder

__version__ = "0.1.0"

_HOMES = {
    "Predictions": "launch.use",
    "RunFolder": "runs.folder",
    "SweepPlan": "launch.sweep.plan",
    "compare": "report.compare",
    "evaluate": "launch.use",
    "export_bundle": "launch.use",
    "export_onnx": "launch.use",
    "load_config": "config.presets",
    "load_run": "launch.use",
    "predict": "launch.use",
    "prepare_data": "launch.datasets",
    "print_report": "report.terminal",
    "read_events": "runs.events",
    "resolve_preset": "config.presets",
    "resume": "launch.local",
    "run_sweep": "launch.sweep.run",
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
