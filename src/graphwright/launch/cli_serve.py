"""`graphwright serve`. Nothing heavy is imported here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from graphwright.launch.options import root_option
from graphwright.launch.serve.options import ServeOptions

__all__ = ["serve"]

_DEFAULTS = {field.name: field.default for field in fields(ServeOptions)}


def _option(name: str, help: str, **more: Any) -> Callable[..., Any]:
    return click.option(
        f"--{name.replace('_', '-')}",
        name,
        default=_DEFAULTS[name],
        show_default=True,
        help=help,
        **more,
    )


@click.command()
@click.argument("run")
@_option("host", "Address to listen on; others than loopback are open to the network.")
@_option("port", "0 takes a free one.", type=click.IntRange(0, 65535))
@click.option(
    "--batching/--no-batching", default=True, help="Answer several requests with one call."
)
@_option("max_batch", "Samples in one call of the model.", type=click.IntRange(1))
@_option("max_wait_ms", "Longest wait for others that are being read.", type=click.FloatRange(0))
@_option("max_body_mb", "Largest body of a request.", type=click.FloatRange(0, min_open=True))
@_option("max_samples", "Most samples in a request.", type=click.IntRange(1))
@_option("max_size", "Points of a structure, bytes of a line of text.", type=click.IntRange(1))
@_option("queue", "Requests at one time; others get 503.", type=click.IntRange(1))
@_option("timeout_s", "Seconds for an answer.", type=click.FloatRange(0, min_open=True))
@_option("upload_timeout_s", "Seconds for an upload.", type=click.FloatRange(0, min_open=True))
@_option("threads", "CPU threads of the model's operations.", type=click.IntRange(1))
@click.option("--explain/--no-explain", default=True, help="Say what mattered, if the task can.")
@click.option("--access-log", is_flag=True, help="One line for each request, on stderr.")
@root_option("runs", "run folders are found")
@root_option("data", "prepared data are kept")
def serve(run: str, runs_root: Path, data_root: Path, **options: Any) -> None:
    """Answer HTTP requests with the model of a finished RUN (or bundle).

    POST /predict takes what `graphwright predict` reads, or JSON; GET /about says what.
    """
    from graphwright.errors import MissingExtraError
    from graphwright.runs.index import resolve_model

    try:
        from graphwright.launch.serve.server import serve as answer
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("graphwright"):
            raise
        raise MissingExtraError(error.name, "serve", "graphwright serve") from None
    settings = ServeOptions(**options)
    if settings.access_log:
        logging.getLogger("graphwright").setLevel(logging.INFO)
    folder = resolve_model(run, runs_root)

    def ready(url: str) -> None:
        click.echo(f"serving {folder} on {url} (GET {url}/about; Ctrl-C stops it)")

    answer(folder, settings, data_root=data_root, ready=ready)
