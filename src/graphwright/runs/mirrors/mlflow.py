"""Mirror to MLflow, by default in the SQLite file `<runs root>/mlflow.db`.

MLflow's file store is gone since version 3, so a database it is. Everything goes through
`MlflowClient` in batches: single calls are thirty times as slow.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from graphwright.runs.events import Record
from graphwright.runs.lock import FileLock
from graphwright.runs.mirrors.base import Outcome, RunFacts

__all__ = ["MlflowTracker"]

_STATES = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
_MOST_PARAMS = 100  # MLflow's limits of one call, and of a name and a value
_LONGEST_NAME = 250
_LONGEST_VALUE = 6000
_FORBIDDEN = re.compile(r"[^\w\-./: ]")

T = TypeVar("T")


class MlflowTracker:
    """Settings: `uri` (tracking URI), `experiment` (default: the task), `run_name`."""

    def __init__(self, folder: Path, root: Path, settings: Mapping[str, Any]) -> None:
        self._root = root
        self._settings = settings
        self._uri = str(settings.get("uri") or f"sqlite:///{root / 'mlflow.db'}")
        self._client: Any = None
        self._run_id = ""

    def begin(self, facts: RunFacts, tracker_id: str | None) -> str:
        """Open the store (made on first use) and the run, and log parameters and tags."""
        lock = FileLock(self._root / ".mlflow.lock", describes="MLflow store")
        # a sweep's first runs would all make the tables and the experiment at the same moment
        lock.acquire(patience_s=None)
        try:
            self._client = self._connect()
            experiment = self._experiment(str(self._settings.get("experiment") or facts.task))
        finally:
            lock.release()
        self._run_id = self._existing(tracker_id) or self._create(experiment, facts)
        self._describe(facts)
        return self._run_id

    def log(self, records: Sequence[Record]) -> None:
        """One call for the batch."""
        from mlflow.entities import Metric

        metrics = [
            Metric(_clean(r.name or ""), r.value, _milliseconds(r.time), r.step) for r in records
        ]
        self._client.log_batch(self._run_id, metrics=metrics, synchronous=True)

    def finish(self, outcome: Outcome) -> None:
        """Final metrics, artifacts and the end state; a run that goes on stays RUNNING."""
        records = [
            Record(outcome.last_step, -1, outcome.ended, name, value)
            for name, value in outcome.metrics.items()
        ]
        if records:
            self.log(records)
        for path in outcome.artifacts:
            self._client.log_artifact(self._run_id, str(path))
        if outcome.state in _STATES:
            end = _milliseconds(outcome.ended)
            self._client.set_terminated(self._run_id, _STATES[outcome.state], end)

    def _connect(self) -> Any:
        # before the import: MLflow reads them then, and DO_NOT_TRACK=1 would not do
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ["DO_NOT_TRACK"] = "true"
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self._uri)

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            if found.lifecycle_stage == "deleted":
                self._client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        if not self._uri.startswith("sqlite:"):  # a server has its own place for artifacts
            return str(self._client.create_experiment(name))
        # else MLflow would make a folder mlruns wherever the training was started; hidden, so that
        # the copied config.yaml is not taken for a run
        artifacts = (self._root / ".mlflow-artifacts" / _clean(name)).as_uri()
        return str(self._client.create_experiment(name, artifact_location=artifacts))

    def _existing(self, run_id: str | None) -> str | None:
        from mlflow.exceptions import MlflowException

        if run_id is None:
            return None
        try:
            run = self._client.get_run(run_id)
        except MlflowException:  # the store was removed or is another one
            return None
        if run.info.lifecycle_stage != "active":
            return None
        self._client.update_run(run_id, status="RUNNING")
        return run_id

    def _create(self, experiment: str, facts: RunFacts) -> str:
        name = str(self._settings.get("run_name") or facts.name)
        start = _milliseconds(facts.started)
        run = self._client.create_run(experiment, start_time=start, run_name=name)
        return str(run.info.run_id)

    def _describe(self, facts: RunFacts) -> None:
        """Parameters and tags; sending the same ones again after a resume changes nothing."""
        from mlflow.entities import Param, RunTag

        params = [
            Param(_clean(key), str(value)[:_LONGEST_VALUE]) for key, value in facts.params.items()
        ]
        for batch in _batches(params, _MOST_PARAMS):
            self._client.log_batch(self._run_id, params=batch, synchronous=True)
        tags = [RunTag(_clean(key), value[:_LONGEST_VALUE]) for key, value in facts.tags.items()]
        self._client.log_batch(self._run_id, tags=tags, synchronous=True)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _clean(name: str) -> str:
    return _FORBIDDEN.sub("_", name)[:_LONGEST_NAME]


def _batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
