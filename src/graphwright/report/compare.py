"""Many runs side by side: what differs in their configurations, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from graphwright.errors import RunError, nearest
from graphwright.report.blocks import Block, as_latex, as_markdown, as_text
from graphwright.report.boards import Board, find_boards
from graphwright.report.costs import cost_table
from graphwright.report.curves import title_of
from graphwright.report.difference import LEVEL, best_letters
from graphwright.report.grouping import (
    Group,
    canonical,
    data_settings,
    differing_keys,
    group_json,
    group_runs,
    run_json,
)
from graphwright.report.load import RunReport, load_report
from graphwright.report.paired import Paired, paired_differences
from graphwright.report.pivot import Pivot, pivot_tables
from graphwright.report.spread import direction, spread_texts
from graphwright.report.text import MISSING, format_duration, format_value, json_safe

__all__ = ["Comparison", "compare"]

_UNPRINTED = frozenset({"seed", "state", "time"})


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Groups best first (by the primary metric), and the settings in which they differ.

    Attributes:
        differences: dotted key to its value in each group, None where it has no such key.
        metrics: names of all final metrics, the primary ones first, single components last.
        primary: name to whether higher is better.
        boards: groups that can be compared with each other, by primary metric and data.
        pivots: models against a number in which they differ, one table a data set.
        paired: differences seed by seed; none where pivots compare over a size of the data.
    """

    groups: tuple[Group, ...]
    differences: dict[str, tuple[Any, ...]]
    metrics: tuple[str, ...]
    main: tuple[str, ...]
    primary: dict[str, bool]
    boards: tuple[Board, ...] = ()
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

    @cached_property
    def same_data(self) -> tuple[tuple[Group, ...], ...]:
        """Groups on the same data, whatever their metrics."""
        found: dict[str, list[Group]] = {}
        for group in self.groups:
            found.setdefault(canonical(data_settings(group.settings)), []).append(group)
        return tuple(map(tuple, found.values()))

    @property
    def first_on_data(self) -> tuple[Group, ...]:
        """The first group of each data set."""
        return tuple(members[0] for members in self.same_data)

    @property
    def note(self) -> str:
        """What the numbers of the results are."""
        if self.has_spread:
            return "Mean ± sample standard deviation over seeds."
        return "One run of each configuration: nothing is known of the spread over seeds."

    @property
    def bold_note(self) -> str:
        """What bold means in the results, see `bold`."""
        if len(self.groups) < 2:
            return ""
        words = "Bold: the best mean of a column"
        words += " on the same data" if len(self.same_data) > 1 else ""
        if self.has_spread:
            words += f", and what the common seeds do not tell from it ({100 * LEVEL:.0f} %)"
        return f"{words}."

    def better(self, metric: str) -> bool | None:
        """Whether higher is better; None where neither the run nor the name tells."""
        return self.primary.get(metric, direction(metric))

    def heading(self, metric: str) -> str:
        """A metric in words, with an arrow to where it is better."""
        arrow = {True: " ↑", False: " ↓", None: ""}[self.better(metric)]
        return f"{title_of(metric)}{arrow}"

    def bold(self, metric: str) -> frozenset[str]:
        """Letters of the best groups, see `best_letters`; none where nobody knows what is best."""
        if metric not in self._bold:
            higher = self.better(metric)
            boards = self.same_data if higher is not None else ()
            found = [best_letters(one, metric, higher_is_better=bool(higher)) for one in boards]
            self._bold[metric] = frozenset().union(*found)
        return self._bold[metric]

    @cached_property
    def _bold(self) -> dict[str, frozenset[str]]:
        return {}

    def columns(self, metrics: Sequence[str] | None = None) -> list[str]:
        """Headings of `rows`."""
        shown = self.main if metrics is None else metrics
        return ["", "configuration", *shown, "n", "seed", "state", "time"]

    def rows(self, metrics: Sequence[str] | None = None) -> list[list[str]]:
        """One row of text a group, with these metrics (None: the main ones); an absent metric is a
        dash."""
        shown = self.main if metrics is None else metrics
        told = [spread_texts([group.metrics.get(n) for group in self.groups]) for n in shown]
        return [
            [
                group.letter,
                group.label,
                *(column[i] for column in told),
                str(max((group.metrics[n].count for n in shown if n in group.metrics), default=0)),
                group.seeds,
                group.state,
                MISSING if group.duration_s is None else format_duration(group.duration_s),
            ]
            for i, group in enumerate(self.groups)
        ]

    def metric_rows(self) -> list[tuple[str, list[str]]]:
        """Every metric with its text in each group."""
        return [
            (name, spread_texts([group.metrics.get(name) for group in self.groups]))
            for name in self.metrics
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
        return as_text(self.blocks(metrics))

    def to_markdown(self, metrics: Sequence[str] | None = None) -> str:
        """For an issue or a notebook, with these metrics (None: the main ones)."""
        return as_markdown(self.blocks(metrics))

    def to_latex(self, metrics: Sequence[str] | None = None) -> str:
        """For a paper (booktabs), with these metrics (None: the main ones)."""
        return as_latex(self.blocks(metrics))

    def to_json(self) -> dict[str, Any]:
        """JSON values: `groups`, `runs`, `differences`, `primary`, `pivots`, `paired`.

        Numbers that are not finite are text.
        """
        tree = {
            "groups": [group_json(group) for group in self.groups],
            "runs": [run_json(report) for report in self.reports],
            "differences": self.differences,
            "primary": self.primary,
            "pivots": [pivot.to_json() for pivot in self.pivots],
            "paired": [one.to_json() for one in self.paired],
        }
        safe: dict[str, Any] = json_safe(tree)
        return safe

    def blocks(self, metrics: Sequence[str] | None = None) -> list[Block]:
        """All its tables."""
        blocks = [self.results_block(metrics)]
        blocks += [pivot.block(f"pivot{i}") for i, pivot in enumerate(self.pivots)]
        blocks += [paired.block(f"paired{i}") for i, paired in enumerate(self.paired)]
        if len(self.groups) > 1:
            columns, rows = self.costs
            blocks.append(Block(key="cost", title="Cost", columns=columns, rows=rows))
        if self.differences:
            blocks.append(
                Block(
                    key="settings",
                    title="Configuration differences",
                    columns=["setting", *(group.letter for group in self.groups)],
                    rows=self.difference_rows(),
                )
            )
        return blocks

    def results_block(self, metrics: Sequence[str] | None = None) -> Block:
        """The table of results."""
        shown = self.main if metrics is None else metrics
        remarks = [board.baseline_words() for board in self.boards]
        if hidden := len(set(self.metrics) - set(shown)):
            remarks.append(f"{hidden} more metrics: --metrics all, or their names")
        if len(self.groups) == 1 and len(self.reports) > 1:
            remarks.append("The configurations differ in nothing but the seed.")
        columns = self.columns(metrics)
        letters = [group.letter for group in self.groups]
        return Block(
            key="results",
            title="Results",
            columns=columns,
            headings=[self.heading(c) if c in shown else c for c in columns],
            rows=self.rows(metrics),
            notes=[self.note],
            remarks=[words for words in remarks if words],
            bold=frozenset(
                (letters.index(letter), columns.index(name))
                for name in shown
                for letter in self.bold(name)
            ),
            bold_note=self.bold_note,
            left_out=_UNPRINTED,
        )


def compare(
    runs: Sequence[Path | str | RunReport], *, names: Mapping[Path, str] | None = None
) -> Comparison:
    """Compare run folders (or reports already loaded).

    Runs that differ only in `seed`, or in how they are tracked, are one group.

    Args:
        runs: folders or reports.
        names: of runs by their folders (variants of a sweep, say), to label the groups with.

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
    groups = group_runs(reports, primary, names)
    found = dict.fromkeys(name for group in groups for name in group.metrics)
    metrics = tuple(dict.fromkeys([*primary, *sorted(found, key=_is_component)]))
    main = dict.fromkeys([*primary, *(name for report in reports for name in report.main)])
    differing = differing_keys([group.settings for group in groups])
    boards, pivots = find_boards(groups, primary), pivot_tables(groups, primary)
    by_data = any(pivot.key.startswith("data.") for pivot in pivots)
    return Comparison(
        groups=groups,
        differences={key: tuple(group.settings.get(key) for group in groups) for key in differing},
        metrics=metrics,
        main=tuple(name for name in main if name in metrics),
        primary=primary,
        boards=boards,
        pivots=pivots,
        paired=() if by_data else paired_differences(boards),
    )


def _is_component(name: str) -> bool:
    return name.endswith(("_x", "_y", "_z"))
