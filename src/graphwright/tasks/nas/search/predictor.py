"""What a guided search needs of a predictor.

Legend: M = ensemble members, P = architectures of the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.nas.search.pools import Pool

__all__ = ["Prediction", "Predictor"]

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a predictor says of a pool, in the metric's unit.

    Attributes:
        members_MP: of every member of an ensemble; one row without one.
        feasible_P: probability that the training succeeds; None where that is not learnt.
    """

    members_MP: Values
    feasible_P: Values | None = None

    @property
    def mean(self) -> Values:
        """Mean over the members."""
        mean: Values = self.members_MP.mean(axis=0)
        return mean

    @property
    def sd(self) -> Values:
        """Standard deviation over the members; 0 of a single one."""
        sd: Values = self.members_MP.std(axis=0)
        return sd


class Predictor(Protocol):
    """Learns values of architectures."""

    def fit(self, texts: Sequence[str], values_N: Values, seed: int) -> None:
        """Learn anew from all that is known; a failed training has the value NaN.

        The same arguments give the same predictions.
        """
        ...

    def predict(self, pool: Pool) -> Prediction:
        """Of all architectures of a pool."""
        ...
