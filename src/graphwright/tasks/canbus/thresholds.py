"""Thresholds of scores that come from benign data, never from labels of attacks. No torch here.

A window is an alarm when its score is above the threshold. G = windows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError

__all__ = [
    "Prefix",
    "Threshold",
    "benign_quantile",
    "fit_threshold",
    "legacy_youden",
    "prefix_rows",
    "prefix_threshold",
    "prefix_thresholds",
]

Rule = Literal["fixed", "benign_quantile", "legacy_youden"]
Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A threshold and where it is from.

    Attributes:
        value: scores above it are alarms.
        rule: fixed: given with the score (a probability's 0.5); benign_quantile; legacy_youden.
        rate: share of false positives that was wanted; NaN unless benign_quantile.
        windows: that it was fitted on.
    """

    value: float
    rule: Rule = "fixed"
    rate: float = math.nan
    windows: int = 0

    def __post_init__(self) -> None:
        if math.isnan(self.value):
            raise DataError("a threshold is not a number: nothing would ever be an alarm")

    def alarms(self, scores: Scores) -> Flags:
        """Which scores are above."""
        return np.asarray(scores > self.value)

    def describe(self) -> str:
        """For a report, such as `0.5`, `2.31 (1 % of 5,000 benign validation windows above)`."""
        if self.rule == "benign_quantile":
            share = f"{100 * self.rate:g} % of {self.windows:,} benign validation windows above"
            return f"{self.value:.4g} ({share})"
        if self.rule == "legacy_youden":
            return f"{self.value:.4g} (legacy: Youden's J, chosen by attack labels)"
        return f"{self.value:.4g}"

    def to_json(self) -> dict[str, Any]:
        """As JSON; a rate that means nothing is null."""
        return asdict(self) | {"rate": None if math.isnan(self.rate) else self.rate}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Threshold:
        """From `to_json` (DataError if it is none)."""
        try:
            rule: Rule = data["rule"]
            if rule not in ("fixed", "benign_quantile", "legacy_youden"):
                raise ValueError(f"no rule {rule!r}")
            rate = math.nan if data["rate"] is None else float(data["rate"])
            value, windows = float(data["value"]), int(data["windows"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"this is no threshold: {error}") from error
        return cls(value=value, rule=rule, rate=rate, windows=windows)


def fit_threshold(
    scores: Scores, label: NDArray[np.generic], *, rate: float, rule: Rule = "benign_quantile"
) -> Threshold:
    """A threshold from the scores of validation windows.

    Args:
        scores: `[G]` of validation windows.
        label: `[G]`; benign_quantile uses it only to leave attack windows out.
        rate: false positives that are wanted (benign_quantile).
        rule: benign_quantile, or legacy_youden.

    Raises:
        DataError: no windows to fit on, a score that is not finite, or a rule that fits nothing.
    """
    attack = np.asarray(label != 0)
    if rule == "benign_quantile":
        value = benign_quantile(scores[~attack], rate)
        return Threshold(value=value, rule=rule, rate=rate, windows=int((~attack).sum()))
    if rule == "legacy_youden":
        return Threshold(value=legacy_youden(scores, label), rule=rule, windows=len(scores))
    raise DataError(f"a threshold by the rule {rule!r} is given, not fitted")


def benign_quantile(scores: Scores, rate: float) -> float:
    """The score that at most a share `rate` of benign windows exceeds (no interpolation).

    Raises:
        DataError: no scores, or one that is not finite.
    """
    if len(scores) == 0:
        raise DataError("a threshold needs benign windows, there are none")
    if not np.isfinite(scores).all():
        raise DataError(f"{(~np.isfinite(scores)).sum()} scores of benign windows are not finite")
    return float(np.quantile(scores, 1 - rate, method="higher"))


def legacy_youden(scores: Scores, label: NDArray[np.generic]) -> float:
    """The score with the largest J = true-positive - false-positive rate (Youden, Cancer 3, 1950).

    Chosen by the labels of attacks, which a vehicle in service does not have: only to compare with
    publications that did so. The lowest of equally good scores; alarms are strictly above it.

    Raises:
        DataError: only one class, or a score that is not finite.
    """
    attack = np.asarray(label != 0)
    if attack.all() or not attack.any():
        raise DataError("Youden's J needs benign and attack windows")
    if not np.isfinite(scores).all():
        raise DataError(f"{(~np.isfinite(scores)).sum()} scores are not finite")
    values = np.unique(scores)
    above = [
        1 - np.searchsorted(np.sort(scores[kind]), values, side="right") / kind.sum()
        for kind in (attack, ~attack)
    ]
    return float(values[np.argmax(above[0] - above[1])])


def prefix_threshold(
    scores: Scores, end_time: NDArray[np.float64], *, start: float, seconds: float, rate: float
) -> float:
    """A threshold for one capture, from its first seconds, which are known to be benign.

    The smallest score s of n prefix windows with at least (n + 1)(1 - rate) of them not above it
    (split conformal prediction): a further benign window like them exceeds it with probability of
    at most `rate`, for any distribution and any n.

    Args:
        scores: of the capture's windows.
        end_time: seconds, when each window was complete.
        start: time of the capture's first frame.
        seconds: length of the benign prefix.
        rate: false positives that are wanted.

    Raises:
        DataError: fewer windows in the prefix than 1 / rate - 1: no score keeps such a promise.
    """
    prefix = np.sort(scores[end_time - start <= seconds])
    place = math.ceil((len(prefix) + 1) * (1 - rate) - 1e-9)
    if place > len(prefix) or len(prefix) == 0:
        raise DataError(
            f"the first {seconds:g} s hold {len(prefix)} windows, a false-positive rate of "
            f"{rate:g} needs {math.ceil(1 / rate - 1 - 1e-9)}",
            fix="take a longer prefix or a larger rate",
        )
    if not np.isfinite(prefix).all():
        raise DataError("a score of the benign prefix is not finite")
    return float(prefix[place - 1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Prefix:
    """Thresholds of captures, each from its own first seconds.

    Attributes:
        threshold: `[G]` of each window's capture.
        rows: `[G]` the windows of the prefixes of calibrated captures.
        refused: captures whose prefix says too little, and why; they keep the plain threshold.
    """

    threshold: Scores
    rows: Flags
    refused: Mapping[int, str]


def prefix_rows(
    capture: NDArray[np.integer],
    start_time: NDArray[np.float64],
    end_time: NDArray[np.float64],
    seconds: float,
) -> Flags:
    """`[G]` windows before the first one of their capture that ends after its first seconds.

    Args:
        capture: `[G]` windows of a capture lie together, in order.
        start_time, end_time: `[G]` seconds.
        seconds: length of the prefix.
    """
    found = np.zeros(len(capture), np.bool_)
    for number in np.unique(capture):
        rows = np.flatnonzero(capture == number)
        inside = end_time[rows] - start_time[rows[0]] <= seconds
        # a clock that goes backwards later does not bring the prefix back
        found[rows] = np.logical_and.accumulate(inside)
    return found


def prefix_thresholds(
    scores: Scores,
    capture: NDArray[np.integer],
    start_time: NDArray[np.float64],
    end_time: NDArray[np.float64],
    *,
    seconds: float,
    rate: float,
    otherwise: float,
) -> Prefix:
    """`prefix_threshold` of every capture; `otherwise` where its prefix says too little."""
    inside = prefix_rows(capture, start_time, end_time, seconds)
    threshold, refused = np.full(len(scores), otherwise), {}
    for number in np.unique(capture).tolist():
        rows = capture == number
        prefix = np.flatnonzero(rows & inside)
        start = float(start_time[rows][0])
        try:
            threshold[rows] = prefix_threshold(
                scores[prefix], end_time[prefix], start=start, seconds=seconds, rate=rate
            )
        except DataError as error:
            refused[number] = error.what
            inside[prefix] = False
    return Prefix(threshold=threshold, rows=inside, refused=refused)
