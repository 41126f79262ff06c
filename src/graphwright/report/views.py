"""What the page shows of one run, prepared: figures, facts and tables, nothing left to decide."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from graphwright.config.io import flatten
from graphwright.report.curves import Curves, family_curves, learning_curves
from graphwright.report.figures import Bar, Figure, bar_chart, scatter_chart
from graphwright.report.load import RunReport
from graphwright.report.matrices import heat_maps, parse_matrices
from graphwright.report.results import Headline, Table, parse_tables
from graphwright.report.text import format_column, format_duration, format_number

__all__ = ["RunView", "equivariance_tables", "split_table", "view_of"]

SCATTER_POINTS = 1500
RANKED = 7
ROOMY = 8
_MARKS = {
    "first_batch_s": "first batch",
    "first_epoch_s": "first epoch",
    "steady_batch_s": "steady batch",
    "total_s": "start-up in all",
}


@dataclass(frozen=True, kw_only=True)
class RunView:
    """One run, ready for the template. `anchor` begins the ids of its sections.

    `letter` and `colour` are those of its group where runs are compared, `share` is the number of
    runs on the page.
    """

    report: RunReport
    anchor: str
    letter: str
    colour: int
    share: int
    path_html: Markup
    facts: tuple[tuple[str, str], ...]
    no_headline: str
    ranking: Figure | None
    scalars: tuple[tuple[str, float], ...]
    curves: Curves
    families: tuple[Figure, ...]
    matrices: tuple[Figure, ...]
    scatter: tuple[Figure, ...]
    equivariance: tuple[Table, ...]
    checks: tuple[Table, ...]
    startup: Figure | None
    startup_table: Table
    data_tables: tuple[Table, ...]
    data_rows: tuple[tuple[str, Any], ...]
    config_html: Markup
    command: str
    provenance: tuple[tuple[str, Any], ...]

    @property
    def full(self) -> bool:
        """Whether the page has room for the curves that matter less."""
        return self.share <= ROOMY

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Every drawing of the run, for its folder."""
        single = [figure for figure in (self.ranking, self.startup) if figure is not None]
        curves = (*self.curves.main, *self.curves.more, *self.families)
        return (*single, *curves, *self.matrices, *self.scatter)


