"""What a run folder says about its run, for trackers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from graphwright.config.io import digest, flatten
from graphwright.errors import RunError
from graphwright.runs.files import read_json
from graphwright.runs.folder import RunFolder
from graphwright.runs.index import FinalMetrics, read_metrics
from graphwright.runs.lock import is_locked
from graphwright.runs.mirrors.base import Outcome, RunFacts
from graphwright.runs.mirrors.names import shown_name
from graphwright.runs.status import LOCK_NAME, Status, read_status

__all__ = ["facts_of", "is_over", "outcome_of"]

_SMALL = ("config.yaml", "metrics.json", "provenance.json", "log.txt")
_LARGE = ("predictions.parquet",)


def facts_of(folder: RunFolder, extra_tags: Mapping[str, str] | None = None) -> RunFacts:
    """What is known of a run before its metrics are read.

    Raises:
        RunError: the configuration or the status is damaged.
    """
    config, status, provenance = folder.config, read_status(folder), _provenance(folder)
    name = folder.path.name
    if folder.path.is_relative_to(folder.root):
        name = folder.path.relative_to(folder.root).as_posix()
    identity = _identity(folder, digest(config), provenance)
    tags = {
        "run": str(folder.path),
        "run_id": identity,
        "task": config.get("task"),
        "levels": name.rpartition("/")[0],
        "seed": config.get("seed"),
        "config_digest": _short(digest(config)),
        **_provenance_tags(provenance),
        **(extra_tags or {}),
    }
    return RunFacts(
        name=name,
        identity=identity,
        task=str(config.get("task", "graphwright")),
        config=config,
        params=flatten(config),
        tags={key: str(value) for key, value in tags.items() if value not in (None, "")},
        started=_started(folder, status, provenance),
        goes_on=not is_over(folder),
    )


def outcome_of(
    folder: RunFolder, last_step: Mapping[str, int], *, large_artifacts: bool = False
) -> Outcome:
    """How a run stands now.

    Args:
        folder: the run.
        last_step: of every metric that was sent, by its shown name.
        large_artifacts: also the bundle and the predictions.

    Raises:
        RunError: the status is damaged.
    """
    status = read_status(folder)
    final = _final(folder)
    duration = status.duration_s(until=status.ended)
    tags = {
        # a run that was killed before it could say that it was running
        "state": "interrupted" if status.state == "created" and is_over(folder) else status.state,
        "error": status.error,
        "duration_s": None if duration is None or not status.ended else f"{duration:.1f}",
        "primary_metric": None if final is None else final.primary,
    }
    return Outcome(
        state=tags["state"],  # type: ignore[arg-type]
        ended=status.ended or time.time(),
        last_step=max(last_step.values(), default=0),
        metrics=_unsent(final, last_step),
        tags={key: str(value) for key, value in tags.items() if value},
        folder=folder.path,
        artifacts=_artifacts(folder, large=large_artifacts),
    )


def is_over(folder: RunFolder) -> bool:
    """Whether nobody trains it, so that nothing more will come."""
    try:
        status = read_status(folder)
    except RunError:
        return True
    return status.is_final or (status.state == "created" and not is_locked(folder.path / LOCK_NAME))


def _final(folder: RunFolder) -> FinalMetrics | None:
    with suppress(RunError):
        return read_metrics(folder.metrics_path)
    return None


def _unsent(final: FinalMetrics | None, last_step: Mapping[str, int]) -> dict[str, float]:
    """Those of metrics.json, by names like test/mae, unless they were events already."""
    if final is None:
        return {}
    split = final.split or "final"
    named = {shown_name(f"{split}_{name}"): value for name, value in final.metrics.items()}
    return {name: value for name, value in named.items() if name not in last_step}


def _artifacts(folder: RunFolder, *, large: bool) -> list[Path]:
    names = [*_SMALL, *(_LARGE if large else ())]
    files = [folder.path / name for name in names]
    files += sorted(folder.figures.glob("*.svg"))
    if large:
        files += sorted(path for path in folder.bundle.rglob("*") if path.is_file())
    return [path for path in files if path.exists()]


def _provenance(folder: RunFolder) -> dict[str, Any]:
    try:
        provenance = read_json(folder.provenance_path)
    except RunError:
        return {}
    return provenance if isinstance(provenance, dict) else {}


def _sessions(provenance: dict[str, Any]) -> list[dict[str, Any]]:
    """Records of all sessions, the first one first."""
    return [*(provenance.get("resumed_from") or ()), provenance]


def _identity(folder: RunFolder, config_digest: str, provenance: dict[str, Any]) -> str:
    """The same wherever the run is copied to, and another for each run of a configuration."""
    first = _sessions(provenance)[0]
    parts = (config_digest, folder.path.name, first.get("start"), first.get("host"))
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]


def _started(folder: RunFolder, status: Status, provenance: dict[str, Any]) -> float:
    """When the first session began; status.json knows the latest alone."""
    known = [] if status.started is None else [status.started]
    if provenance.get("resumed_from"):
        with suppress(KeyError, TypeError, ValueError):
            known.append(datetime.fromisoformat(_sessions(provenance)[0]["start"]).timestamp())
    return min(known, default=folder.config_path.stat().st_mtime)


def _short(digest_text: str | None) -> str | None:
    """As the command line prints digests: 12 digits."""
    return None if digest_text is None else str(digest_text)[:12]


def _provenance_tags(provenance: dict[str, Any]) -> dict[str, Any]:
    git = provenance.get("git") or {}
    program, *rest = provenance.get("command") or ("",)
    versions = provenance.get("versions") or {}
    command = [Path(program).name, *rest]
    return {
        "program": " ".join(command[:2] if "/" not in "".join(rest[:1]) else command[:1]),
        "command": " ".join(command),
        "host": provenance.get("host"),
        "version": versions.get("graphwright"),
        "data_digest": _short(provenance.get("data_digest")),
        "split_digest": _short(provenance.get("split_digest")),
        "git_commit": git.get("commit"),
        "git_dirty": git.get("dirty"),
    }
