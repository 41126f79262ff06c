"""Which device and number format a run gets: refused before start, never swapped silently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch

from graphwright.config.schema import TrainingConfig
from graphwright.errors import ConfigError

__all__ = ["Placement", "place"]

_DTYPES = {"64": torch.float64, "16-true": torch.float16, "bf16-true": torch.bfloat16}
# what torch's autocast and kernels offer; Lightning turns 16-mixed on a CPU into bf16-mixed unasked
_ON_CPU = ("32", "bf16-mixed", "bf16-true", "64")


@dataclass(frozen=True)
class Placement:
    """Where a run computes.

    Attributes:
        device: torch device.
        dtype: of weights and floating inputs.
        lightning_precision: what Lightning's Trainer is told.
    """

    device: torch.device
    dtype: torch.dtype
    lightning_precision: Literal["32-true", "16-mixed", "bf16-mixed"]


def place(config: TrainingConfig) -> Placement:
    """Resolve device and precision.

    Raises:
        ConfigError: no such device here, or it cannot do this precision.
    """
    has_cuda = torch.cuda.is_available()
    if config.device == "cuda" and not has_cuda:
        raise ConfigError(
            "training.device=cuda: no CUDA device is visible to torch",
            fix="use training.device=cpu or auto",
        )
    name = "cuda" if has_cuda and config.device != "cpu" else "cpu"
    _check_precision(config.precision, name)
    mixed = config.precision.endswith("mixed")
    return Placement(
        device=torch.device(name, 0) if name == "cuda" else torch.device(name),
        dtype=_DTYPES.get(config.precision, torch.float32),
        lightning_precision=cast(
            'Literal["32-true", "16-mixed", "bf16-mixed"]', config.precision if mixed else "32-true"
        ),
    )


def _check_precision(precision: str, device: str) -> None:
    if device == "cpu" and precision not in _ON_CPU:
        raise ConfigError(
            f"training.precision={precision}: not supported on a CPU",
            fix=f"choose one of {', '.join(_ON_CPU)}",
        )
    if device == "cuda" and precision.startswith("bf16") and not torch.cuda.is_bf16_supported():
        raise ConfigError(
            f"training.precision={precision}: this GPU has no bfloat16", fix="use 16-mixed"
        )
