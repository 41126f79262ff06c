"""Run all benchmarks and write docs/benchmarks/NAME.json, from which the site makes its tables.

    python tools/run_benchmarks.py                     # all, one after the other
    python tools/run_benchmarks.py collate startup     # these
    python tools/run_benchmarks.py collate -- --repeats 5

Each is a process of its own. One that fails is told at the end (exit code 1) and leaves the figures
that it had; the others go on. Run it on a machine that does nothing else: the load before and after
is written beside the figures.
"""

from __future__ import annotations

import argparse
import ast
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

__all__ = ["main", "record_of", "runnable"]

ROOT = Path(__file__).resolve().parents[1]
ARGUMENTS: dict[str, list[str]] = {"nas_search": ["--folder", "build/benchmark_nas_search"]}


def main(args: Sequence[str] | None = None) -> int:
    """Run what was named; 1 if any failed."""
    words = list(sys.argv[1:] if args is None else args)
    place = words.index("--") if "--" in words else len(words)
    own, extra = words[:place], words[place + 1 :]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", help="benchmarks; all by default")
    parser.add_argument("--folder", type=Path, default=ROOT / "benchmarks")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/benchmarks")
    parser.add_argument("--time-limit", type=float, default=3600, help="seconds for each")
    options = parser.parse_args(own)
    known = runnable(options.folder)
    if unknown := sorted(set(options.names) - set(known)):
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(known)}")
    failures = {}
    for name in options.names or known:
        print(f"{name} …", flush=True)
        arguments = [*ARGUMENTS.get(name, []), *extra]
        try:
            record = record_of(options.folder / f"{name}.py", arguments, options.time_limit)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            failures[name] = str(error)
            continue
        _write(options.out / f"{name}.json", record)
        print(f"  {record['seconds']:.0f} s, {len(record['rows'])} rows", flush=True)
    for name, reason in failures.items():
        print(f"failed: {name}: {reason}", file=sys.stderr)
    return 1 if failures else 0


def runnable(folder: Path) -> list[str]:
    """Names of the benchmarks in a folder: the scripts that can be started."""
    found = [path for path in folder.glob("*.py") if "__main__" in path.read_text()]
    return sorted(path.stem for path in found)


def record_of(script: Path, arguments: Sequence[str], limit_s: float) -> dict[str, Any]:
    """What a benchmark measured, with when, where and beside what.

    Raises:
        RuntimeError: it failed, or its last line is no JSON object with `rows`.
        subprocess.TimeoutExpired: it took longer than `limit_s` seconds.
    """
    command = [sys.executable, str(script), "--json", *arguments]
    began, before = time.perf_counter(), os.getloadavg()[0]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit_s)
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {_last_line(done.stderr)}")
    try:
        result = json.loads(_last_line(done.stdout))
        rows = result["rows"]
    except (ValueError, KeyError, TypeError):
        raise RuntimeError("its last line is no JSON object with rows") from None
    return {
        "name": script.stem,
        "about": _first_line(script),
        "command": " ".join(["python", f"benchmarks/{script.name}", "--json", *arguments]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "load": [round(before, 2), round(os.getloadavg()[0], 2)],
        "seconds": round(time.perf_counter() - began, 1),
        "threads": result.get("threads"),
        "rows": rows,
    }


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _first_line(script: Path) -> str:
    return (ast.get_docstring(ast.parse(script.read_text())) or "").split("\n")[0]


def _last_line(text: str) -> str:
    return next(reversed([line for line in text.splitlines() if line.strip()]), "")


def _write(path: Path, record: dict[str, Any]) -> None:
    """A half-written file never has the final name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
