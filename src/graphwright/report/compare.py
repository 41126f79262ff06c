"""Many runs side by side: what differs in their configurations, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphwright.errors import RunError
from graphwright.report.grouping import Group, differing_keys, group_runs
from graphwright.report.load import RunReport, load_report
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
    """

    groups: tuple[Group, ...]
    differences: dict[str, tuple[Any, ...]]
    metrics: tuple[str, ...]
    primary: dict[str, bool]
    pivots: tuple[Pivot, ...] = ()

    @property
    def reports(self) -> tuple[RunReport, ...]:
        """All runs in the order of their groups."""
        return tuple(report for group in self.groups for report in group.reports)

    @property
    def has_spread(self) -> bool:
        """Whether any group has more than one seed with results."""
        return any(spread.sd is not None for g in self.groups for spread in g.metrics.values())

    def columns(self, most_metrics: int | None = None) -> list[str]:
        """Headings of `rows`."""
        return ["", "configuration", *self.metrics[:most_metrics], "seed", "state", "time"]

    def rows(self, most_metrics: int | None = None) -> list[list[str]]:
        """One row of text a group; an absent metric is a dash."""
        return [
            [
                group.letter,
                group.label,
                *(str(group.metrics.get(n, MISSING)) for n in self.metrics[:most_metrics]),
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

    def to_text(self) -> str:
        """For a terminal."""
        return self._render(plain_table, "{}")

    def to_markdown(self) -> str:
        """For an issue or a notebook."""
        return self._render(markdown_table, "## {}")

    def to_json(self) -> dict[str, Any]:
        """JSON values: `groups`, `runs`, `differences`, `primary`, `pivots`.

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
        safe: dict[str, Any] = json_safe({**tree, "primary": self.primary, "pivots": pivots})
        return safe

    def _render(self, table: Any, heading: str) -> str:
        parts = [heading.format("Results"), table(self.columns(), self.rows())]
        if self.has_spread:
            parts.append("mean ± sample standard deviation over seeds")
        for pivot in self.pivots:
            parts += [heading.format(pivot.title), table(pivot.columns(), pivot.text_rows())]
            parts.append(pivot.note)
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
    differing = differing_keys([group.settings for group in groups])
    return Comparison(
        groups=groups,
        differences={key: tuple(group.settings.get(key) for group in groups) for key in differing},
        metrics=tuple(dict.fromkeys([*primary, *sorted(names, key=_is_component)])),
        primary=primary,
        pivots=pivot_tables(groups, primary),
    )


def _is_component(name: str) -> bool:
    return name.endswith(("_x", "_y", "_z"))
