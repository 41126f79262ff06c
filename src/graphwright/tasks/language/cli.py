"""Commands of the language task: `graphwright language …`. Belongs to the room of `cli.py`.

Nothing heavy is imported here: `--help` answers at once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from graphwright.launch.options import root_option

__all__ = ["COMMANDS"]

_runs_root = root_option("runs", "runs are looked up")
_data_root = root_option("data", "prepared data are kept")


@click.group("language")
def COMMANDS() -> None:  # noqa: N802 (the name by which the program finds it)
    """Language models: go on with a text, see who talks to whom."""


@COMMANDS.command("generate")
@click.argument("run")
@click.option("--prompt", default="", help="What the text begins with; '-' reads it from stdin.")
@click.option("--tokens", type=click.IntRange(1), default=100, show_default=True)
@click.option("--temperature", type=click.FloatRange(0), default=0.8, show_default=True)
@click.option("--top-k", type=click.IntRange(0), default=40, show_default=True, help="0: all.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draws.")
@click.option("--cache/--no-cache", default=True, help="Keep keys and values; the text is equal.")
@_runs_root
@_data_root
def generate(run: str, prompt: str, runs_root: Path, data_root: Path, **options: Any) -> None:
    """Go on with a text, as the model of RUN would."""
    from graphwright.launch.use import load_run
    from graphwright.tasks.language.use import generate_text

    start = sys.stdin.buffer.read() if prompt == "-" else prompt.encode()
    bundle = load_run(run, runs_root=runs_root, data_root=data_root)
    out = sys.stdout.buffer
    out.write(start)
    for piece in generate_text(bundle, start, **options):
        out.write(piece)
        out.flush()
    out.write(b"\n")


@COMMANDS.command("experts")
@click.argument("run")
@click.option("--text", type=click.Path(path_type=Path), help="Average gates over this file.")
@_runs_root
@_data_root
def experts(run: str, text: Path | None, runs_root: Path, data_root: Path) -> None:
    """Who listens to whom in the model of RUN, as JSON: a matrix for each convolution."""
    from graphwright.launch.use import load_run
    from graphwright.tasks.language.use import communication

    bundle = load_run(run, runs_root=runs_root, data_root=data_root)
    click.echo(json.dumps(communication(bundle, text)))
