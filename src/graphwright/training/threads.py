"""How CPU threads wait for their next piece of work, chosen once at process start.

Between two operations the threads of GNU OpenMP, which torch computes with, spin. Where anything
else wants the same cores, spinning threads keep it from them and it keeps the late thread from
its work, so that all wait for a time slice at every operation: a training step on 2 cores beside
one other process took 10 to 40 times as long (docs/performance.md). Threads that sleep instead cost
some microseconds an operation.
"""

from __future__ import annotations

import os

__all__ = ["let_threads_sleep"]

_CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def let_threads_sleep() -> str:
    """Let waiting threads sleep, unless the environment says how they wait.

    Call it before torch is imported: OpenMP reads its environment when it is loaded.

    Returns:
        What holds from now on, for the log.
    """
    for name in _CHOICES:
        if name in os.environ:
            return f"{name}={os.environ[name]}"
    os.environ["OMP_WAIT_POLICY"] = "passive"
    return "threads that wait sleep"
