"""Which of a run's metrics are drawn together, in what order, under what name."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from graphwright.report.figures import Figure
from graphwright.report.lines import Line, line_chart
from graphwright.report.load import RunReport, Series
from graphwright.report.text import format_number

__all__ = ["Curves", "family_curves", "learning_curves", "title_of", "x_axis_of"]

MAIN_FIGURES = 6
_TITLES = {
    "device_mem_mb": "Device memory (MB)",
    "epoch_s": "Seconds per epoch",
    "grad_norm": "Gradient norm",
    "loss": "Loss",
    "lr": "Learning rate",
    "nodes_per_s": "Nodes per second",
    "rss_mb": "Host memory (MB)",
    "samples_per_s": "Samples per second",
}
_ACRONYMS = {
    "ap",
    "mcc",
    "nll",
    "mae",
    "mse",
    "rmse",
    "auc",
    "auroc",
    "auprc",
    "f1",
    "r2",
    "fpr",
    "tpr",
    "ece",
}
_STAGE = re.compile(r"(train|val)_")
_STAGED = re.compile(r"(train|val)_(.+?)(_step)?")


@dataclass(frozen=True, kw_only=True)
class Curves:
    """The figures that matter first, and the rest."""

    main: tuple[Figure, ...]
    more: tuple[Figure, ...]


def title_of(name: str) -> str:
    """The words for a metric's name.

    >>> title_of("grad_norm"), title_of("mae_x")
    ('Gradient norm', 'MAE x')
    """
    if name in _TITLES:
        return _TITLES[name]
    if name.endswith("_deg"):
        return f"{title_of(name.removesuffix('_deg'))} (°)"
    words = [word.upper() if word in _ACRONYMS else word for word in name.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def learning_curves(report: RunReport) -> Curves:
    """Loss and primary metric first, then the other metrics, learning rate and gradient norm."""
    paired, single = _sort_names(report)
    primary = str(report.metrics.get("primary") or "")
    first = [base for base in ("loss", primary) if base in paired]
    plain = [base for base in paired if base not in first and not re.search(r"_[xyz]$", base)]
    components = [base for base in paired if base not in first and base not in plain]
    loop = [name for name in ("lr", "grad_norm") if name in single]
    room = max(0, MAIN_FIGURES - len(dict.fromkeys(first)) - len(loop))
    main = [*dict.fromkeys(first), *plain[:room], *loop]
    more = [*plain[room:], *components, *(name for name in single if name not in loop)]
    return Curves(
        main=tuple(_figure(report, name) for name in main),
        more=tuple(_figure(report, name) for name in more),
    )


def family_curves(report: RunReport) -> tuple[Figure, ...]:
    """Metrics with a slash in their names are many of one kind: one small figure for all whose
    names agree up to the last slash (`weight/layer0/a`, `weight/layer0/b`)."""
    families: dict[str, list[Series]] = {}
    for name, series in report.series.items():
        if "/" in name and len(series.values) > 1:
            families.setdefault(name.rsplit("/", 1)[0], []).append(series)
    figures = []
    for family, members in families.items():
        label, chosen = x_axis_of(members)
        lines = [
            Line(label=one.name.rsplit("/", 1)[1], xs=xs, ys=one.values, colour=i)
            for i, (one, xs) in enumerate(zip(members, chosen, strict=True))
        ]
        words = title_of(_STAGE.sub("", family).replace("/", "_"))
        figures.append(line_chart(family, words, lines, x_label=label))
    return tuple(figures)


def _sort_names(report: RunReport) -> tuple[list[str], list[str]]:
    """Metrics of the stages by their base name, and the others (per-step ones among them)."""
    paired: dict[str, None] = {}
    single: list[str] = []
    for name, series in report.series.items():
        if "/" in name:  # see `family_curves`
            continue
        found = _STAGED.fullmatch(name)
        if found and not found[3]:
            paired[found[2]] = None
        elif len(series.values) > 1 and any(series.values):
            single.append(name)
    return list(paired), single


def _figure(report: RunReport, name: str) -> Figure:
    if name in report.series:
        series = report.series[name]
        label, (xs,) = x_axis_of([series])
        found = _STAGED.fullmatch(name)
        step = found and found[3]
        title = (
            f"Training {title_of(found[2]).lower()} per step" if found and step else title_of(name)
        )
        line = Line(label=title, xs=xs, ys=series.values, end_label="")
        return line_chart(name, title, [line], x_label=label)
    stages = [s for s in ("train", "val") if f"{s}_{name}" in report.series]
    series_of = [report.series[f"{stage}_{name}"] for stage in stages]
    label, chosen = x_axis_of(series_of)
    best = _best(report, name)
    lines = [
        Line(
            label=stage,
            xs=xs,
            ys=series.values,
            colour=int(stage == "val"),
            dashed=stage == "train",
            mark=best if stage == "val" else None,
        )
        for stage, series, xs in zip(stages, series_of, chosen, strict=True)
    ]
    detail = ""
    if best is not None:
        val = report.series[f"val_{name}"]
        at = val.epochs[best] if label == "epoch" else val.steps[best]
        detail = f"best {format_number(val.values[best], 3)} at {label} {at:,}"
    return line_chart(name, title_of(name), lines, x_label=label, detail=detail)


def _best(report: RunReport, name: str) -> int | None:
    """Index of the best validation value, where it is known which way is better."""
    higher = bool(report.metrics.get("higher_is_better"))
    if name not in ("loss", report.metrics.get("primary")) or f"val_{name}" not in report.series:
        return None
    values = report.series[f"val_{name}"].values
    finite = [i for i, value in enumerate(values) if math.isfinite(value)]
    if not finite:
        return None
    better = max if higher and name != "loss" else min
    return better(finite, key=values.__getitem__)


def x_axis_of(series: Sequence[Series]) -> tuple[str, list[tuple[int, ...]]]:
    """Epochs where each epoch has one value, steps otherwise."""
    once = all(len(set(one.epochs)) == len(one.epochs) for one in series)
    if once and max((len(one.epochs) for one in series), default=0) > 1:
        return "epoch", [one.epochs for one in series]
    return "step", [one.steps for one in series]