def view_of(
    report: RunReport, *, anchor: str = "", share: int = 1, letter: str = "", colour: int = 0
) -> RunView:
    """Prepare a run for the page.

    Args:
        report: the run.
        anchor: prefix that makes the ids of its sections unique on the page.
        share: number of runs on the page: the dots of scatter plots are shared among them.
        letter, colour: of the run's group.
    """
    points = max(150, SCATTER_POINTS // share)
    provenance = dict(report.provenance)
    command = provenance.pop("command", "")
    return RunView(
        report=report,
        anchor=anchor,
        letter=letter,
        colour=colour,
        share=share,
        path_html=_path_html(report.name),
        facts=tuple(_facts(report)),
        no_headline=_no_headline(report),
        ranking=_ranking(report.headline),
        scalars=tuple(report.scalars.items()),
        curves=learning_curves(report),
        families=family_curves(report),
        matrices=heat_maps(parse_matrices(report.metrics.get("matrices"))),
        scatter=tuple(
            scatter_chart(one, title=_scatter_title(one.name, one.label), max_points=points)
            for one in report.scatter
        ),
        equivariance=equivariance_tables(report.metrics.get("equivariance")),
        checks=_checks(report.metrics.get("checks")),
        startup=_startup(report),
        startup_table=_startup_table(report),
        data_tables=tuple(_data_tables(report)),
        data_rows=tuple(_data_rows(report)),
        config_html=_yaml_html(report.config_text),
        command=command if isinstance(command, str) else shlex.join(map(str, command)),
        provenance=tuple(flatten(provenance).items()),
    )


def equivariance_tables(entry: object) -> tuple[Table, ...]:
    """Tables from the `equivariance` entry of `metrics.json`.

    A mapping of name to number is one table of two columns; a mapping of name to mapping has a row
    a name; an entry with `columns` and `rows` is a table already.
    """
    if not isinstance(entry, Mapping) or not entry:
        return ()
    if "columns" in entry:
        return parse_tables([{"title": "Relative error", **entry}])
    title = "Relative error"
    nested = {k: v for k, v in entry.items() if isinstance(v, Mapping)}
    flat = {k: v for k, v in entry.items() if k not in nested}
    tables = []
    if nested:
        keys = tuple(dict.fromkeys(key for row in nested.values() for key in row))
        rows = tuple(
            (_words(name), *(row.get(key) for key in keys)) for name, row in nested.items()
        )
        tables.append(Table(title=title, columns=("", *map(_words, keys)), rows=rows))
    if flat:
        rows = tuple((_words(name), value) for name, value in flat.items())
        heading = "Settings of the check" if nested else title
        tables.append(Table(title=heading, columns=("", "value"), rows=rows))
    return tuple(tables)


def _checks(entry: object) -> tuple[Table, ...]:
    """A table for each entry of `checks`: what was shown on the trained weights."""
    if not isinstance(entry, Mapping):
        return ()
    return tuple(
        Table(
            title=_words(name).capitalize(),
            columns=("", "value"),
            rows=tuple((_words(key), value) for key, value in shown.items()),
        )
        for name, shown in entry.items()
        if isinstance(shown, Mapping) and shown
    )


def split_table(report: RunReport) -> Table | None:
    """Samples of each split and its share of all; None where the run does not say."""
    splits = report.data.get("splits")
    if not isinstance(splits, Mapping) or not splits:
        return None
    counts = {str(k): v for k, v in splits.items() if isinstance(v, int)}
    total = sum(counts.values()) or 1
    rows = tuple((name, n, f"{100 * n / total:.1f} %") for name, n in counts.items())
    return Table(title="Splits", columns=("split", "samples", "share"), rows=rows)


def _words(name: object) -> str:
    return str(name).replace("_", " ")


def _path_html(name: str) -> Markup:
    """The path in grey and the last part in black; may break after a slash."""
    *folders, last = name.split("/")
    path = Markup("").join(Markup("{}/<wbr>").format(folder) for folder in folders)
    return Markup('<span class="dir">{}</span>{}').format(path, last)


def _facts(report: RunReport) -> list[tuple[str, str]]:
    facts = []
    if report.seed is not None:
        facts.append(("seed", str(report.seed)))
    parameters = report.metrics.get("parameters")
    if isinstance(parameters, int):
        facts.append(("parameters", f"{parameters:,}"))
    epochs = {epoch for series in report.series.values() for epoch in series.epochs}
    if epochs:
        facts.append(("epochs", str(len(epochs))))
    splits = report.data.get("splits")
    if isinstance(splits, Mapping):
        facts.append(("samples", " / ".join(f"{v:,}" for v in splits.values() if type(v) is int)))
    if report.started is not None:
        facts.append(("started", f"{report.started:%Y-%m-%d %H:%M} UTC"))
    if report.duration_s is not None:
        facts.append(("took", format_duration(report.duration_s)))
    return facts


def _no_headline(report: RunReport) -> str:
    return {
        "created": "Not started yet.",
        "running": "Still running: there are no final results yet.",
        "interrupted": "Interrupted before its final results; graphwright resume goes on.",
        "failed": "Failed before its final results.",
    }.get(report.state, "There are no final results in this folder.")


def _ranking(headline: Headline | None) -> Figure | None:
    """The model among the other rows of its table; needs at least one of them."""
    if headline is None or not headline.rivals or math.isinf(headline.value):
        return None
    rows = [(headline.model, headline.value, True), *((n, v, False) for n, v in headline.rivals)]
    if not math.isnan(headline.value):
        rows.sort(key=lambda row: row[1], reverse=headline.higher_is_better)
    rows = rows[:RANKED] if any(own for *_, own in rows[:RANKED]) else [rows[0], *_around(rows)]
    texts = format_column([value for _, value, _ in rows])
    bars = [
        Bar(label=name, length=0.0 if math.isnan(value) else value, value=shown, strong=own)
        for (name, value, own), shown in zip(rows, texts, strict=True)
    ]
    way = "longer is better" if headline.higher_is_better else "shorter is better"
    unit = f" ({headline.unit})" if headline.unit else ""
    return bar_chart("ranking", f"{headline.label}{unit}", bars, detail=way)


def _around(rows: Sequence[tuple[str, float, bool]]) -> Sequence[tuple[str, float, bool]]:
    """The rows that end with the model's own, where it is far from the best."""
    own = next(i for i, row in enumerate(rows) if row[2])
    return rows[own - RANKED + 2 : own + 1]


def _scatter_title(name: str, label: str) -> str:
    return label if not name or name in (label, "target") else f"{label} {_words(name)}".strip()


def _startup(report: RunReport) -> Figure | None:
    if not report.phases:
        return None
    bars, start = [], 0.0
    longest = max(phase.seconds for phase in report.phases)
    for phase in report.phases:
        bars.append(
            Bar(
                label=phase.name,
                start=start,
                length=phase.seconds,
                value=format_duration(phase.seconds),
                strong=phase.seconds == longest,
            )
        )
        start += phase.seconds
    return bar_chart(
        "startup", "From the command to the first step", bars, detail=format_duration(start)
    )


def _startup_table(report: RunReport) -> Table:
    rows: list[tuple[Any, ...]] = [
        (phase.name, format_duration(phase.seconds), phase.details or None)
        for phase in report.phases
    ]
    for key, seconds in report.startup_marks.items():
        name = _MARKS.get(key, _words(key.removesuffix("_s")))
        rows.append((name, format_duration(seconds), None))
    return Table(title="Phases", columns=("phase", "time", "details"), rows=tuple(rows))


def _data_tables(report: RunReport) -> list[Table]:
    table = split_table(report)
    tables = [] if table is None else [table]
    rejected = report.data.get("rejected")
    reasons = rejected.get("reasons") if isinstance(rejected, Mapping) else None
    if isinstance(reasons, Mapping) and reasons:
        rows = tuple((str(reason), count) for reason, count in reasons.items())
        title = f"Rejected: {format_number(sum(v for v in reasons.values() if type(v) is int))}"
        tables.append(Table(title=title, columns=("reason", "samples"), rows=rows))
    return tables


def _data_rows(report: RunReport) -> list[tuple[str, Any]]:
    left = {k: v for k, v in report.data.items() if k != "splits"}
    rejected = left.pop("rejected", None)
    rows = [(_words(key), value) for key, value in flatten(left).items()]
    if isinstance(rejected, Mapping) and not rejected.get("reasons"):
        rows.insert(0, ("rejected samples", rejected.get("count", 0)))
    return rows


def _yaml_html(text: str) -> Markup:
    """YAML with its keys marked for colour."""
    lines: Sequence[str] = text.splitlines()
    marked = [
        re.sub(r"^(\s*(?:- )?)([\w.\-]+)(:)", r'\1<span class="k">\2</span>\3', str(escape(line)))
        for line in lines
    ]
    # each line was escaped above, before the spans were put in
    return Markup("\n".join(marked))
