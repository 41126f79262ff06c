"""The report of an architecture search: one HTML file, from the folder of the search alone."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from graphwright.errors import RunError
from graphwright.report.bands import Band, band_chart
from graphwright.report.figures import Figure
from graphwright.report.page import environment
from graphwright.report.results import Table, as_number
from graphwright.report.text import format_duration
from graphwright.runs.files import read_json, write_text_atomic
from graphwright.runs.folder import CONFIG_NAME
from graphwright.runs.status import read_status

__all__ = ["render_search", "write_search_report"]

REPORT_NAME = "report.html"
_LONGEST_REASON = 160
_X = "trained architectures"


def write_search_report(folder: Path, out: Path | None = None) -> Path:
    """Write the page of a search into its folder, or to `out`; returns its path.

    Raises:
        RunError: this is no search that has results, or the file cannot be written.
    """
    out = folder / REPORT_NAME if out is None else out
    write_text_atomic(out, render_search(folder))
    return out


def render_search(folder: Path) -> str:
    """The HTML of the page.

    Raises:
        RunError: this is no search that has results.
    """
    results = read_json(folder / "results.json")
    if results.get("kind") != "nas_search":
        raise RunError("these are not the results of a search", where=folder)
    regret = _regret_figures(results)
    parts = ["progress", *(["regret"] if regret else []), "architectures", "rounds"]
    return (
        environment()
        .get_template("search.html")
        .render(
            version=metadata.version("graphwright"),
            title="/".join(folder.absolute().parts[-2:]),
            navigation=[(part, part.capitalize()) for part in [*parts, "configuration"]],
            state=read_status(folder).state,
            metric=results["metric"],
            higher=results["higher_is_better"],
            best=results["best"],
            facts=_facts(results),
            progress=[_progress_figure(results), *_tau_figure(results)],
            regret=regret,
            finals=_finals(results),
            top=_top(results),
            rounds=_rounds(results),
            failures=_failures(results),
            config_text=(folder / CONFIG_NAME).read_text(),
        )
    )


def _facts(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    rounds = [line for line in results["rounds"] if line["kendall_tau"] is not None]
    facts = [
        ("Strategy", _own_name(results)),
        ("Trained", f"{results['evaluated']:,}"),
        ("Failed", f"{results['failed']:,}"),
        ("Rounds", str(len(results["rounds"]))),
    ]
    if results["training_s"]:
        facts.append(("Time of all trainings", format_duration(results["training_s"])))
    facts.append(
        ("Time to choose", format_duration(sum(r["choosing_s"] for r in results["rounds"])))
    )
    if rounds:
        mean = statistics.fmean(line["kendall_tau"] for line in rounds)
        facts.append(("Mean τ on unseen batches", f"{mean:.2f}"))
    return facts


def _own_name(results: Mapping[str, Any]) -> str:
    return str(results["predictor"] or results["strategy"]).replace("_", " ")


def _progress_figure(results: Mapping[str, Any]) -> Figure:
    bands = [Band(label="this search", middle=_curve(results["best_so_far"]))]
    bands += [_band(line["name"], line["best_so_far"]) for line in results["baselines"]]
    return band_chart("best_so_far", f"Best {results['metric']} so far", bands, x_label=_X)


def _tau_figure(results: Mapping[str, Any]) -> list[Figure]:
    taus = [as_number(line["kendall_tau"]) for line in results["rounds"]]
    if sum(tau is not None for tau in taus) < 2:
        return []
    curve = [float("nan") if tau is None else tau for tau in taus]
    band = Band(label="τ", middle=curve)
    return [
        band_chart("tau", "Kendall τ of each batch before it was trained", [band], x_label="ask")
    ]


def _regret_figures(results: Mapping[str, Any]) -> list[Figure]:
    figures = []
    for i, own in enumerate(results["regret"]):
        bands = [Band(label="this search", middle=_curve(own["values"]))]
        bands += [_band(line["name"], line["regret"][i]) for line in results["baselines"]]
        title = f"Regret in {own['metric']}"
        figures.append(band_chart(f"regret_{i}", title, bands, x_label=_X, log=True))
    return figures


def _band(name: str, curve: Mapping[str, Sequence[Any]]) -> Band:
    return Band(
        label=name.replace("_", " "),
        middle=_curve(curve["median"]),
        low=_curve(curve["low"]),
        high=_curve(curve["high"]),
    )


def _curve(values: Sequence[Any]) -> list[float]:
    numbers = [as_number(value) for value in values]
    return [float("nan") if number is None else number for number in numbers]


def _finals(results: Mapping[str, Any]) -> Table | None:
    """Regret at the end, over seeds."""
    if not results["baselines"]:
        return None
    metrics = [line["metric"] for line in results["regret"]]
    columns = ["strategy", "seeds"]
    for metric in metrics:
        columns += [f"{metric}: median", "lower quartile", "upper quartile"]
    own = [value for line in results["regret"] for value in (line["values"][-1], None, None)]
    rows: list[tuple[Any, ...]] = [("this search", 1, *own)]
    for line in results["baselines"]:
        ends = [curve[part][-1] for curve in line["regret"] for part in ("median", "low", "high")]
        rows.append((line["name"].replace("_", " "), line["seeds"], *ends))
    title = "Regret at the end"
    note = "simulated searches on the same table, with the same number of trainings"
    return Table(title=title, columns=tuple(columns), rows=tuple(rows), note=note)


def _top(results: Mapping[str, Any]) -> Table:
    columns = ["rank", "architecture", "value", "predicted", "sd", "round", "origin"]
    titles = ["rank", "architecture", results["metric"], "predicted", "sd", "round", "why"]
    if results["test_metric"]:
        columns.insert(3, "test_value")
        titles.insert(3, results["test_metric"])
    rows = tuple(tuple(line.get(name) for name in columns) for line in results["top"])
    note = "predicted and sd: what the predictor said before the architecture was trained"
    return Table(title="The best that were trained", columns=tuple(titles), rows=rows, note=note)


def _rounds(results: Mapping[str, Any]) -> Table:
    columns = ("ask", "asked", "failed", "Kendall τ", "seconds to choose")
    rows = tuple(
        (r["round"], r["asked"], r["failed"], r["kendall_tau"], r["choosing_s"])
        for r in results["rounds"]
    )
    note = "τ between predicted and measured values of the batch, predicted before its training"
    return Table(title="Every batch", columns=columns, rows=rows, note=note)


def _failures(results: Mapping[str, Any]) -> Table | None:
    if not results["failures"]:
        return None
    rows = tuple(
        (line["number"], line["architecture"], line["reason"][:_LONGEST_REASON])
        for line in results["failures"]
    )
    return Table(
        title="Failed trainings",
        columns=("number", "architecture", "reason"),
        rows=rows,
        note="their logs are in the folder trainings",
    )
