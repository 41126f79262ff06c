"""Where a run came from: the command, the machine, the versions and the commit."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

__all__ = ["collect"]

_PACKAGES = ("graphwright", "torch", "torch-geometric", "lightning", "numpy")
_GIT_PATIENCE_S = 5.0


def collect(command: Sequence[str], extra: Mapping[str, Any]) -> dict[str, Any]:
    """What `provenance.json` holds. Versions come from package metadata: nothing is imported.

    Keys: `command` (list), `start` (ISO 8601 with zone), `host`, `python`, `platform`, `cores`
    (`usable` by this process, `logical`, `physical`), `memory_bytes`, `versions` (None if not
    installed), `git` (`commit` and `dirty` of the working directory, or None), and everything in
    `extra` (data digests, seed, GPU…), which wins over a key of the same name. No user name.
    """
    return {
        "command": list(command),
        "start": datetime.now().astimezone().isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "cores": _cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "versions": {name: _version(name) for name in _PACKAGES},
        "git": _git(Path.cwd()),
        **extra,
    }


def _cores() -> dict[str, int | None]:
    logical = os.cpu_count()
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return {
        "usable": len(affinity(0)) if affinity else logical,
        "logical": logical,
        "physical": psutil.cpu_count(logical=False),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(folder: Path) -> dict[str, Any] | None:
    """Commit and dirty flag in one call; None outside a repository or without git."""
    command = ["git", "-C", str(folder), "status", "--porcelain=v2", "--branch", "-uno"]
    # looking must not write the index: several runs may start in one checkout
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_GIT_PATIENCE_S,
            env=environment,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid")), None)
    if commit is None or commit == "(initial)":
        return None
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}
