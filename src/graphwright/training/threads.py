"""How CPU threads wait for their next piece of work, chosen once at process start.

Between two operations the threads of GNU OpenMP, which torch computes with, spin. As long as they
have the cores to themselves that is fastest. Where anything else wants the same cores, a spinning
thread keeps it from them and it keeps the late thread from its work, so that all wait for a time
slice at every operation: a training step on 2 cores beside one other process takes 5 to 40 times
as long. Threads that sleep at once lose almost nothing there, but need up to twice the time on an
idle machine, where waking them is the delay (docs/performance.md has the figures).
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cpu_pressure", "settle_waiting"]

_CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
_CROWDED = 5.0  # per cent
_BRIEF, _BRIEFER = "3000", "1000"  # turns of a loop: about 10 and 3 microseconds


def settle_waiting(pressure: float | None) -> str:
    """Let waiting threads sleep where cores are scarce, and spin briefly where they are not.

    A choice that the environment makes (OMP_WAIT_POLICY, GOMP_SPINCOUNT) is left alone. Call it
    before torch is imported: OpenMP reads its environment when it is loaded.

    Args:
        pressure: see `cpu_pressure`.

    Returns:
        What holds from now on, for the log.
    """
    if not any(name in os.environ for name in _CHOICES):
        if pressure is not None and pressure > _CROWDED:
            os.environ["OMP_WAIT_POLICY"] = "passive"
        else:
            # unknown: less than what is best alone, which is too much beside others
            os.environ["GOMP_SPINCOUNT"] = _BRIEFER if pressure is None else _BRIEF
    return ", ".join(f"{name}={os.environ[name]}" for name in _CHOICES if name in os.environ)


def cpu_pressure() -> float | None:
    """Per cent of the last ten seconds in which something waited for a core; None if unknown."""
    try:
        text = Path("/proc/pressure/cpu").read_text()  # Linux since 4.20, where it is enabled
        return float(text.split("avg10=", 1)[1].split(maxsplit=1)[0])
    except (OSError, IndexError, ValueError):
        return None
