"""Stands for `graphwright.launch.rank` where nothing is to be trained: no torch, a moment.

What it does, the environment says: FAKE_0 for rank 0 and FAKE_1 for rank 1.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from graphwright.errors import ConfigError, TrainingError
from graphwright.launch.rank import _options, _settle, _tell
from graphwright.training.signals import StopRequest

PATIENCE_S = 30.0


def main() -> int:
    options = _options(None)
    rank = os.environ["RANK"]
    _settle(None, options)
    note = Path(options.run) / f"rank_{rank}.txt"
    note.write_text(" ".join(sys.argv))
    act = os.environ[f"FAKE_{rank}"]
    if act == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif act == "hangs":
        time.sleep(PATIENCE_S)
    elif act == "mistake":
        _tell(ConfigError("no such thing", where="here", fix="take another"), options.outcome)
        return 2
    elif act == "breaks":
        _tell(ValueError("a bad number"), options.outcome)
        return 1
    elif act == "is left alone":
        time.sleep(0.3)
        _tell(TrainingError("another rank of this training has ended"), options.outcome)
        return 1
    elif act == "asked":
        time.sleep(0.3)  # imports take their time
        _wait_for_a_signal(note)
    return 0


def _wait_for_a_signal(note: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    with StopRequest() as stop:
        while stop.received is None and time.monotonic() < deadline:
            time.sleep(0.01)
    note.write_text(str(stop.received))


if __name__ == "__main__":
    sys.exit(main())
