"""Everything one run folder holds; unfinished and damaged runs have a report, too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from graphwright.config.io import flatten
from graphwright.errors import GraphwrightError
from graphwright.report.predictions import Scatter, read_scatter
from graphwright.report.results import Headline, Table, as_number, find_headline, parse_tables
from graphwright.runs.events import read_events
from graphwright.runs.folder import RunFolder
from graphwright.runs.status import read_status

__all__ = ["Phase", "RunReport", "Series", "load_report"]

LOG_LINES = 40


@dataclass(frozen=True, kw_only=True)
class Series:
    """One logged metric: step, epoch and value of each record, in order of writing."""

    name: str
    steps: tuple[int, ...]
    epochs: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One timed phase of the start-up; `seconds` is its duration."""

    name: str
    seconds: float
    details: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """What a run folder says. Missing files leave empty fields and a line in `notes`.

    Attributes:
        name: the run's path from the runs root on, "geometry/painn/run_000".
        state: created, running, finished, failed, interrupted or unknown.
        started, ended: UTC times of the latest session, None where not known.
        duration_s: seconds of all sessions; None for a run that is not over.
        startup_marks: times in seconds that are no phase: first_batch_s, steady_batch_s…
        bundle_files: (name, bytes) of the files in `bundle/`.
        log_tail: the last lines of `log.txt`.
        notes: what is missing or could not be read, one sentence each.
    """

    path: Path
    name: str
    state: str = "unknown"
    error: str | None = None
    host: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    duration_s: float | None = None
    config_text: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)
    phases: tuple[Phase, ...] = ()
    startup_marks: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    headline: Headline | None = None
    scatter: tuple[Scatter, ...] = ()
    bundle_files: tuple[tuple[str, int], ...] = ()
    log_tail: str = ""
    notes: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """The task's name, or "unknown task"."""
        return str(self.config.get("task") or self.metrics.get("task") or "unknown task")

    @property
    def main(self) -> tuple[str, ...]:
        """Names of the metrics that a comparison shows: `main` of `metrics.json`, or `primary`."""
        primary, told = self.metrics.get("primary"), self.metrics.get("main")
        names = [primary, *(told if isinstance(told, list) else [])]
        return tuple(dict.fromkeys(str(name) for name in names if name))

    @property
    def seed(self) -> Any:
        """The seed of the configuration, None where the configuration could not be read."""
        return self.config.get("seed")

    @property
    def scalars(self) -> dict[str, float]:
        """The final metrics by name, non-finite ones included."""
        values = self.metrics.get("metrics")
        pairs = values.items() if isinstance(values, Mapping) else ()
        return {str(k): number for k, v in pairs if (number := as_number(v)) is not None}

    @property
    def data(self) -> dict[str, Any]:
        """Splits, rejects and digest of the data as `metrics.json` has them."""
        entry = self.metrics.get("data")
        return dict(entry) if isinstance(entry, Mapping) else {}


def load_report(path: Path | str) -> RunReport:
    """Read one run folder.

    Raises:
        RunError: the path is not a run folder.
    """
    folder = RunFolder.open(Path(path))
    reader = _Reader(folder)
    config_text, config = reader.config()
    metrics = reader.json(folder.metrics_path, "no results yet")
    startup = reader.json(folder.startup_path, "no start-up times")
    tables = parse_tables(metrics.get("tables"))
    return RunReport(
        path=folder.path,
        name=_run_name(folder.path, config),
        **reader.status(),
        config_text=config_text,
        config=config,
        provenance=reader.json(folder.provenance_path, "no provenance"),
        series=reader.series(),
        phases=_phases(startup),
        startup_marks=_numbers(startup),
        metrics=metrics,
        tables=tables,
        headline=find_headline(metrics, tables),
        scatter=reader.scatter(metrics),
        bundle_files=_bundle_files(folder.bundle),
        log_tail=reader.log_tail(),
        notes=tuple(reader.notes),  # last: the calls above fill it
    )


class _Reader:
    """Reads the files of one folder and collects what went wrong in `notes`."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.notes: list[str] = []

    def json(self, path: Path, without: str) -> dict[str, Any]:
        if not path.is_file():
            self.notes.append(f"{path.name} is not there: {without}.")
            return {}
        try:
            loaded = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            self.notes.append(f"{path.name} could not be read: {error}")
            return {}
        return loaded if isinstance(loaded, dict) else {}

    def config(self) -> tuple[str, dict[str, Any]]:
        try:
            text = self.folder.config_path.read_text(encoding="utf-8")
            loaded = yaml.safe_load(text)
        except (OSError, ValueError, yaml.YAMLError) as error:
            self.notes.append(f"config.yaml could not be read: {error}")
            return "", {}
        return text, loaded if isinstance(loaded, dict) else {}

    def status(self) -> dict[str, Any]:
        try:
            status = read_status(self.folder)
        except (GraphwrightError, OSError, ValueError) as error:
            self.notes.append(f"status.json could not be read: {error}")
            return {}
        return {
            "state": status.state,
            "error": status.error,
            "host": status.host,
            "started": _time(status.started),
            "ended": _time(status.ended),
            "duration_s": status.duration_s() if status.is_final else None,
        }

    def series(self) -> dict[str, Series]:
        if not self.folder.events_path.is_file():
            self.notes.append("events.jsonl is not there: no learning curves.")
            return {}
        try:
            events = read_events(self.folder.events_path)
        except (GraphwrightError, OSError, ValueError) as error:
            self.notes.append(f"events.jsonl could not be read: {error}")
            return {}
        if events.damaged:
            self.notes.append(f"events.jsonl: {events.damaged} damaged lines left out.")
        found = {}
        for name in events.names():
            steps, epochs, values = events.series(name)
            found[name] = Series(
                name=name, steps=tuple(steps), epochs=tuple(epochs), values=tuple(values)
            )
        return found

    def scatter(self, metrics: Mapping[str, Any]) -> tuple[Scatter, ...]:
        try:
            return read_scatter(self.folder.predictions_path, metrics)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            self.notes.append(f"predictions.parquet could not be read: {reason}")
            return ()

    def log_tail(self) -> str:
        try:
            text = self.folder.log_path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-LOG_LINES:])


def _run_name(path: Path, config: Mapping[str, Any]) -> str:
    """The path from the runs root on. Its folders are words of the configuration, however many."""
    parts = path.resolve().parts
    task = str(config.get("task") or "")
    if task in parts:
        return "/".join(parts[len(parts) - 1 - parts[::-1].index(task) :])
    words = {str(value) for value in flatten(config).values()}
    first = len(parts) - 1
    while first > 0 and parts[first - 1] in words:
        first -= 1
    return "/".join(parts[first:] if first < len(parts) - 1 else parts[-3:])


def _phases(startup: Mapping[str, Any]) -> tuple[Phase, ...]:
    phases = startup.get("phases")
    entries = phases if isinstance(phases, list) else []
    found = []
    for entry in entries:
        seconds = as_number(entry.get("seconds")) if isinstance(entry, Mapping) else None
        if seconds is not None and 0 <= seconds < float("inf"):
            details = entry.get("details")
            details = dict(details) if isinstance(details, Mapping) else {}
            found.append(Phase(name=str(entry.get("name")), seconds=seconds, details=details))
    return tuple(found)


def _numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    return {key: number for key, v in entry.items() if (number := as_number(v)) is not None}


def _bundle_files(folder: Path) -> tuple[tuple[str, int], ...]:
    if not folder.is_dir():
        return ()
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return tuple((path.name, path.stat().st_size) for path in files)


def _time(seconds: float | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None  # status.json was written by hand, or the clock was wrong
