"""Execute a saved run folder, as one of the processes (ranks) that `training.devices` asks for.

    python -m graphwright.launch.rank RUN --data-root DATA [--resume]

The run folder says everything: no command line is read again, no folder is made. Which rank this is

1. RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT say (as torchrun sets them), or else
2. SLURM_PROCID, SLURM_NTASKS (above 1) and SLURM_LOCALID, as under
   `srun --ntasks=N --kill-on-bad-exit=1 --wait=0 python -m graphwright.launch.rank …`;
3. with neither it is alone, and starts the ranks itself where the run wants several (`ranks.py`).

The number of ranks must be `training.devices`. Rank 0 holds the run's lock and writes everything;
the others read, and end with the training, while rank 0 evaluates and exports.

`--resume` goes on from the last checkpoint, and begins where there is none, so that it may always
be given. A SIGTERM or SIGUSR1 to any rank lets all of them finish the step; the state is saved.

Exit codes: 0 finished (before, too) or asked to stop (`status.json` says which), 1 failed, 2 a
user's mistake, 130 a second Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from graphwright.errors import GraphwrightError
from graphwright.runs.files import write_json_atomic
from graphwright.runs.folder import RunFolder
from graphwright.runs.status import read_status
from graphwright.training.rank_place import RankPlace, one_gpu_each, place_from_environment

__all__ = ["main"]

log = logging.getLogger("graphwright")

_LOOK_EVERY_S = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """The rank's process; its exit code."""
    options = _options(arguments)
    try:
        place = place_from_environment()
        _settle(place, options)
        folder = RunFolder.open(options.run)
        if read_status(folder.path).state == "finished":
            log.info("%s is finished already", folder.path)
            return 0
        _execute(folder, place, options)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        _tell(error, options.outcome)
        return error.exit_code if isinstance(error, GraphwrightError) else 1
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m graphwright.launch.rank")
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--data-root", type=Path, default=Path("data"), help="of prepared data")
    parser.add_argument("--resume", action="store_true", help="from the last checkpoint, if any")
    parser.add_argument("--about", type=json.loads, default={}, help="JSON: command, links, level")
    parser.add_argument("--outcome", type=Path, help="where to say why it failed")
    parser.add_argument("--parent", type=int, default=0, help="process that it must not outlive")
    return parser.parse_args(arguments)


def _settle(place: RankPlace | None, options: argparse.Namespace) -> None:
    """What must be settled before torch is imported."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    level = logging.WARNING if place and place.rank else options.about.get("level", logging.INFO)
    log.setLevel(min(level, logging.INFO))
    for handler in logging.getLogger().handlers:
        handler.setLevel(level)
    if place is not None:
        # that a rank is gone is said once, by us
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        os.environ["CUDA_VISIBLE_DEVICES"] = one_gpu_each(place.local_rank)
        # Lightning would take all cores for each rank
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    if options.parent:
        watch = threading.Thread(target=_end_with, args=(options.parent,), daemon=True)
        watch.start()


def _end_with(parent: int) -> None:
    """A rank whose parent was killed must free its run for whoever goes on with it."""
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _execute(folder: RunFolder, place: RankPlace | None, options: argparse.Namespace) -> None:
    from graphwright.launch.execute import execute
    from graphwright.training.phases import Phases

    clock = Phases(since_process_start=True)
    with clock.timed("directories") as details:
        details["run"] = str(folder.path)
    execute(
        folder,
        data_root=options.data_root,
        phases=clock,
        command=options.about.get("command", sys.argv),
        resume=options.resume,
        links=options.about.get("links"),
        place=place,
    )


def _tell(error: Exception, outcome: Path | None) -> None:
    """To who started this rank, or else to the person at the terminal."""
    known = isinstance(error, GraphwrightError)
    if outcome is None:
        text = f"error: {error}" if known else "".join(traceback.format_exception(error))
        sys.stderr.write(f"{text.rstrip()}\n")
        return
    told: dict[str, Any] = {"time": time.monotonic(), "kind": type(error).__name__}
    told["what"] = error.what if isinstance(error, GraphwrightError) else str(error)
    if isinstance(error, GraphwrightError):
        told |= {"where": error.where, "fix": error.fix}
    with suppress(GraphwrightError):
        write_json_atomic(outcome, told)


def _leave(code: int) -> NoReturn:
    """At once: Python takes a second to clear away torch, and everything is written."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _leave(main())
