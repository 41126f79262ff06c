"""`graphwright compare` and `graphwright report`. Nothing heavy is imported here."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from graphwright.launch.options import root_option

__all__ = ["compare", "report"]

_runs_root = root_option("runs", "run folders are made and found")
_FORMATS = ("text", "markdown", "latex", "json")


def _named_runs(names: Sequence[str], runs_root: Path) -> tuple[list[Path], dict[Path, str]]:
    """Run folders by their names, each once, and what a sweep calls them.

    A sweep's folder stands for all its finished runs.

    Raises:
        RunError: there is no such run, or no run of the sweep is finished.
    """
    from graphwright.launch.sweep.folder import is_sweep, runs_of_sweep
    from graphwright.runs.index import resolve_run

    found: dict[Path, str] = {}
    for name in names:
        if is_sweep(Path(name)):
            found |= runs_of_sweep(Path(name))
        else:
            found.setdefault(resolve_run(name, runs_root).path, "")
    return list(found), {path: variant for path, variant in found.items() if variant}


@click.command()
@click.argument("run", nargs=-1, required=True)
@click.option("--format", "style", type=click.Choice(_FORMATS), default="text")
@click.option(
    "--metrics", default="", metavar="all|NAME,…", help="Columns; by default the main metrics."
)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="A file, instead of stdout.")
@_runs_root
def compare(
    run: tuple[str, ...], style: str, metrics: str, out: Path | None, runs_root: Path
) -> None:
    """Metrics and differing settings of several RUNs (or sweeps), seeds averaged.

    JSON has every metric. LaTeX needs the package booktabs.
    """
    from graphwright.report.compare import compare as compare_runs
    from graphwright.runs.files import write_text_atomic

    paths, names = _named_runs(run, runs_root)
    table = compare_runs(paths, names=names)
    shown = table.chosen(metrics)
    texts: dict[str, Callable[[], Any]] = {
        "text": lambda: table.to_text(shown),
        "markdown": lambda: table.to_markdown(shown),
        "latex": lambda: table.to_latex(shown),
        "json": lambda: json.dumps(table.to_json()),
    }
    if out is None:
        click.echo(texts[style]())
    else:
        write_text_atomic(out, texts[style]())
        click.echo(out)


@click.command()
@click.argument("run", nargs=-1, required=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("report.html"))
@click.option("--card", type=click.Path(path_type=Path), help="Also a model card, in Markdown.")
@_runs_root
def report(run: tuple[str, ...], out: Path, card: Path | None, runs_root: Path) -> None:
    """One self-contained HTML page about one or several RUNs (or sweeps)."""
    from graphwright.report.card import write_card
    from graphwright.report.page import write_report

    paths, names = _named_runs(run, runs_root)
    click.echo(write_report(paths, out, names=names))
    if card is not None:
        click.echo(write_card(paths[0], card))
