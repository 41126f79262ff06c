"""Many runs side by side: what differs in their configurations, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphwright.errors import RunError, nearest
from graphwright.report.costs import cost_table
from graphwright.report.grouping import Group, differing_keys, group_runs
from graphwright.report.load import RunReport, load_report
from graphwright.report.paired import Paired, paired_differences
from graphwright.report.pivot import Pivot, pivot_tables
from graphwright.report.text import (
    MISSING,
    format_duration,
    format_value,
    json_safe,
    markdown_table,
    plain_table,
)

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Groups best first (by the primary metric), and the settings in which they differ.

    Attributes:
        differences: dotted key to its value in each group, None where it has no such key.
        metrics: names of all final metrics, the primary ones first, single components last.
        primary: name to whether higher is better.
        pivots: models against a number in which they differ, one table a data set.
        paired: differences seed by seed, where there are no pivots to read.
    """

    groups: tuple[Group, ...]
    differences: dict[str, tuple[Any, ...]]
    metrics: tuple[str, ...]
    main: tuple[str, ...]
    primary: dict[str, bool]
    pivots: tuple[Pivot, ...] = ()
    paired: tuple[Paired, ...] = ()

    @property
    def costs(self) -> tuple[list[str], list[list[str]]]:
        """See `cost_table`."""
        return cost_table(self.groups)

    @property
    def reports(self) -> tuple[RunReport, ...]:
        """All runs in the order of their groups."""
        return tuple(report for group in self.groups for report in group.reports)

    @property
    def has_spread(self) -> bool:
        """Whether any group has more than one seed with results."""
        return any(spread.sd is not None for g in self.groups for spread in g.metrics.values())

    def columns(self, metrics: Sequence[str] | None = None) -> list[str]:
        """Headings of `rows`."""
        shown = self.main if metrics is None else metrics
        return ["", "configuration", *shown, "seed", "state", "time"]

    def rows(self, metrics: Sequence[str] | None = None) -> list[list[str]]:
        """One row of text a group, with these metrics (None: the main ones); an absent metric is a
        dash."""
        shown = self.main if metrics is None else metrics
        return [
            [
                group.letter,
                group.label,
                *(str(group.metrics.get(n, MISSING)) for n in shown),
                group.seeds,
                group.state,
                MISSING if group.duration_s is None else format_duration(group.duration_s),
            ]
            for group in self.groups
        ]

    def difference_rows(self) -> list[list[str]]:
        """One row a differing key: the key, then its value in each group."""
        return [
            [key, *(format_value(value) for value in values)]
            for key, values in self.differences.items()
        ]

    def chosen(self, words: str) -> tuple[str, ...]:
        """Metrics by their names, with commas between them; `all`, or nothing for the main ones.

        Raises:
            RunError: no run has such a metric.
        """
        if words == "all":
            return self.metrics
        names = tuple(name.strip() for name in words.split(",") if name.strip()) or self.main
        for name in names:
            if name not in self.metrics:
                raise RunError(
                    f"{name}: no run has such a metric{nearest(name, self.metrics)}",
                    fix="--metrics all shows every one",
                )
        return names

    def to_text(self, metrics: Sequence[str] | None = None) -> str:
        """For a terminal, with these metrics (None: the main ones)."""
        return self._render(plain_table, "{}", metrics)

    def to_markdown(self, metrics: Sequence[str] | None = None) -> str:
        """For an issue or a notebook, with these metrics (None: the main ones)."""
        return self._render(markdown_table, "## {}", metrics)

    def to_json(self) -> dict[str, Any]:
        """JSON values: `groups`, `runs`, `differences`, `primary`, `pivots`, `paired`.

        Numbers that are not finite are text.
        """
        groups = [
            {
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
            for group in self.groups
        ]
        runs = [
            {
                "path": str(report.path),
                "name": report.name,
                "task": report.task,
                "state": report.state,
                "seed": report.seed,
                "duration_s": report.duration_s,
                "metrics": report.scalars,
            }
            for report in self.reports
        ]
        tree = {"groups": groups, "runs": runs, "differences": self.differences}
        pivots = [pivot.to_json() for pivot in self.pivots]
        paired = [one.to_json() for one in self.paired]
        tree |= {"primary": self.primary, "pivots": pivots, "paired": paired}
        safe: dict[str, Any] = json_safe(tree)
        return safe

    def _render(self, table: Any, heading: str, metrics: Sequence[str] | None) -> str:
        parts = [heading.format("Results"), table(self.columns(metrics), self.rows(metrics))]
        if self.has_spread:
            parts.append("mean ± sample standard deviation over seeds")
        if hidden := len(set(self.metrics) - set(self.main if metrics is None else metrics)):
            parts.append(f"{hidden} more metrics: --metrics all, or their names")
        for pivot in self.pivots:
            parts += [heading.format(pivot.title), table(pivot.columns(), pivot.text_rows())]
            parts.append(pivot.note)
        for paired in self.paired:
            parts += [heading.format(paired.title), table(paired.columns(), paired.rows())]
            parts += [paired.note, "\n".join(paired.statements())]
        if len(self.groups) > 1:
            parts += [heading.format("Cost"), table(*self.costs)]
        if self.differences:
            columns = ["setting", *(group.letter for group in self.groups)]
            parts.append(heading.format("Configuration differences"))
            parts.append(table(columns, self.difference_rows()))
        elif len(self.groups) == 1 and len(self.reports) > 1:
            parts.append("The configurations differ in nothing but the seed.")
        return "\n\n".join(parts) + "\n"


def compare(runs: Sequence[Path | str | RunReport]) -> Comparison:
    """Compare run folders (or reports already loaded).

    Runs that differ only in `seed`, or in how they are tracked, are one group.

    Raises:
        RunError: no run given, or a path is not a run folder.
    """
    if not runs:
        raise RunError("there is nothing to compare", fix="name at least one run folder")
    reports = [run if isinstance(run, RunReport) else load_report(run) for run in runs]
    primary = {
        str(r.metrics["primary"]): bool(r.metrics.get("higher_is_better"))
        for r in reports
        if r.metrics.get("primary")
    }
    groups = group_runs(reports, primary)
    names = dict.fromkeys(name for group in groups for name in group.metrics)
    metrics = tuple(dict.fromkeys([*primary, *sorted(names, key=_is_component)]))
    main = dict.fromkeys([*primary, *(name for report in reports for name in report.main)])
    differing = differing_keys([group.settings for group in groups])
    pivots = pivot_tables(groups, primary)
    return Comparison(
        groups=groups,
        differences={key: tuple(group.settings.get(key) for group in groups) for key in differing},
        metrics=metrics,
        main=tuple(name for name in main if name in metrics),
        primary=primary,
        pivots=pivots,
        paired=() if pivots else paired_differences(groups, primary),
    )


def _is_component(name: str) -> bool:
    return name.endswith(("_x", "_y", "_z"))
