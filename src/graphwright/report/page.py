"""The report: one HTML file that needs no network, no server and no script to be read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from graphwright.errors import RunError
from graphwright.report.compare import Comparison, compare
from graphwright.report.curves import title_of
from graphwright.report.figures import Figure
from graphwright.report.load import RunReport, load_report
from graphwright.report.overview import (
    Overview,
    breakable,
    comparison_title,
    overview_of,
    pick_runs,
    uncapitalised,
)
from graphwright.report.results import Table, as_number
from graphwright.report.text import format_value, table_texts
from graphwright.report.views import RunView, view_of
from graphwright.runs.files import write_text_atomic

__all__ = ["environment", "render_page", "write_figures", "write_report"]

FULL_RUNS = 24
MOST_BYTES = 950_000  # a page is to stay below a megabyte, to be sent by mail
MOST_METRICS = 3
_HERE = Path(__file__).parent


def write_report(
    runs: Sequence[Path | str], out: Path | str, *, names: Mapping[Path, str] | None = None
) -> Path:
    """Write the page of one run, or of several compared, and draw the figures of each run.

    Args:
        runs: run folders; their state does not matter.
        out: the HTML file; its folder is made if missing.
        names: of runs by their folders; see `compare`.

    Returns:
        The path of the file written.

    Raises:
        RunError: no run given, a path is not a run folder, or the file cannot be written.
    """
    if not runs:
        raise RunError("there is nothing to report", fix="name at least one run folder")
    out = Path(out)
    reports = [load_report(run) for run in dict.fromkeys(Path(run).absolute() for run in runs)]
    for report in reports:
        _draw(report)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomic(out, render_page(reports, names=names))
    return out


def render_page(reports: Sequence[RunReport], *, names: Mapping[Path, str] | None = None) -> str:
    """The HTML of the page. Of several runs as many are shown in full as fit (24 at most)."""
    template = environment().get_template("page.html")
    version = metadata.version("graphwright")
    if len(reports) == 1:
        return template.render(version=version, **_single(reports[0]))
    context = _several(compare(reports, names=names))
    bare = len(template.render(version=version, **context, **_runs_in_full(context, 0)).encode())
    full = FULL_RUNS
    while True:
        page = template.render(version=version, **context, **_runs_in_full(context, full))
        size = len(page.encode())
        if size <= MOST_BYTES or full < 1:
            return page
        each = (size - bare) / min(full, len(reports))
        full = min(full - 1, int(0.97 * max(0, MOST_BYTES - bare) / each))


def write_figures(report: RunReport) -> list[Path]:
    """Draw `figures/*.svg` in the run's folder; they stand alone and follow light and dark.

    Raises:
        RunError: the folder cannot be written.
    """
    folder = report.path / "figures"
    figures = view_of(report).figures
    if figures:
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot make {folder.name}: {error.strerror}", where=folder) from error
    written = []
    for figure in figures:
        path = folder / f"{_file_name(figure.name)}.svg"
        write_text_atomic(path, _standalone(figure))
        written.append(path)
    return written


def _draw(report: RunReport) -> None:
    try:
        write_figures(report)
    except RunError:
        # somebody else's or an archived run: the page has the same figures in it
        return


def _file_name(name: str) -> str:
    return "".join(char if char.isalnum() or char in "-_." else "_" for char in name)


def _standalone(figure: Figure) -> str:
    style = (_HERE / "theme.css").read_text() + (_HERE / "chart.css").read_text()
    style += "svg { background: var(--surface); padding: 12px; box-sizing: border-box; }"
    head, rest = figure.svg.split(">", 1)
    title = Markup("<title>{}</title>").format(figure.title)
    return f"{head} width='640'>{title}<style>{style}</style>{rest}\n"


def _single(report: RunReport) -> dict[str, Any]:
    view = view_of(report)
    return {
        "title": report.name,
        "comparison": None,
        "views": [view],
        "navigation": _navigation(view),
    }


def _several(comparison: Comparison) -> dict[str, Any]:
    main = comparison.main
    shown = main if len(main) > 1 else comparison.metrics[:MOST_METRICS]
    overview = overview_of(comparison, shown)
    return {
        "title": comparison_title(comparison),
        "comparison": comparison,
        "overview": overview,
        "shown": shown,
        "prepared": {},
        "labels": {group.letter: group.label for group in comparison.groups},
        "navigation": _comparison_navigation(comparison, overview),
    }


def _runs_in_full(context: Mapping[str, Any], most: int) -> dict[str, Any]:
    """Views of as many runs; they are kept in the context, for another number of them."""
    comparison: Comparison = context["comparison"]
    overview: Overview = context["overview"]
    chosen, kept = pick_runs(comparison.groups, most), context["prepared"]
    for group, report in chosen:
        if report.name not in kept:
            kept[report.name] = view_of(
                report,
                anchor=f"run-{comparison.reports.index(report)}-",
                # where runs are left out, those shown get no room for curves that matter less
                share=len(comparison.reports),
                letter=group.letter,
                colour=overview.colours[group.letter],
            )
    shown = {id(report) for _, report in chosen}
    left_out = [report.name for report in comparison.reports if id(report) not in shown]
    return {"views": [kept[report.name] for _, report in chosen], "left_out": left_out}


def _navigation(view: RunView) -> list[tuple[str, str]]:
    present = {
        "results": view.report.tables or view.scalars,
        "learning": view.curves.main or view.curves.more,
        "predictions": view.scatter,
        "inside": view.matrices or view.families,
        "equivariance": view.equivariance,
        "checks": view.checks,
        "start-up": view.startup,
        "data": view.data_tables or view.data_rows,
        "configuration": view.config_html,
        "provenance": view.provenance or view.command or view.report.notes,
    }
    return [(key, key.capitalize()) for key, there in present.items() if there]


def _comparison_navigation(comparison: Comparison, overview: Overview) -> list[tuple[str, str]]:
    parts = [("comparison", "Results")]
    parts += [("rankings", "Rankings")] if overview.rankings else []
    parts += [("pivots", "Models")] if comparison.pivots else []
    parts += [("paired", "Differences")] if comparison.paired else []
    parts += [("cost", "Cost")] if len(comparison.groups) > 1 else []
    parts += [("curves", "Curves")] if overview.overlay else []
    parts += [("differences", "Settings")] if comparison.differences else []
    return [*parts, ("runs", "Runs")]


def environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["value"] = format_value
    environment.filters["title_of"] = title_of
    environment.filters["breakable"] = breakable
    environment.filters["uncapitalised"] = uncapitalised
    environment.tests["not_finite"] = _is_not_finite
    environment.tests["digest"] = _is_digest
    environment.globals["numeric_column"] = _numeric_column
    environment.globals["texts"] = lambda table: table_texts(table.columns, table.rows)
    return environment


def _is_not_finite(value: object) -> bool:
    number = as_number(value)
    return number is not None and not math.isfinite(number)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) >= 32 and value.isalnum()


def _numeric_column(table: Table, index: int) -> bool:
    cells: list[Any] = [row[index] for row in table.rows if row[index] is not None]
    return bool(cells) and all(
        as_number(cell) is not None
        or (isinstance(cell, str) and cell.endswith((" %", " s", " ms")))
        for cell in cells
    )
