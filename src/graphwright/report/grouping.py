"""Runs that differ in nothing but their seed are one group, with a mean and a spread."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphwright.config.io import flatten
from graphwright.report.load import RunReport
from graphwright.report.text import format_number, format_value

__all__ = [
    "Group",
    "Spread",
    "canonical",
    "differing_keys",
    "group_runs",
    "seed_values",
    "short_key",
    "telling_settings",
]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1; None for one value) over the seeds of a group."""

    mean: float
    sd: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of one value or more, one a seed; NaN if any is not finite."""
        if len(values) == 1:
            return cls(values[0], None, 1)
        if not all(map(math.isfinite, values)):
            return cls(math.nan, None, len(values))
        return cls(statistics.fmean(values), statistics.stdev(values), len(values))

    def __str__(self) -> str:
        if self.sd is None or not math.isfinite(self.sd) or not math.isfinite(self.mean):
            return format_number(self.mean)
        if self.sd == 0:
            return f"{format_number(self.mean)} ± 0"
        # the standard deviation says how many decimals of the mean mean anything
        decimals = 1 - int(f"{self.sd:.1e}".split("e")[1])
        if not 0 <= decimals <= 8:
            return f"{format_number(self.mean)} ± {format_number(self.sd, 2)}"
        return f"{self.mean:,.{decimals}f} ± {self.sd:,.{decimals}f}"


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs whose configurations differ in nothing but the seed (and the trackers)."""

    letter: str
    label: str
    reports: tuple[RunReport, ...]
    settings: dict[str, Any]
    metrics: dict[str, Spread]

    @property
    def seeds(self) -> str:
        """The seeds, "0, 1, 2"."""
        return format_value([report.seed for report in self.reports])

    @property
    def state(self) -> str:
        """ "finished", or how many are what: "2 finished, 1 failed"."""
        states = [report.state for report in self.reports]
        counts = {state: states.count(state) for state in dict.fromkeys(states)}
        if len(counts) == 1:
            return states[0]
        return ", ".join(f"{count} {state}" for state, count in counts.items())

    @property
    def duration_s(self) -> float | None:
        """Mean duration of the finished runs, None if there is none."""
        times = [r.duration_s for r in self.reports if r.state == "finished" and r.duration_s]
        return statistics.fmean(times) if times else None


def group_runs(reports: Sequence[RunReport], primary: Mapping[str, bool]) -> tuple[Group, ...]:
    """Group runs and sort the groups by task, then best first; those without results go last.

    Args:
        reports: the runs, in any order.
        primary: name of each primary metric to whether higher is better.
    """
    by_key: dict[str, list[RunReport]] = {}
    for report in reports:
        by_key.setdefault(_group_key(report), []).append(report)
    members = list(by_key.values())
    settings = [_settings(flatten(group[0].config)) for group in members]
    return _sorted(members, differing_keys(settings), primary)


def differing_keys(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Dotted keys that have not the same value everywhere."""
    keys = dict.fromkeys(key for one in settings for key in one)
    return [key for key in keys if len({canonical(one.get(key)) for one in settings}) > 1]


def short_key(key: str, keys: Sequence[str]) -> str:
    """The shortest ending of a dotted key that no other key has."""
    parts = key.split(".")
    for count in range(1, len(parts)):
        ending = ".".join(parts[-count:])
        if sum(other == ending or other.endswith(f".{ending}") for other in keys) == 1:
            return ending
    return key


def _settings(flat: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in flat.items() if k != "seed" and not k.startswith("tracking.")}


def canonical(value: Any) -> str:
    """A text that is the same for equal values."""
    return json.dumps(value, sort_keys=True, default=str)


def _group_key(report: RunReport) -> str:
    # nothing is known of a run without a readable configuration: it stands alone
    return canonical(_settings(flatten(report.config))) if report.config else str(report.path)


def _sorted(
    members: Sequence[Sequence[RunReport]], differing: Sequence[str], primary: Mapping[str, bool]
) -> tuple[Group, ...]:
    labels = _labels(members, differing)
    spreads = [_spreads(group) for group in members]

    def rank(i: int) -> tuple[str, bool, float]:
        task = members[i][0].task
        name = next((name for name in primary if name in spreads[i]), "")
        spread = spreads[i].get(name)
        if spread is None or math.isnan(spread.mean):
            return task, True, 0.0
        return task, False, -spread.mean if primary[name] else spread.mean

    return tuple(
        Group(
            letter=_letter(place),
            label=labels[i],
            reports=tuple(sorted(members[i], key=lambda r: (str(r.seed).zfill(20), r.name))),
            settings=_settings(flatten(members[i][0].config)),
            metrics=spreads[i],
        )
        for place, i in enumerate(sorted(range(len(members)), key=rank))
    )


def _letter(place: int) -> str:
    return LETTERS[place % 26] + (str(place // 26) if place >= 26 else "")


def _spreads(reports: Sequence[RunReport]) -> dict[str, Spread]:
    names = dict.fromkeys(name for report in reports for name in report.scalars)
    return {name: Spread.of(list(seed_values(name, reports).values())) for name in names}


def seed_values(name: str, reports: Sequence[RunReport]) -> dict[str, float]:
    """A final metric by seed. A seed trained twice says nothing more of the spread over seeds: its
    latest run counts."""
    return {
        str(report.seed): report.scalars[name]
        for report in sorted(reports, key=lambda report: report.name)
        if name in report.scalars
    }


def _labels(members: Sequence[Sequence[RunReport]], differing: Sequence[str]) -> list[str]:
    """What tells the groups apart: levels of their folders, then settings, then names of runs."""
    folders = [tuple(group[0].name.split("/")[:-1]) for group in members]
    places = _telling_levels(folders)
    labels = ["/".join(folder[k] for k in places if k < len(folder)) for folder in folders]
    settings = [flatten(group[0].config) for group in members]
    for label in [label for label, count in Counter(labels).items() if count > 1]:
        same = [i for i, other in enumerate(labels) if other == label]
        told = telling_settings([settings[i] for i in same], differing)
        for i, words in zip(same, told, strict=True):
            # levels that all groups share were left out: the settings alone say it then
            labels[i] = ", ".join([*([label] if len(same) < len(labels) else []), *words])
    twice = Counter(labels)
    return [
        group[0].name if twice[label] > 1 or not label else label
        for label, group in zip(labels, members, strict=True)
    ]


def _telling_levels(folders: Sequence[tuple[str, ...]]) -> list[int]:
    """Places at which folders differ; all of them where they differ in depth or in nothing."""
    depth = max(map(len, folders), default=0)
    if len({len(folder) for folder in folders}) > 1 or len(set(folders)) == 1:
        return list(range(depth))
    return [k for k in range(depth) if len({folder[k] for folder in folders}) > 1]


def telling_settings(
    settings: Sequence[Mapping[str, Any]], differing: Sequence[str]
) -> list[list[str]]:
    """As few settings as tell these apart, `key=value`; the first that does, then the next."""
    told: list[str] = []
    kinds = 1
    for key in differing:
        tried = [*told, key]
        count = len({canonical([one.get(k) for k in tried]) for one in settings})
        if count > kinds:
            told, kinds = tried, count
    return [
        [f"{short_key(key, differing)}={format_value(one.get(key))}" for key in told]
        for one in settings
    ]
