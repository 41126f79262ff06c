"""`graphwright export`. Nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from graphwright.launch.options import root_option

__all__ = ["export"]


@click.command()
@click.argument("run")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["bundle", "onnx"]),
    default="bundle",
    show_default=True,
    help="bundle: for graphwright itself. onnx: one file for onnxruntime, and a JSON about it.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="A new folder; of onnx also NAME.onnx.",
)
@root_option("runs", "run folders are found")
def export(run: str, kind: str, out: Path, runs_root: Path) -> None:
    """Ship the model of a finished RUN (or bundle): weights and all that prediction needs.

    An ONNX file takes any number of graphs, nodes, sets or positions and is compared with the model
    before it is kept.
    """
    from graphwright.runs.index import resolve_model

    folder = resolve_model(run, runs_root)
    if kind == "bundle":
        from graphwright.launch.use import export_bundle

        click.echo(f"bundle in {export_bundle(folder, out)}")
        return
    from graphwright.launch.use import export_onnx

    _say(export_onnx(folder, out))


def _say(done: Any) -> None:
    """What the file takes and gives, and how far it was from the model."""
    size = done.model.stat().st_size
    click.echo(f"{done.model} ({_bytes(size)}), described in {done.description}")
    for word, ports in (("in ", done.form.inputs), ("out", done.form.outputs)):
        for port in ports:
            shape = ", ".join(map(str, port.shape))
            unit = f", {port.unit}" if port.unit else ""
            click.echo(f"  {word} {port.name} {port.dtype}[{shape}]{unit}: {port.meaning}")
    if done.checked is None:
        click.echo("not compared with the model: onnxruntime is not installed", err=True)
        return
    name, worst = done.checked.worst
    click.echo(
        f"compared with the model on {done.checked.batches} batches of other sizes in "
        f"{done.checked.runtime}: largest difference {worst:.1e} of the scale of {name}"
    )


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
