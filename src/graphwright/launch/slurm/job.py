"""What a Slurm job does: execute one saved run folder, and come back if it was stopped.

    python -m graphwright.launch.slurm.job SUBMISSION

Which of the submission's runs it is, the job's place in its array says. Nothing is composed or
decided here: the run folder says everything, and a job that starts anew resumes it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["main"]

_SIGNALS = (signal.SIGUSR1, signal.SIGTERM)
log = logging.getLogger("graphwright")


class _StoppedEarly(SystemExit):
    """Asked to stop where there is nothing to save."""


class _Ears:
    """Hears Slurm's signals while there is no training, which has handlers of its own.

    The script has made this process deaf to them until it is made. Slurm may send several at once:
    only the first is raised, and none after `close`.
    """

    def __init__(self) -> None:
        self._open = True
        for number in _SIGNALS:
            signal.signal(number, self._hear)

    def close(self) -> None:
        """What comes from now on is too late."""
        self._open = False

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._open:
            self._open = False
            raise _StoppedEarly(f"stopped by {signal.Signals(number).name} before training")


def main(arguments: Sequence[str] | None = None) -> int:
    """The job's process; 0 where the run is finished or goes on by itself."""
    (folder,) = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger().handlers[0].setLevel(logging.INFO)
    log.setLevel(logging.INFO)
    from graphwright.runs.files import read_json

    submission = read_json(Path(folder) / "submission.json")
    run = Path(submission["runs"][int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))])
    data_root = Path(submission["data_root"])
    if int(os.environ.get("SLURM_PROCID", "0")) == 0:
        return _execute_and_come_back(run, data_root, submission["launch"])
    # rank 0 hears the same signals; a failure here would end it before it can come back
    code = _execute(run, data_root)
    return 0 if code is None else code


def _execute_and_come_back(run: Path, data_root: Path, launch: dict[str, Any]) -> int:
    from graphwright.launch.slurm.requeue import come_back, job_number
    from graphwright.runs.queue import note
    from graphwright.runs.status import read_status

    job = job_number()
    log.info("job %s: %s", job, run)
    note(run, "started", job=job, host=os.uname().nodename)
    code = _execute(run, data_root)
    state = read_status(run).state
    log.info("%s: %s", state, run)
    # (a code of failure: it could not start, and what the status says is of an earlier job)
    if state != "finished" and (code is None or (code == 0 and state == "interrupted")):
        return come_back(run, launch, f"graphwright submit resume {run}")
    note(run, state, job=job)
    return code or 0


def _execute(run: Path, data_root: Path) -> int | None:
    """Train, from the last checkpoint if there is one; the exit code, None if stopped before."""
    try:
        ears = _Ears()
        from graphwright.launch.rank import main as execute_as_rank
        from graphwright.runs.status import read_status

        one_of_several = int(os.environ.get("SLURM_NTASKS", "1")) > 1
        # several ranks look at different moments, and must agree
        begun = one_of_several or read_status(run).state != "created"
        resume = ["--resume"] if begun else []
        code = execute_as_rank([str(run), "--data-root", str(data_root), *resume])
        ears.close()
    except _StoppedEarly as stop:
        log.warning("%s", stop)
        return None
    finally:
        for number in _SIGNALS:  # Python puts handlers, but not this, back to killing at its end
            signal.signal(number, signal.SIG_IGN)
    return code


if __name__ == "__main__":
    sys.exit(main())
