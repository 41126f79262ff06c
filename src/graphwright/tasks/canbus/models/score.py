"""One score of a window out of the parts of its reconstruction error.

Parts are errors, positive and with long tails, in units of their own: their logarithms are
standardised by benign windows, z = (log(part + 1e-6) - mean) / sd, and the score is
sqrt(mean over scored parts of softplus(z)^2). What is below its benign mean hardly counts, and one
part far above is enough. The anomaly s^3 / (s^3 + threshold^3), with a benign quantile as
threshold, is 0.5 there. Unlike a sigmoid it still tells windows apart that are all far above it, so
that a threshold from a capture's own first seconds remains possible in a vehicle never seen.

Legend: B = windows, P = parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from graphwright.data.batch import GraphBatch
from graphwright.errors import DataError
from graphwright.tasks.canbus.thresholds import benign_quantile

__all__ = ["Calibration", "CompositeScore", "Distance", "calibrate"]

_FLOOR = 1e-6  # added to a part: a perfect reconstruction has a logarithm too
_STEEPNESS = 3.0
_LEAST_SPREAD = 1e-3


@dataclass(frozen=True)
class Calibration:
    """What benign windows say; JSON as a dictionary of its fields.

    Attributes:
        mean, sd: of each part's logarithm.
        threshold: of the score.
    """

    mean: list[float]
    sd: list[float]
    threshold: float


class CompositeScore(nn.Module):
    """Parts to a score, with what calibration found as buffers.

    Before calibration parts are not scaled, and the threshold is 1.

    Args:
        parts: P.
        left_out: places of parts that are standardised, for fusion, but not scored.
    """

    def __init__(self, parts: int, left_out: Sequence[int] = ()) -> None:
        super().__init__()
        scored = torch.tensor([part for part in range(parts) if part not in left_out])
        self.register_buffer("scored", scored, persistent=False)
        self.scored: Tensor
        self.register_buffer("mean", torch.zeros(parts))
        self.register_buffer("sd", torch.ones(parts))
        self.register_buffer("threshold", torch.tensor(1.0))
        self.mean: Tensor
        self.sd: Tensor
        self.threshold: Tensor

    def standardise(self, parts_BP: Tensor) -> Tensor:
        """`[B, P]` in standard deviations of benign windows."""
        return ((parts_BP + _FLOOR).log() - self.mean) / self.sd

    def forward(self, parts_BP: Tensor) -> Tensor:
        """`[B]` scores."""
        standard_BP = self.standardise(parts_BP).index_select(1, self.scored)
        return softplus(standard_BP).square().mean(1).sqrt()

    def anomaly(self, score_B: Tensor) -> Tensor:
        """`[B]` in 0..1."""
        return _anomaly(score_B, self.threshold)

    @torch.no_grad()
    def take(self, found: Calibration) -> None:
        """Take over a calibration."""
        for name, value in vars(found).items():
            buffer: Tensor = getattr(self, name)
            buffer.copy_(torch.tensor(value))

    @torch.no_grad()
    def fit(self, parts_BP: Tensor, rate: float) -> Calibration:
        """Calibrate by the parts of benign windows.

        Args:
            parts_BP: of benign windows that training has not seen, if there are any.
            rate: share of benign windows that may lie above the threshold.
        """
        log_BP = (parts_BP.double() + _FLOOR).log()
        sd_P = log_BP.std(0, correction=0).clamp(min=_LEAST_SPREAD)
        mean, sd = log_BP.mean(0).tolist(), sd_P.tolist()
        self.take(Calibration(mean, sd, 1.0))
        score = self(parts_BP).double().cpu().numpy()
        found = Calibration(mean, sd, benign_quantile(score, rate))
        self.take(found)
        return found


class Distance(nn.Module):
    """How far standardised numbers are from benign ones: the root of the sum of their squares.

    Before calibration the threshold is 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("threshold", torch.tensor(1.0))
        self.threshold: Tensor

    def forward(self, z_BR: Tensor) -> Tensor:
        """`[B]` anomalies in 0..1."""
        return _anomaly(z_BR.square().sum(1).sqrt(), self.threshold)

    @torch.no_grad()
    def fit(self, z_BR: Tensor, rate: float) -> None:
        """Put the threshold where a share `rate` of these benign windows is above it."""
        distance = z_BR.square().sum(1).sqrt().double().cpu().numpy()
        self.threshold.copy_(torch.tensor(benign_quantile(distance, rate)))


def _anomaly(score_B: Tensor, threshold: Tensor) -> Tensor:
    ratio_B = score_B / threshold.clamp(min=_LEAST_SPREAD)
    return (_STEEPNESS * ratio_B.clamp(min=_FLOOR).log()).sigmoid()


class _Scored(Protocol):
    composite: CompositeScore
    distance: Distance | None
    training: bool

    def __call__(self, batch: GraphBatch) -> Any: ...

    def parts(self, output: Any) -> Tensor: ...

    def relative(self, batch: GraphBatch) -> Tensor: ...

    def train(self, mode: bool = True) -> Any: ...


@torch.no_grad()
def calibrate(model: _Scored, benign: Iterable[GraphBatch], rate: float = 0.01) -> Calibration:
    """Fit the score of a trained VGAE; its buffers are changed and belong into its bundle.

    Args:
        model: the VGAE, with the weights that are going to be kept.
        benign: batches of benign windows only, on the model's device.
        rate: share of benign windows that may lie above the threshold.

    Raises:
        DataError: no window; or one with an attack frame.
    """
    was_training = model.training
    model.train(False)
    parts, relative = [], []
    for batch in benign:
        if "label" in batch.graphs and bool((batch.graphs["label"] > 0).any()):
            raise DataError("a window with an attack is among those that calibrate the score")
        parts.append(model.parts(model(batch)))
        if model.distance is not None:
            relative.append(model.relative(batch))
    model.train(was_training)
    if not parts:
        raise DataError(
            "no benign window to calibrate the score with", fix="validate on benign captures too"
        )
    if model.distance is not None:
        model.distance.fit(torch.cat(relative), rate)
    return model.composite.fit(torch.cat(parts), rate)
