"""From columns of numbers to what is learnt: failed trainings are masked, the rest is scaled.

N = architectures, T = metrics. Everything is fitted on training labels and kept as JSON.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import BundleError, DataError
from graphwright.tasks.nas.data_config import LabelsConfig, SentinelConfig
from graphwright.tasks.nas.label_transform import LabelTransform

__all__ = ["LabelTransform", "Labels", "SentinelRule", "find_failures"]

Float = NDArray[np.float64]


@dataclass(frozen=True)
class SentinelRule:
    """Labels outside of `low` to `high`, or not finite, are marks of failed trainings.

    Attributes:
        low, high: bounds in the metric's own unit; infinite where the rule is off.
    """

    low: float = -math.inf
    high: float = math.inf

    @classmethod
    def fit(cls, values_N: Float, config: SentinelConfig) -> SentinelRule:
        """q_low − f · (q_high − q_low) to q_high + f · (q_high − q_low) of the finite labels.

        The rule is off where `config.factor` is 0, and where the quantiles are equal: then most
        labels are the same number, and no other one is far from it by any measure of theirs.
        """
        finite = values_N[np.isfinite(values_N)]
        if not config.factor or not len(finite):
            return cls()
        low, high = np.quantile(finite, [config.low, config.high])
        reach = config.factor * (high - low)
        return cls(float(low - reach), float(high + reach)) if reach > 0 else cls()

    def failures(self, values_N: Float) -> NDArray[np.bool_]:
        """Which labels are none."""
        # NaN is neither below nor above
        inside: NDArray[np.bool_] = (values_N >= self.low) & (values_N <= self.high)
        return ~(inside & np.isfinite(values_N))

    def describe(self, values_N: Float, metric: str) -> str:
        """What the rule finds, in one line."""
        odd = int((~np.isfinite(values_N)).sum())
        with np.errstate(invalid="ignore"):
            above, below = int((values_N > self.high).sum()), int((values_N < self.low).sum())
        above -= int(np.isposinf(values_N).sum()) if self.high < math.inf else 0
        below -= int(np.isneginf(values_N).sum()) if self.low > -math.inf else 0
        parts = [(odd, "not finite"), (above, f"above {self.high:.4g}")]
        parts.append((below, f"below {self.low:.4g}"))
        found = ", ".join(f"{count} {why}" for count, why in parts if count)
        total = odd + above + below
        return f"{metric}: {total} of {len(values_N)} labels are failures" + (
            f": {found}" if found else ""
        )

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; an absent bound is null."""
        return {
            "low": self.low if math.isfinite(self.low) else None,
            "high": self.high if math.isfinite(self.high) else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SentinelRule:
        """From `to_json` (BundleError if it is none)."""
        try:
            low, high = data["low"], data["high"]
            return cls(
                -math.inf if low is None else float(low), math.inf if high is None else float(high)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"a sentinel rule without its bounds: {error!r}") from error


def find_failures(
    values_N: Float, config: SentinelConfig, *, metric: str = "label"
) -> tuple[NDArray[np.bool_], str]:
    """Which labels are marks of failed trainings, by a rule fitted on themselves, and in words."""
    rule = SentinelRule.fit(values_N, config)
    return rule.failures(values_N), rule.describe(values_N, metric)


@dataclass(frozen=True)
class Labels:
    """The rules and transforms of all metrics together.

    Attributes:
        metrics: their names; the first is the primary one.
        rules: which labels are none.
        transforms: from units to the learnt scale.
        descriptions: what the rules found among the training labels.
    """

    metrics: tuple[str, ...]
    rules: tuple[SentinelRule, ...]
    transforms: tuple[LabelTransform, ...]
    descriptions: tuple[str, ...] = ()

    @classmethod
    def fit(cls, values_NT: Float, metrics: Sequence[str], config: LabelsConfig) -> Labels:
        """From training labels in their units; failures among them are not finite, or sentinels.

        Raises:
            DataError: a metric has no valid training label.
        """
        rules, transforms, words = [], [], []
        for values_N, metric in zip(values_NT.T, metrics, strict=True):
            rule = SentinelRule.fit(values_N, config.sentinel)
            valid = values_N[~rule.failures(values_N)]
            words.append(rule.describe(values_N, metric))
            if not len(valid):
                raise DataError(
                    f"the metric {metric!r} has no valid training label",
                    where=words[-1],
                    fix="train on more rows, or mend data.labels.sentinel",
                )
            rules.append(rule)
            transforms.append(LabelTransform.fit(valid, config.transform))
        return cls(tuple(metrics), tuple(rules), tuple(transforms), tuple(words))

    def valid(self, values_NT: Float) -> NDArray[np.bool_]:
        """Which labels are numbers to learn `[N, T]`."""
        pairs = zip(self.rules, values_NT.T, strict=True)
        return np.stack([~rule.failures(values_N) for rule, values_N in pairs], axis=1)

    def transform(self, values_NT: Float) -> tuple[Float, NDArray[np.bool_]]:
        """Labels on the learnt scale, 0 where there is none, and where there is one."""
        valid_NT = self.valid(values_NT)
        known_NT = np.where(valid_NT, values_NT, 0.0)
        pairs = zip(self.transforms, known_NT.T, strict=True)
        scores_NT = np.stack([transform.transform(v) for transform, v in pairs], axis=1)
        return np.where(valid_NT, scores_NT, 0.0), valid_NT

    def inverse(self, scores_NT: Float) -> Float:
        """Predictions on the learnt scale in the metrics' units."""
        pairs = zip(self.transforms, scores_NT.T, strict=True)
        return np.stack([transform.inverse(v) for transform, v in pairs], axis=1)

    def describe(self, values_NT: Float) -> list[str]:
        """What the rules find among any labels: one line a metric."""
        rows = zip(self.rules, values_NT.T, self.metrics, strict=True)
        return [rule.describe(values_N, metric) for rule, values_N, metric in rows]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "metrics": list(self.metrics),
            "rules": [rule.to_json() for rule in self.rules],
            "transforms": [transform.to_json() for transform in self.transforms],
            "descriptions": list(self.descriptions),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Labels:
        """From `to_json` (BundleError if it is none)."""
        try:
            return cls(
                tuple(data["metrics"]),
                tuple(SentinelRule.from_json(rule) for rule in data["rules"]),
                tuple(LabelTransform.from_json(found) for found in data["transforms"]),
                tuple(data["descriptions"]),
            )
        except (KeyError, TypeError) as error:
            raise BundleError(f"labels without their rules: {error!r}") from error
