"""Mirror to Weights & Biases, offline by default: `<run>/mirrors/wandb/offline-run-*`.

`wandb sync --append` uploads the pieces of a run that was resumed as one run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphwright.runs.events import Record
from graphwright.runs.mirrors.base import Outcome, RunFacts

__all__ = ["WandbTracker"]

_EXIT_CODES = {"finished": 0, "failed": 1, "interrupted": 255}
_QUIET = {
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_CONSOLE": "off",
    "WANDB_DISABLE_GIT": "true",  # the commit is in the tags, of the trainer's folder
    "WANDB_DISABLE_CODE": "true",
}


class WandbTracker:
    """Settings: `mode` (offline), `project` (graphwright), `name`, `tags`, `entity`."""

    def __init__(self, folder: Path, root: Path, settings: Mapping[str, Any]) -> None:
        self._folder = folder
        self._settings = settings
        self._run: Any = None

    def begin(self, facts: RunFacts, tracker_id: str | None) -> str:
        """Start a run, or another piece of the run of that id."""
        os.environ.update(_QUIET)
        import wandb

        settings = self._settings
        mode = str(settings.get("mode") or "offline")
        self._run = wandb.init(
            dir=str(self._folder / "mirrors"),
            project=str(settings.get("project") or "graphwright"),
            entity=settings.get("entity"),
            name=str(settings.get("name") or facts.name),
            tags=[facts.task, *settings.get("tags", ())],
            config={**facts.config, "run": dict(facts.tags)},
            mode=mode,  # type: ignore[arg-type]
            id=tracker_id,
            # offline there is nobody to ask; the id alone joins the pieces when they are synced
            resume="allow" if tracker_id and mode == "online" else None,
        )
        # an axis of our own: W&B drops rows whose built-in step goes back
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        return str(self._run.id)

    def log(self, records: Sequence[Record]) -> None:
        """One row per step."""
        rows: dict[int, dict[str, float]] = {}
        for record in records:
            row = rows.setdefault(record.step, {"step": record.step, "epoch": record.epoch})
            row[record.name or ""] = record.value
        for row in rows.values():
            self._run.log(row)

    def finish(self, outcome: Outcome) -> None:
        """Final metrics in the summary, the artifacts as files, and the exit code."""
        self._run.summary.update({**outcome.metrics, "state": outcome.state})
        for path in outcome.artifacts:
            # saved as run_000/config.yaml: W&B keeps a config.yaml of its own, and saving links
            # to our file, so under the same name it could write through the link
            self._run.save(str(path), base_path=str(path.parent.parent), policy="now")
        self._run.finish(exit_code=_EXIT_CODES.get(outcome.state, 0))
