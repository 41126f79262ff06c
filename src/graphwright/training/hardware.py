"""What a run computed on, for the provenance."""

from __future__ import annotations

from typing import Any

import torch

from graphwright.training.device import Placement

__all__ = ["describe"]


def describe(placement: Placement) -> dict[str, Any]:
    """Device, precision, threads, CUDA."""
    on_cuda = placement.device.type == "cuda"
    return {
        "device": str(placement.device),
        "dtype": str(placement.dtype).removeprefix("torch."),
        "autocast": placement.lightning_precision,
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda,
        "gpu": torch.cuda.get_device_name(placement.device) if on_cuda else None,
    }
