"""Commands of the genes task: `graphwright genes …`. Belongs to the room of `cli.py`.

Nothing heavy is imported here: `--help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

from graphwright.launch.options import root_option

__all__ = ["COMMANDS"]

_FORMATS = click.Choice(["text", "tsv", "json"])
_ORDERS = click.Choice(["lowest", "highest", "strongest"])
_SHOWN = 5  # rejected names that are printed


@click.group("genes")
def COMMANDS() -> None:  # noqa: N802 (the name by which the program finds it)
    """Gene deletions: rank partners, and see which networks matter."""


@COMMANDS.command("rank")
@click.argument("run")
@click.argument("more", nargs=-1, metavar="[GENE]...")
@click.option(
    "--genes", multiple=True, required=True, help="Deleted in every set: G1 G2, or G1,G2."
)
@click.option(
    "--against",
    default="all",
    show_default=True,
    help="Partners: all genes, a file with one a line, or names with commas.",
)
@click.option("--top", type=click.IntRange(min=0), default=20, show_default=True, help="0: all.")
@click.option("--order", type=_ORDERS, default="lowest", show_default=True, help="What is first.")
@click.option("--format", "style", type=_FORMATS, default="text", show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="A file; else stdout.")
@click.option("--also", multiple=True, metavar="RUN", help="Another seed, say: mean and sd.")
@root_option("runs", "run folders are found")
@root_option("data", "prepared data are kept")
def rank(
    run: str,
    more: tuple[str, ...],
    genes: tuple[str, ...],
    against: str,
    top: int,
    order: str,
    style: str,
    out: Path | None,
    also: tuple[str, ...],
    runs_root: Path,
    data_root: Path,
) -> None:
    """Predict GENES together with every other gene, and sort.

    \b
      graphwright genes rank RUN --genes YAL015C YOL043C --against all
      graphwright genes rank RUN --genes YAL015C --against essential.txt --format tsv -o ranked.tsv

    One gene gives pairs, two give triples, and so on. The lowest interaction (synthetic sick or
    lethal) comes first.
    """
    from graphwright.runs.index import resolve_model
    from graphwright.tasks.genes.ranking import rank_partners

    found = rank_partners(
        [resolve_model(name, runs_root) for name in (run, *also)],
        [name for text in (*genes, *more) for name in text.split(",") if name],
        against,
        order=cast("Any", order),  # click lets only these through
        data_root=data_root,
    )
    _write(found.to_text(style, top), out)
    _say_rejected(found.rejected)
    click.echo(found.about(), err=True)


@COMMANDS.command("networks")
@click.argument("run")
@click.argument("source", metavar="SETS", type=click.Path(path_type=Path))
@click.option("--format", "style", type=_FORMATS, default="text", show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="A file; else stdout.")
@root_option("runs", "run folders are found")
@root_option("data", "prepared data are kept")
def networks(
    run: str, source: Path, style: str, out: Path | None, runs_root: Path, data_root: Path
) -> None:
    """Which networks a trained RUN's answers for the gene sets of SETS rest on.

    A network's effect is the prediction minus that of the same weights where the network has no
    edges. Where the aggregator weighs its networks the mean weights of every layer follow.
    """
    from graphwright.runs.index import resolve_model
    from graphwright.tasks.genes.network_report import report_networks

    found = report_networks(resolve_model(run, runs_root), source, data_root=data_root)
    _write(found.to_text(style), out)
    _say_rejected(found.rejected)


def _write(text: str, out: Path | None) -> None:
    from graphwright.runs.files import atomic_path

    if out is None:
        click.echo(text)
        return
    with atomic_path(out) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _say_rejected(rejected: list[tuple[str, str]]) -> None:
    for where, reason in rejected[:_SHOWN]:
        click.echo(f"rejected {where}: {reason}", err=True)
    if len(rejected) > _SHOWN:
        click.echo(f"{len(rejected)} rejected in all", err=True)
