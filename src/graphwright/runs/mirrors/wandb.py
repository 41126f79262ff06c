"""Mirror to Weights & Biases, offline by default: `<run>/mirrors/wandb/offline-run-*`.

`wandb sync` uploads the pieces of a run that was resumed as one run, in order of time.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from graphwright.errors import RunError
from graphwright.runs.events import Record
from graphwright.runs.mirrors.base import Begun, Outcome, RunFacts
from graphwright.runs.mirrors.names import title

__all__ = ["WandbTracker"]

_PROJECT = "graphwright"
_EXIT_CODES = {"finished": 0, "failed": 1, "interrupted": 255}
_PATIENCE_S = 30.0  # for the first answer of a server
_QUIET = {
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_CONSOLE": "off",
    "WANDB_DISABLE_GIT": "true",  # the commit is in the tags, of the trainer's folder
    "WANDB_DISABLE_CODE": "true",
}
#: of the machine and environment that mirror; they are those that train only while it goes on
_NOT_OURS = {
    "x_disable_stats": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
}


class WandbTracker:
    """Settings: `mode` (offline), `project` (graphwright), `name`, `tags`, `entity`, `uri`."""

    def __init__(self, folder: Path, root: Path, settings: Mapping[str, Any]) -> None:
        self._folder, self._root = folder, root
        self._settings = settings
        self._mode = str(settings.get("mode") or "offline")
        self._project = str(settings.get("project") or _PROJECT)
        parts = (settings.get("uri"), settings.get("entity"), self._project)
        place = "/".join(str(part) for part in parts if part)
        usual = self._mode == "offline" and place == _PROJECT
        self.destination = "" if usual else f"{self._mode} {place}"
        self.mark = -1  # the highest of W&B's own steps
        self._run: Any = None
        self._step: int | None = None  # the training's step that `mark` belongs to

    def check(self) -> None:
        """Whether there is a key to the server."""
        if self._mode != "online":
            return
        os.environ.update(_QUIET)
        import wandb

        uri = self._settings.get("uri")
        try:
            client = wandb.Api(overrides={"base_url": uri} if uri else {}, timeout=int(_PATIENCE_S))
            client.default_entity  # noqa: B018 (asks the server)
        except Exception as error:
            raise _refused(error, uri) from error

    def holds(self, tracker_id: str) -> bool:
        """Whether the offline pieces are there; a server is not asked."""
        return self._mode == "online" or any(self._pieces(tracker_id))

    def begin(self, facts: RunFacts, tracker_id: str | None) -> Begun:
        """Start a run, or another piece of the run of that id."""
        os.environ.update(_QUIET)
        offline = self._mode == "offline"
        fresh = tracker_id is None or not self.holds(tracker_id)
        identity = tracker_id or facts.identity  # pieces that were removed come again as this run
        if fresh:
            self.mark = -1
        if offline:
            self._wait_for_a_free_name(identity)
        self._run = self._init(facts, identity)
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")
        return Begun(
            tracker_id=str(self._run.id),
            fresh=fresh,
            piece=str(Path(self._run.dir).parent) if offline else None,
        )

    def log(self, records: Sequence[Record]) -> None:
        """One row per step, in an order that W&B never drops: its own step only goes up."""
        rows: dict[int, dict[str, float]] = {}
        for record in records:
            row = rows.setdefault(record.step, {"step": record.step, "epoch": record.epoch})
            row[record.name or ""] = record.value
            row["_timestamp"] = record.time
        for step, row in rows.items():
            if step != self._step:
                self.mark = max(step, self.mark + 1)
                self._step = step
            self._run.log(row, step=self.mark)

    def finish(self, outcome: Outcome) -> None:
        """Final metrics in the summary, the artifacts as files, and the exit code."""
        self._run.summary.update({**outcome.metrics, **outcome.tags})
        for path in outcome.artifacts:
            # saved as run_000/config.yaml: W&B keeps a config.yaml of its own, and saving links
            # to our file, so under the same name it could write through the link
            self._run.save(str(path), base_path=str(outcome.folder.parent), policy="now")
        self._run.finish(exit_code=_EXIT_CODES.get(outcome.state, 0))

    def discard(self, piece: str) -> None:
        """Remove an offline piece."""
        shutil.rmtree(piece, ignore_errors=True)

    def where(self) -> str:
        """The project's page, or what `wandb sync` is to be given."""
        if self._mode == "online":
            return "" if self._run is None else str(self._run.project_url or "")
        return str(self._root / "**" / "mirrors" / "wandb" / "offline-run-*")

    def _pieces(self, identity: str) -> list[Path]:
        return list((self._folder / "mirrors" / "wandb").glob(f"offline-run-*-{identity}"))

    def _wait_for_a_free_name(self, identity: str) -> None:
        """A piece's name has the second in it, and a second piece of that name would replace it."""
        while any(
            piece.name.startswith(f"offline-run-{datetime.now():%Y%m%d_%H%M%S}")
            for piece in self._pieces(identity)
        ):
            time.sleep(0.1)

    def _init(self, facts: RunFacts, identity: str) -> Any:
        import wandb

        settings = self._settings
        known: dict[str, Any] = {"init_timeout": _PATIENCE_S}
        if not facts.goes_on:
            known.update(_NOT_OURS)
        if settings.get("uri"):
            known["base_url"] = str(settings["uri"])
        try:
            return wandb.init(
                dir=str(self._folder / "mirrors"),
                project=self._project,
                entity=settings.get("entity"),
                name=str(settings.get("name") or title(facts.name)),
                group=facts.tags.get("sweep"),
                job_type=facts.task,
                tags=[facts.task, *settings.get("tags", ())],
                config={**facts.config, "run": {**facts.tags, "started": facts.started}},
                mode=self._mode,  # type: ignore[arg-type]
                id=identity,
                # offline there is nobody to ask; the id alone joins the pieces when they are synced
                resume="allow" if self._mode == "online" else None,
                settings=wandb.Settings(**known),
            )
        except (wandb.errors.UsageError, wandb.errors.CommError) as error:
            raise _refused(error, settings.get("uri")) from error


def _refused(error: Exception, uri: object) -> RunError:
    text = " ".join(str(error).split())
    return RunError(
        f"W&B does not take runs: {text[:300]}",
        where=uri,
        fix="wandb login; or mirror offline and upload with wandb sync",
    )
