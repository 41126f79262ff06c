"""Learning curves of configurations: the median over the seeds, and a band that holds all seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from graphwright.report.bands import Band, band_chart
from graphwright.report.curves import title_of, x_axis_of
from graphwright.report.figures import WIDTH, Figure
from graphwright.report.grouping import Group
from graphwright.report.load import Series

__all__ = ["overlay_curves", "seed_band", "single_curves"]

MOST_LINES = 12  # with a colour and a label; more are drawn in grey
MOST_PANELS = 24
_SIZE = (WIDTH, 236)
_VERTICES, _FEW_VERTICES = 120, 30
_LOG_FROM = 10.0
_BAND = "median; band: lowest to highest seed"


def overlay_curves(groups: Sequence[Group], colours: dict[str, int]) -> tuple[Figure, ...]:
    """The same metric of every configuration in one figure: losses, main metric, rate, gradient.

    Args:
        groups: best first; of more than twelve the others stay in the background.
        colours: number of the colour of a group, by its letter.
    """
    return tuple(
        _overlay(f"overlay_{name}", stage_title(name), having, name, colours)
        for name in _names(groups)
        if (having := [group for group in groups if _series(group, name)])
        and not (name == "lr" and _all_equal(having, name))
    )


def single_curves(groups: Sequence[Group], colours: dict[str, int]) -> tuple[Figure, ...]:
    """A small figure a configuration, its validation of the main metric before that of others."""
    if len(groups) < 3:
        return ()
    names = [name for name in _names(groups) if name.startswith("val_")]
    name = names[-1] if names else ""
    having = [group for group in groups if name and _series(group, name)]
    return tuple(
        _overlay(
            f"panel_{name}_{group.letter}",
            f"{group.letter}  {group.label}",
            [group, *(one for one in having[:MOST_LINES] if one is not group)],
            name,
            colours,
            alone=True,
        )
        for group in having[:MOST_PANELS]
    )


def stage_title(name: str) -> str:
    """ "Validation MAE" for `val_mae`."""
    stage = {"val": "Validation ", "train": "Training "}.get(name.split("_")[0], "")
    base = title_of(name.split("_", 1)[1]) if stage else title_of(name)
    return f"{stage}{base[0].lower() + base[1:] if stage and base[1:2].islower() else base}"


def seed_band(series: Sequence[Series], xs: Sequence[Sequence[int]], most: int = _VERTICES) -> Band:
    """Median, lowest and highest of the seeds at each x that any of them has.

    Values that are not finite count for nothing. Long curves are thinned to `most` points; a band
    needs two seeds.
    """
    by_x: dict[int, list[float]] = {}
    for one, places in zip(series, xs, strict=True):
        for x, value in dict(zip(places, one.values, strict=True)).items():
            if math.isfinite(value):
                by_x.setdefault(x, []).append(value)
    chosen = _thinned(sorted(by_x), most)
    several = len(series) > 1
    return Band(
        label="",
        xs=tuple(chosen),
        middle=tuple(statistics.median(by_x[x]) for x in chosen),
        low=tuple(min(by_x[x]) for x in chosen) if several else (),
        high=tuple(max(by_x[x]) for x in chosen) if several else (),
    )


def _names(groups: Sequence[Group]) -> list[str]:
    reports = [report for group in groups for report in group.reports]
    primaries = [f"val_{name}" for r in reports if (name := r.metrics.get("primary"))]
    return list(dict.fromkeys(["val_loss", *primaries, "train_loss", "lr", "grad_norm"]))


def _series(group: Group, name: str) -> list[Series]:
    return [r.series[name] for r in group.reports if name in r.series]


def _all_equal(groups: Sequence[Group], name: str) -> bool:
    return len({one.values for group in groups for one in _series(group, name)}) == 1


def _overlay(
    name: str,
    title: str,
    groups: Sequence[Group],
    metric: str,
    colours: dict[str, int],
    alone: bool = False,
) -> Figure:
    series = [_series(group, metric) for group in groups]
    label, flat = x_axis_of([one for members in series for one in members])
    xs, bands = iter(flat), []
    for place, (group, members) in enumerate(zip(groups, series, strict=True)):
        told = place < (1 if alone else MOST_LINES)
        most = _VERTICES if told else _FEW_VERTICES
        band = seed_band(members, [next(xs) for _ in members], most)
        bands.append(_named(band, group.letter, colours[group.letter], told=told))
    # what has no label is drawn first
    bands.sort(key=lambda band: not band.label)
    values = [v for band in bands for v in band.middle]
    log = bool(values) and min(values) > 0 and max(values) > _LOG_FROM * min(values)
    words = _BAND if any(band.low for band in bands) else ""
    if len(bands) > MOST_LINES and not alone:
        words += f" · in grey: {len(bands) - MOST_LINES} more"
    return band_chart(
        name, title, bands, x_label=label, log=log, band_words=words.strip(" ·"), size=_SIZE
    )


def _named(band: Band, letter: str, number: int, *, told: bool) -> Band:
    low, high = (band.low, band.high) if told else ((), ())
    label = letter if told else ""
    return replace(band, label=label, key=letter, low=low, high=high, number=number)


def _thinned(xs: Sequence[int], most: int) -> list[int]:
    """Evenly, both ends kept."""
    if len(xs) <= most:
        return list(xs)
    return [xs[round(i * (len(xs) - 1) / (most - 1))] for i in range(most)]
