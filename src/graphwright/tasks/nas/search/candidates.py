"""What a search asks for and what it is told. Plain records, kept as JSON in the journal."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphwright.tasks.nas.data_config import SentinelConfig
from graphwright.tasks.nas.labels import SentinelRule

__all__ = ["INITIAL", "Candidate", "Proposal", "Trial", "best_first", "without_sentinels"]

INITIAL = "initial"  # origin of those that were drawn before anything was known


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """An architecture that a strategy wants to have trained.

    Attributes:
        text: the architecture.
        key: equal for architectures that are the same function.
        origin: why: initial, random, mutated, explored or predicted.
        mean, sd: what a predictor said of it before, in the metric's unit; None without one.
    """

    text: str
    key: str
    origin: str
    mean: float | None = None
    sd: float | None = None


@dataclass(frozen=True, kw_only=True)
class Candidate(Proposal):
    """A proposal that was asked for.

    Attributes:
        number: place in the order of asking, from 0.
        round: of the ask, from 0.
    """

    number: int
    round: int

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Candidate:
        """From `to_json` (KeyError or TypeError if it is none)."""
        return cls(**{field.name: data[field.name] for field in dataclasses.fields(cls)})


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A candidate that was trained, or could not be.

    Attributes:
        candidate: what was asked for.
        value: in the metric's unit; None for a failed training.
        reason: why it failed; empty if it did not.
        seconds: the training took; NaN where that is not known.
    """

    candidate: Candidate
    value: float | None
    reason: str = ""
    seconds: float = math.nan

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "reason", self.reason or f"its value is {self.value}")
            object.__setattr__(self, "value", None)


def without_sentinels(trials: Sequence[Trial], factor: float) -> list[Trial]:
    """The trials, with values that only mark a failure (1e9…) turned into failures.

    The rule (`labels.SentinelRule`) is fitted on the trials that were drawn at random: those of a
    later batch resemble each other, and an ordinary value would look far from them.
    """
    first = [t.value for t in trials if t.candidate.origin == INITIAL and t.value is not None]
    rule = SentinelRule.fit(np.array(first, np.float64), SentinelConfig(factor=factor))
    values = np.array([np.nan if t.value is None else t.value for t in trials], np.float64)
    failed = rule.failures(values).tolist()
    return [
        dataclasses.replace(trial, value=None, reason=f"{trial.value:g} is no value but a mark")
        if bad and trial.value is not None
        else trial
        for trial, bad in zip(trials, failed, strict=True)
    ]


def best_first(trials: Sequence[Trial], *, higher_is_better: bool) -> list[Trial]:
    """Trials that have a value, the best first; equal ones in the order of asking."""
    sign = -1.0 if higher_is_better else 1.0
    valued = [(sign * trial.value, trial) for trial in trials if trial.value is not None]
    return [trial for _, trial in sorted(valued, key=lambda pair: pair[0])]
