"""The report: one HTML file that needs no network, no server and no script to be read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from graphwright.errors import RunError
from graphwright.report.compare import Comparison, compare
from graphwright.report.curves import overlay_curves, title_of
from graphwright.report.figures import Figure
from graphwright.report.load import RunReport, load_report
from graphwright.report.overview import comparison_title, group_ranking, overlay_runs
from graphwright.report.results import Table, as_number
from graphwright.report.text import format_value, table_texts
from graphwright.report.views import RunView, view_of
from graphwright.runs.files import write_text_atomic

__all__ = ["environment", "render_page", "write_figures", "write_report"]

FULL_RUNS = 24
MOST_BYTES = 950_000  # a page is to stay below a megabyte, to be sent by mail
MOST_METRICS = 3
_HERE = Path(__file__).parent


def write_report(runs: Sequence[Path | str], out: Path | str) -> Path:
    """Write the page of one run, or of several compared, and draw the figures of each run.

    Args:
        runs: run folders; their state does not matter.
        out: the HTML file; its folder is made if missing.

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
    write_text_atomic(out, render_page(reports))
    return out


def render_page(reports: Sequence[RunReport]) -> str:
    """The HTML of the page. Of several runs as many are shown in full as fit (24 at most)."""
    several = len(reports) > 1
    context = _several(compare(reports)) if several else _single(reports[0])
    template = environment().get_template("page.html")
    version = metadata.version("graphwright")
    page = template.render(version=version, **context)
    while len(page.encode()) > MOST_BYTES and len(context["views"]) > 1:
        fewer = len(context["views"]) // 2
        context["left_out"] += len(context["views"]) - fewer
        context["views"] = context["views"][:fewer]
        page = template.render(version=version, **context)
    return page


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
    runs = overlay_runs(comparison)
    shown = runs[:FULL_RUNS]
    views = [
        view_of(
            run.report, anchor=f"run-{i}-", share=len(shown), letter=run.letter, colour=run.colour
        )
        for i, run in enumerate(shown)
    ]
    overlay, main = overlay_curves(runs), comparison.main
    return {
        "title": comparison_title(comparison),
        "comparison": comparison,
        "ranking": group_ranking(comparison),
        "overlay": overlay,
        "views": views,
        "left_out": len(runs) - len(shown),
        "shown": main if len(main) > 1 else comparison.metrics[:MOST_METRICS],
        "navigation": _comparison_navigation(comparison, overlay),
    }


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


def _comparison_navigation(
    comparison: Comparison, overlay: Sequence[Figure]
) -> list[tuple[str, str]]:
    parts = [("comparison", "Comparison")]
    parts += [("pivots", "Models")] if comparison.pivots else []
    parts += [("paired", "Differences")] if comparison.paired else []
    parts += [("differences", "What differs")] if comparison.differences else []
    parts += [("curves", "Curves")] if overlay else []
    return [*parts, ("runs", "Each run")]


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
