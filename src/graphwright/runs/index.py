"""Which runs there are, and how to name one.

Looking through a root reads three small files of a run (status, metrics and the first lines of
the configuration) and never its events, so ten thousand runs are listed in about two seconds.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from graphwright.config.io import digest
from graphwright.errors import RunError, nearest
from graphwright.runs.files import read_json
from graphwright.runs.folder import CONFIG_NAME, MODEL_NAME, RunFolder, load_yaml
from graphwright.runs.status import State, Status, read_status

__all__ = [
    "FinalMetrics",
    "RunSummary",
    "find_runs",
    "read_metrics",
    "resolve_model",
    "resolve_run",
]

_LATEST = "latest"
_MOST_NAMED = 5
_TASK_LINE = re.compile(r"^task:[ \t]*['\"]?([^'\"#\s]+)", re.MULTILINE)
_NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One line of a list of runs. `problem` says what of a damaged run could not be read."""

    path: Path
    task: str
    state: State
    levels: tuple[str, ...]
    name: str
    created: float  # seconds since 1970
    started: float | None  # of the latest session
    duration: float | None  # seconds of all sessions
    metrics: Mapping[str, float] = field(default_factory=dict)  # final ones, from metrics.json
    primary: str | None = None  # the metric that runs are compared by
    error: str | None = None
    problem: str | None = None

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration as plain values, read when asked for.

        Raises:
            RunError: `config.yaml` is damaged.
        """
        return load_yaml(self.path / CONFIG_NAME)

    @cached_property
    def digest(self) -> str | None:
        """SHA-256 of the configuration, as `config.io.digest` gives it; None if it is damaged."""
        try:
            return digest(self.config)
        except RunError:
            return None


def find_runs(root: Path | str, *, task: str | None = None) -> list[RunSummary]:
    """All runs under `root` (of one task), sorted by path with numbers in their natural order.

    A damaged run is listed with its `problem`; a folder without a configuration is no run. A root
    that does not exist has no runs.
    """
    root = Path(root).expanduser().absolute()
    paths = sorted(_walk(root), key=_natural)
    found = (_summary(path, root) for path in paths)
    return [summary for summary in found if task is None or summary.task == task]


def resolve_run(text: str, root: Path | str) -> RunFolder:
    """The run that a person means.

    Args:
        text: a path, a path relative to `root`, the start of one that fits a single run, `latest`
            (the run started last) or `PREFIX/latest`.
        root: the runs root.

    Raises:
        RunError: no run fits (names the nearest), or several do (names them).
    """
    root = Path(root).expanduser().absolute()
    text = text.strip().rstrip("/")
    for path in (Path(text).expanduser(), root / text):
        if text and (path / CONFIG_NAME).is_file():
            return RunFolder.open(path, root=root if path.absolute().is_relative_to(root) else None)
    relative = {path.relative_to(root).as_posix(): path for path in _walk(root)}
    if text == _LATEST or text.endswith(f"/{_LATEST}"):
        prefix = text.removesuffix(_LATEST)
        fitting = [name for name in relative if name.startswith(prefix)]
        fitting = sorted(fitting, key=lambda name: _started(relative[name]))[-1:]
    else:
        fitting = [name for name in relative if text and name.startswith(text)]
    if len(fitting) == 1:
        return RunFolder.open(relative[fitting[0]], root=root)
    raise _unresolved(text, root, fitting, list(relative))


def resolve_model(text: str, root: Path | str) -> Path:
    """The folder of the trained model that a person means: of a bundle, or as `resolve_run`.

    Raises:
        RunError: as `resolve_run`.
    """
    folder = Path(text).expanduser()
    return folder if (folder / MODEL_NAME).is_file() else resolve_run(text, root).path


def _unresolved(text: str, root: Path, fitting: list[str], known: list[str]) -> RunError:
    if not known:
        return RunError(f"no run {text!r}: there are no runs yet", where=root)
    if not fitting:
        return RunError(
            f"no run {text!r}{nearest(text, known)}",
            where=root,
            fix="graphwright runs lists the runs there are",
        )
    fitting.sort(key=lambda name: _natural(Path(name)))
    more = f" and {len(fitting) - _MOST_NAMED} more" if len(fitting) > _MOST_NAMED else ""
    return RunError(
        f"{text!r} fits {len(fitting)} runs: {', '.join(fitting[:_MOST_NAMED])}{more}",
        where=root,
        fix=f"write more of the path, or {text}/latest for the run started last",
    )


def _walk(folder: Path | str) -> Iterator[Path]:
    """Folders with a configuration; does not look inside them, nor inside hidden folders."""
    below: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name == CONFIG_NAME:
                    yield Path(folder)
                    return
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
    except OSError:  # removed meanwhile, or not ours to read
        return
    for path in below:
        yield from _walk(path)


def _summary(path: Path, root: Path) -> RunSummary:
    problems: list[str] = []
    levels = path.relative_to(root).parts[:-1]
    status = _status(path, problems)
    metrics, primary = _metrics(path, problems)
    return RunSummary(
        path=path,
        task=_task(path, problems) or (levels[0] if levels else ""),
        state=status.state,
        levels=levels,
        name=path.name,
        created=_created(path),
        started=status.started,
        duration=status.duration_s(),
        metrics=metrics,
        primary=primary,
        error=status.error,
        problem="; ".join(problems) or None,
    )


def _status(path: Path, problems: list[str]) -> Status:
    try:
        return read_status(path)
    except RunError as error:
        problems.append(error.what)
        return Status(state="interrupted")


def _metrics(path: Path, problems: list[str]) -> tuple[dict[str, float], str | None]:
    if not (path / "metrics.json").exists():
        return {}, None
    try:
        final = read_metrics(path / "metrics.json")
    except RunError as error:
        problems.append(error.what)
        return {}, None
    return final.metrics, final.primary


@dataclass(frozen=True, kw_only=True)
class FinalMetrics:
    """The numbers of `metrics.json`."""

    metrics: dict[str, float]
    primary: str | None
    split: str | None


def read_metrics(path: Path) -> FinalMetrics:
    """The numbers of a `metrics.json`; "NaN" and "Infinity" are read back as floats.

    Raises:
        RunError: the file is missing or damaged.
    """
    tree = read_json(path)
    if not isinstance(tree, dict) or not isinstance(tree.get("metrics"), dict):
        raise RunError(f"{path.name} has no metrics", where=path)
    found = {}
    for name, value in tree["metrics"].items():
        with suppress(TypeError, ValueError):
            found[name] = float(value)
    return FinalMetrics(metrics=found, primary=tree.get("primary"), split=tree.get("split"))


def _task(path: Path, problems: list[str]) -> str | None:
    try:
        # the whole YAML would take a millisecond a run: ours has `task` at the left margin
        match = _TASK_LINE.search((path / CONFIG_NAME).read_text(errors="replace"))
    except OSError as error:
        problems.append(f"cannot read {CONFIG_NAME}: {error.strerror}")
        return None
    if match is None:
        problems.append(f"{CONFIG_NAME} names no task")
        return None
    return match[1]


def _created(path: Path) -> float:
    try:
        return (path / CONFIG_NAME).stat().st_mtime
    except OSError:
        return math.nan


def _started(path: Path) -> float:
    return _status(path, []).started or _created(path)


def _natural(path: Path) -> list[tuple[int, str]]:
    """A sort key with run_999 before run_1000."""
    pieces = [piece for part in path.parts for piece in ("/", *_NUMBER.split(part))]
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in pieces]
