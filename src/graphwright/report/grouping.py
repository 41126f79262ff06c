"""Runs that differ in nothing but their seed are one group, with a mean and a spread."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphwright.config.io import flatten
from graphwright.report.load import RunReport
from graphwright.report.spread import Spread
from graphwright.report.text import format_value

__all__ = [
    "Group",
    "canonical",
    "data_settings",
    "differing_keys",
    "group_json",
    "group_runs",
    "run_json",
    "seed_values",
    "short_key",
    "telling_settings",
]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SAME_DATA = ("data.source", "data.split")


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


def group_runs(
    reports: Sequence[RunReport],
    primary: Mapping[str, bool],
    names: Mapping[Path, str] | None = None,
) -> tuple[Group, ...]:
    """Group runs and sort the groups by task, by data, then best first; without results go last.

    Args:
        reports: the runs, in any order.
        primary: name of each primary metric to whether higher is better.
        names: of runs by their folders, such as the variants of a sweep; they label a group where
            all its runs have one and no other group has the same.
    """
    by_key: dict[str, list[RunReport]] = {}
    for report in reports:
        by_key.setdefault(_group_key(report), []).append(report)
    members = list(by_key.values())
    settings = [_settings(flatten(group[0].config)) for group in members]
    labels = _labels(members, differing_keys(settings), names or {})
    return _sorted(members, settings, labels, primary)


def data_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What two configurations must share for their results to be compared: task, data, split."""
    return {k: v for k, v in settings.items() if k == "task" or k.startswith(SAME_DATA)}


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
    members: Sequence[Sequence[RunReport]],
    settings: Sequence[dict[str, Any]],
    labels: Sequence[str],
    primary: Mapping[str, bool],
) -> tuple[Group, ...]:
    spreads = [_spreads(group) for group in members]
    data = [canonical(data_settings(one)) for one in settings]

    def rank(i: int) -> tuple[str, int, bool, float]:
        where = members[i][0].task, data.index(data[i])
        name = next((name for name in primary if name in spreads[i]), "")
        spread = spreads[i].get(name)
        if spread is None or math.isnan(spread.mean):
            return *where, True, 0.0
        return *where, False, -spread.mean if primary[name] else spread.mean

    return tuple(
        Group(
            letter=_letter(place),
            label=labels[i],
            reports=tuple(sorted(members[i], key=lambda r: (str(r.seed).zfill(20), r.name))),
            settings=settings[i],
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


def _labels(
    members: Sequence[Sequence[RunReport]], differing: Sequence[str], names: Mapping[Path, str]
) -> list[str]:
    """Names of their own, or levels of their folders; then settings, then names of runs."""
    labels = _own_names(members, names) or _levels(members)
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


def _own_names(members: Sequence[Sequence[RunReport]], names: Mapping[Path, str]) -> list[str]:
    """Empty unless each group has one name, and not all the same."""
    own = [{names.get(report.path, "") for report in group} for group in members]
    if any(len(one) > 1 or "" in one for one in own) or len(set().union(*own)) < 2:
        return []
    return [min(one) for one in own]


def _levels(members: Sequence[Sequence[RunReport]]) -> list[str]:
    folders = [tuple(group[0].name.split("/")[:-1]) for group in members]
    places = _telling_levels(folders)
    return ["/".join(folder[k] for k in places if k < len(folder)) for folder in folders]


def _telling_levels(folders: Sequence[tuple[str, ...]]) -> list[int]:
    """As few places as tell the folders apart; all where they differ in depth or in nothing."""
    depth = max(map(len, folders), default=0)
    places = list(range(depth))
    if len({len(folder) for folder in folders}) > 1 or len(set(folders)) == 1:
        return places

    def kinds(chosen: Sequence[int]) -> int:
        return len({tuple(folder[k] for k in chosen) for folder in folders})

    # the last levels say least of the model: they are tried first
    for place in reversed(range(depth)):
        fewer = [k for k in places if k != place]
        if kinds(fewer) == len(set(folders)):
            places = fewer
    return places


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


def group_json(group: Group) -> dict[str, Any]:
    """JSON values, but for numbers that are not finite."""
    return {
        "letter": group.letter,
        "label": group.label,
        "runs": [str(report.path) for report in group.reports],
        "seeds": [report.seed for report in group.reports],
        "settings": group.settings,
        "metrics": {
            name: {"mean": spread.mean, "sd": spread.sd, "count": spread.count}
            for name, spread in group.metrics.items()
        },
    }


def run_json(report: RunReport) -> dict[str, Any]:
    """JSON values, but for numbers that are not finite."""
    return {
        "path": str(report.path),
        "name": report.name,
        "task": report.task,
        "state": report.state,
        "seed": report.seed,
        "duration_s": report.duration_s,
        "metrics": report.scalars,
    }
