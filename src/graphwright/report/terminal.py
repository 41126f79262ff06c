"""Tables for people at a terminal; plain where output is not a terminal or NO_COLOR is set."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from graphwright.report.results import parse_tables
from graphwright.report.text import format_number
from graphwright.runs.index import RunSummary
from graphwright.runs.queue import jobs_for_list

__all__ = ["print_report", "print_runs"]

PLAIN_WIDTH = 160  # where there is no terminal to ask


def print_report(report: Mapping[str, Any]) -> None:
    """The tables of a `metrics.json`, and its proof of equivariance if it has one."""
    console = _console()
    proof = report.get("equivariance")
    for table in parse_tables([*report["tables"], *([proof] if proof else [])]):
        drawn = _table(table.title, table.columns)
        for row in table.rows:
            style = "bold" if row[0] == table.highlight else None
            drawn.add_row(*(_cell(value) for value in row), style=style)
        console.print(drawn)
        if table.note:
            console.print(table.note, style="dim")


def print_runs(runs: Iterable[RunSummary]) -> None:
    """One line a run: state, when, how long, main metric; its job, where one is in a queue."""
    listed = list(runs)
    jobs = jobs_for_list([run.path for run in listed])
    columns = ("state", *(("job",) if jobs else ()), "started", "seconds", "config", "metric")
    drawn = _table("", ("run", *columns))
    for run in listed:
        place = "/".join((*run.levels, run.name))
        started = (
            datetime.fromtimestamp(run.started).isoformat(" ", "seconds") if run.started else ""
        )
        main = run.metrics.get(run.primary or "")
        metric = "" if main is None else f"{run.primary}={format_number(main)}"
        seconds = "" if run.duration is None else f"{run.duration:.0f}"
        job = (jobs.get(run.path, ""),) if jobs else ()
        digest = (run.digest or "")[:8]
        drawn.add_row(place, run.state, *job, started, seconds, digest, metric)
    _console().print(drawn)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left")
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right")
    return table


def _cell(value: Any) -> str:
    if isinstance(value, float | int):
        return format_number(value)
    return "" if value is None else str(value)
