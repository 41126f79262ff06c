"""Commands of the canbus task: `graphwright canbus …`.

Nothing heavy is imported here: `--help` answers at once.
"""

from __future__ import annotations

import gc
import signal
import sys
from pathlib import Path
from typing import Any

import click

from graphwright.launch.options import root_option

__all__ = ["COMMANDS"]

# The thread that receives waits for so long, at most, until the one that scores lets it stamp a
# frame's arrival; Python's 5 ms are as long as a verdict may take.
_SWITCH_S = 5e-4


@click.group("canbus")
def COMMANDS() -> None:  # noqa: N802 (the name by which the program finds it)
    """CAN bus: live detection of intrusions."""


@COMMANDS.command("watch")
@click.argument("source")
@click.option("--run", required=True, help="A trained run or bundle.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option(
    "--calibrate",
    "calibrate_s",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="The first seconds are known to be benign: they give the threshold, and no alarms.",
)
@click.option("--max-alarms", type=click.IntRange(min=1), help="Stop after so many alarms.")
@root_option("runs", "run folders are found")
@root_option("data", "prepared data are kept")
def watch(
    source: str,
    run: str,
    as_json: bool,
    calibrate_s: float,
    max_alarms: int | None,
    runs_root: Path,
    data_root: Path,
) -> None:
    """Print an alarm for every suspicious window of SOURCE.

    SOURCE is a capture file of any readable format, a bus of python-can, or - for the lines of
    `candump -L` on stdin:

    \b
      graphwright canbus watch drive.csv.gz --run automotive/…/run_000
      graphwright canbus watch socketcan:can0 --run … --json --calibrate 10
      candump -L can0 | graphwright canbus watch - --run …

    Ctrl-C ends it with the summary. Exit code: 0 nothing found, 1 alarms, 2 it could not be done.
    """
    from graphwright.data.rejects import Rejects
    from graphwright.tasks.canbus.watch.detector import load_detector
    from graphwright.tasks.canbus.watch.loop import Watch
    from graphwright.tasks.canbus.watch.report import JsonReport, TextReport

    detector = load_detector(run, runs_root=runs_root, data_root=data_root)
    rejects = Rejects(None)
    _settle()
    one = Watch(
        detector,
        JsonReport() if as_json else TextReport(),
        rejects,
        calibrate_s=calibrate_s,
        max_alarms=max_alarms or 0,
    )
    summary = one.run(_opened(source, detector, rejects))
    # click's own exit is swallowed by `main`, which runs it without standalone mode
    sys.exit(1 if summary.alarms else 0)


def _opened(source: str, detector: Any, rejects: Any) -> Any:
    from graphwright.tasks.canbus.capture_source import event_columns
    from graphwright.tasks.canbus.data_config import FolderSource
    from graphwright.tasks.canbus.readers import SourceNames
    from graphwright.tasks.canbus.watch.pieces import open_pieces

    config = detector.bundle.task.config.data.source
    columns = event_columns(config.events) if isinstance(config, FolderSource) else None
    names = None if columns is None else SourceNames(detector.names)
    if names is not None:
        detector.names = names.names  # sources that come up while watching get a name, too
    return open_pieces(source, detector.window, rejects, columns=columns, names=names)


def _settle() -> None:
    """One thread, no pauses to look through what was imported, and an end on SIGTERM, too."""
    import torch

    torch.set_num_threads(1)  # a window is too small to share
    sys.setswitchinterval(_SWITCH_S)
    gc.collect()
    gc.freeze()
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        # not SIGINT's own handler: a process in the background may have been told to ignore Ctrl-C
        signal.signal(signal.SIGTERM, signal.default_int_handler)
