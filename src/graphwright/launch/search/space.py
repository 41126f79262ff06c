"""What a search varies, in the words of a command line.

    key=interval(1e-4,1e-1)    any number between; whole numbers where the key holds one
    key=log(1e-4,1e-1)         the same, but even on a logarithmic scale
    key=range(1,9,2)           1, 3, 5, 7: ordered
    key=choice(gcn,egnn)       one of them, without an order; key=gcn,egnn is the same
    key=3                      fixed

Hydra's own `tag(log,interval(1e-4,1e-1))` is understood, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphwright.config.compose import expand_sweeps
from graphwright.config.io import flatten, to_dict
from graphwright.config.schema import TaskConfig
from graphwright.errors import ConfigError
from graphwright.launch.sweep.plan import configure

__all__ = ["Choice", "Dimension", "Numbers", "Space", "read_space"]

_CALL = re.compile(r"(?P<key>[^=]+)=\s*(?P<name>interval|log|range)\((?P<ends>[^()]*)\)\s*")
_TAGGED = re.compile(r"([^=]+)=\s*tag\(\s*log\s*,\s*interval\(([^()]*)\)\s*\)\s*")


@dataclass(frozen=True)
class Choice:
    """One of several values without an order, each as it is written on a command line."""

    key: str
    options: tuple[str, ...]

    @property
    def ends(self) -> tuple[str, ...]:
        """All of them."""
        return self.options

    def text(self) -> str:
        """As it is written."""
        return f"{self.key}=choice({','.join(self.options)})"


@dataclass(frozen=True)
class Numbers:
    """From `low` to `high`, both included; `step` 0 is continuous."""

    key: str
    low: float
    high: float
    whole: bool
    log: bool = False
    step: float = 0.0

    @property
    def ends(self) -> tuple[str, ...]:
        """The least and the greatest."""
        return self.written(self.low), self.written(self.high)

    def written(self, value: float) -> str:
        """A value for a command line; it reads back as the same number."""
        return str(int(value)) if self.whole else repr(float(value))

    def text(self) -> str:
        """As it is written."""
        name = "log" if self.log else "range" if self.step else "interval"
        ends = self.ends
        if self.step:  # a range ends before its stop
            ends = (ends[0], self.written(self.high + self.step), self.written(self.step))
        return f"{self.key}={name}({','.join(ends)})"


Dimension = Choice | Numbers


@dataclass(frozen=True)
class Space:
    """Fixed overrides, and what varies."""

    preset: str
    fixed: tuple[str, ...]
    dimensions: tuple[Dimension, ...]

    def overrides(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """The overrides of one proposal: a value for every key."""
        return (*self.fixed, *(_override(dim, values[dim.key]) for dim in self.dimensions))

    def config(self, overrides: Sequence[str]) -> TaskConfig:
        """The configuration of one proposal.

        Raises:
            ConfigError: these values make no sense together.
        """
        return configure(self.preset, overrides)


def read_space(preset: str, overrides: Sequence[str]) -> Space:
    """The space that overrides of a preset span, tried out at its ends.

    Raises:
        ConfigError: nothing varies, a key is unknown, an end is refused by the configuration, or
            an interval is empty.
    """
    swept = [text for text in overrides if _varies(text)]
    fixed = tuple(expand_sweeps([text])[0][0] for text in overrides if text not in swept)
    if not swept:
        raise ConfigError(
            "nothing to search: every setting has one value",
            where="command line",
            fix="write training.optimizer.lr='log(1e-4,1e-1)' or model.hidden_dim=16,32,64",
        )
    firsts = [_first(text) for text in swept]
    base = flatten(to_dict(configure(preset, [*fixed, *firsts])))
    space = Space(preset, fixed, tuple(_dimension(text, base) for text in swept))
    if len({dim.key for dim in space.dimensions}) < len(swept):
        raise ConfigError("a setting is varied twice", where=" ".join(swept), fix="leave one out")
    for values in _tried(space):
        space.config(space.overrides(values))
    return space


def _varies(text: str) -> bool:
    return bool(_matched(text)) or len(expand_sweeps([text])) > 1


def _matched(text: str) -> tuple[str, str, str] | None:
    """Key, kind and ends of a text such as lr=log(1e-4,1e-1)."""
    if tagged := _TAGGED.fullmatch(text):
        return tagged[1], "log", tagged[2]
    call = _CALL.fullmatch(text)
    return (call["key"], call["name"], call["ends"]) if call else None


def _first(text: str) -> str:
    """An override with the first value that a text names."""
    if (found := _matched(text)) is None or found[1] == "range":
        return expand_sweeps([text])[0][0]
    key, kind, ends = found
    _two_numbers(text, kind, ends)
    return f"{key}={ends.split(',')[0].strip()}"


def _dimension(text: str, base: Mapping[str, Any]) -> Dimension:
    found = _matched(text)
    if found is None:
        values = [one[0].partition("=") for one in expand_sweeps([text])]
        return Choice(values[0][0], tuple(value for _, _, value in values))
    key, kind, ends = found
    if kind == "range":
        return _range(text, key)
    low, high = _two_numbers(text, kind, ends)
    # the key's own type decides, and what is written where it has none yet
    held = base.get(key)
    whole = type(held) is int or (held is None and not any(c in ends.lower() for c in ".e"))
    return Numbers(key, low, high, whole, log=kind == "log")


def _range(text: str, key: str) -> Numbers:
    values = [float(one[0].partition("=")[2]) for one in expand_sweeps([text])]
    if len(values) < 2:
        raise ConfigError(f"{text}: fewer than two values", where="command line")
    low, high = min(values), max(values)
    whole = all(value.is_integer() for value in values)
    return Numbers(key, low, high, whole, step=abs(values[1] - values[0]))


def _two_numbers(text: str, kind: str, ends: str) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in ends.split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ConfigError(
            f"{text}: two numbers are needed",
            where="command line",
            fix="write key=interval(low,high) or key=log(low,high)",
        )
    if not low < high:
        raise ConfigError(f"{text}: there is nothing between", where="command line")
    if kind == "log" and low <= 0:
        raise ConfigError(
            f"{text}: a logarithm needs numbers above 0", where="command line", fix="use interval"
        )
    return low, high


def _tried(space: Space) -> Iterator[dict[str, str]]:
    """Every end of every dimension once, with the first ends of the others."""
    first = {dim.key: dim.ends[0] for dim in space.dimensions}
    yield first
    for dim in space.dimensions:
        yield from ({**first, dim.key: end} for end in dim.ends[1:])


def _override(dimension: Dimension, value: Any) -> str:
    if isinstance(dimension, Choice) or isinstance(value, str):
        return f"{dimension.key}={value}"
    return f"{dimension.key}={dimension.written(value)}"
