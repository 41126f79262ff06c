"""What is compared of two runs that are to be equal bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from graphwright.runs.events import read_events

__all__ = ["results_of"]


def results_of(run: Path) -> dict[str, Any]:
    """What a training has come to: its state, weights, metrics and every loss."""
    return {
        "state": torch.load(run / "checkpoints" / "last.ckpt", weights_only=True),
        "weights": (run / "bundle" / "weights.safetensors").read_bytes(),
        "metrics": json.loads((run / "metrics.json").read_text())["metrics"],
        "losses": read_events(run / "events.jsonl").series("train_loss_step"),
    }
