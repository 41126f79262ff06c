"""How well any predictor could do: two measurements of the same gene set differ, too.

S = gene sets, R = sets that were measured more than once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Ceiling", "planted_ceiling", "replicate_ceiling"]

FEWEST = 10  # sets, below which a correlation says nothing


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """What is known of the noise in the labels.

    Attributes:
        agreement: expected Pearson's r between two single measurements; None: not known.
        perfect: expected r of a predictor that knows every set's true value with one measurement
            of it, √agreement.
        noise: standard deviation of a single measurement, in the label's unit.
        count: sets that were measured more than once.
        how: what was done, or why nothing is known; a sentence.
    """

    agreement: float | None = None
    perfect: float | None = None
    noise: float | None = None
    count: int = 0
    how: str


def planted_ceiling(noise: float) -> Ceiling:
    """Of labels with a signal of variance 1 and independent noise of a known deviation."""
    agreement = 1 / (1 + noise**2)
    return Ceiling(
        agreement=agreement,
        perfect=float(np.sqrt(agreement)),
        noise=noise,
        how=f"noise with a standard deviation of {noise:g} was added to a signal with one of 1.",
    )


def replicate_ceiling(
    label_S: ArrayLike, repeats_S: ArrayLike | None, sd_S: ArrayLike | None
) -> Ceiling:
    """From sets with several rows, by the one-way random-effects model.

    noise² = Σ (n - 1) sd² / Σ (n - 1) over the repeated sets; agreement = 1 - noise² / variance,
    the intraclass correlation ICC(1) (Shrout & Fleiss, 1979), where the variance of a single
    measurement is that of the repeated sets' means plus the part of the noise that averaging took.

    Args:
        label_S: mean of each set's rows.
        repeats_S: rows of each set; None: not known.
        sd_S: their sample standard deviation; anything where there is one row.
    """
    if repeats_S is None or sd_S is None:
        return Ceiling(how="None known: the table does not say which labels are repeats.")
    count_S = np.asarray(repeats_S, np.int64)
    many_S = count_S > 1
    repeated = int(many_S.sum())
    if repeated < FEWEST:
        return Ceiling(
            count=repeated, how=f"None known: only {repeated} gene sets were measured repeatedly."
        )
    count_R = count_S[many_S].astype(np.float64)
    mean_R = np.asarray(label_S, np.float64)[many_S]
    sd_R = np.asarray(sd_S, np.float64)[many_S]
    noise = float(((count_R - 1) * sd_R**2).sum() / (count_R - 1).sum())
    variance = float(mean_R.var(ddof=1) + noise * (1 - 1 / count_R).mean())
    agreement = max(0.0, 1 - noise / variance) if variance > 0 else 0.0
    return Ceiling(
        agreement=agreement,
        perfect=float(np.sqrt(agreement)),
        noise=float(np.sqrt(noise)),
        count=repeated,
        how=f"{repeated:,} gene sets were measured more than once; their labels are the means.",
    )
