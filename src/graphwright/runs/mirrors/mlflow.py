"""Mirror to MLflow: an SQLite file (by default `<runs root>/mlflow.db`) or a tracking server.

MLflow's file store is gone since version 3, so a database it is. Everything goes through
`MlflowClient` in batches: single calls are thirty times as slow. A run is found again by the tag
`graphwright.run_id`, and MLflow keeps a value that is sent twice once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from graphwright.runs.events import Record
from graphwright.runs.mirrors.base import Begun, Outcome, RunFacts
from graphwright.runs.mirrors.mlflow_store import Store, open_client
from graphwright.runs.mirrors.names import title, without_odd_signs

__all__ = ["MlflowTracker"]

_STATES = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
_MOST_PARAMS = 100  # MLflow's limits of one call, and of a value
_LONGEST_VALUE = 6000
_TABLE = "workflowType=machine_learning"  # else MLflow 3 shows its page of language models
_OWN_NAMES = {"program": "mlflow.source.name", "git_commit": "mlflow.source.git.commit"}

T = TypeVar("T")


class MlflowTracker:
    """Settings: `uri` (tracking URI), `experiment` (default: the task), `run_name`."""

    def __init__(self, folder: Path, root: Path, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._store = Store.of(settings.get("uri"), root)
        experiment = settings.get("experiment") or ""
        place = "" if self._store.usual else self._store.shown
        self.destination = f"{place} {experiment}".strip()
        self.mark = -1
        self._opened: Any = None
        self._experiment_id = ""
        self._run_id = ""

    def check(self) -> None:
        """Whether the server answers."""
        open_client(self._store)

    def holds(self, tracker_id: str) -> bool:
        """Whether the run is there and was not deleted."""
        found = self._run(tracker_id)
        if found is not None:
            self._run_id, self._experiment_id = tracker_id, str(found.info.experiment_id)
        return found is not None

    def begin(self, facts: RunFacts, tracker_id: str | None) -> Begun:
        """Open the store (made on first use) and the run, and log parameters and tags."""
        self._experiment_id = self._experiment(str(self._settings.get("experiment") or facts.task))
        steps: dict[str, int] = {}
        fresh = tracker_id is None or self._run(tracker_id) is None
        if not fresh:
            self._run_id = str(tracker_id)
        elif (found := self._found(facts.identity)) is not None:
            self._run_id = found
            steps = self._steps()
        else:
            self._run_id = self._create(facts)
        self._describe(facts)
        if facts.goes_on:
            self._client.update_run(self._run_id, status="RUNNING")
        return Begun(tracker_id=self._run_id, fresh=fresh, steps=steps)

    def log(self, records: Sequence[Record]) -> None:
        """One call for the batch."""
        from mlflow.entities import Metric

        metrics = [Metric(r.name or "", r.value, _milliseconds(r.time), _step(r)) for r in records]
        self._client.log_batch(self._run_id, metrics=metrics, synchronous=True)

    def finish(self, outcome: Outcome) -> None:
        """Final metrics, the end state and artifacts; a run that goes on stays RUNNING."""
        records = [
            Record(outcome.last_step, -1, outcome.ended, name, value)
            for name, value in outcome.metrics.items()
        ]
        for batch in _batches(records, 1000):
            self.log(batch)
        self._tag(outcome.tags)
        if outcome.state in _STATES:
            end = _milliseconds(outcome.ended)
            self._client.set_terminated(self._run_id, _STATES[outcome.state], end)
        for path in outcome.artifacts:  # last, because artifacts may have a server of their own
            below = path.relative_to(outcome.folder).parent.as_posix()
            below = "" if below == "." else below
            self._client.log_artifact(self._run_id, str(path), artifact_path=below or None)

    def discard(self, piece: str) -> None:
        """There are no pieces here."""

    def where(self) -> str:
        """The experiment's page, of a server."""
        if not self._store.is_server:
            return ""
        return f"{self._store.shown}/#/experiments/{self._experiment_id}/runs?{_TABLE}"

    @property
    def _client(self) -> Any:
        if self._opened is None:
            self._opened = open_client(self._store)
        return self._opened

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                location = self._store.artifact_location(name)
                return str(self._client.create_experiment(name, artifact_location=location))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = self._client.get_experiment_by_name(name)  # made at the same moment
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _run(self, run_id: str) -> Any:
        """MLflow's run of that id, or None if it has none or it was deleted."""
        from mlflow.exceptions import MlflowException

        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:  # the store was emptied or is another one
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return run if run.info.lifecycle_stage == "active" else None

    def _found(self, identity: str) -> str | None:
        """A run that an earlier mirror made, perhaps of another copy of the run folder."""
        query = f"tags.`graphwright.run_id` = '{identity}'"
        runs = self._client.search_runs([self._experiment_id], query, max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def _steps(self) -> dict[str, int]:
        """The steps that the run surely has; the last one may be there in part."""
        steps = {}
        for name in self._client.get_run(self._run_id).data.metrics:
            history = self._client.get_metric_history(self._run_id, name)
            steps[name] = max((metric.step for metric in history), default=0) - 1
        return steps

    def _create(self, facts: RunFacts) -> str:
        name = str(self._settings.get("run_name") or title(facts.name))
        tags = {"graphwright.run_id": facts.identity}  # at once, or a kill would lose the run
        start = _milliseconds(facts.started)
        run = self._client.create_run(
            self._experiment_id, start_time=start, tags=tags, run_name=name
        )
        return str(run.info.run_id)

    def _describe(self, facts: RunFacts) -> None:
        """Parameters and tags; sending the same ones again after a resume changes nothing."""
        from mlflow.entities import Param

        params = [
            Param(without_odd_signs(key), str(value)[:_LONGEST_VALUE])
            for key, value in facts.params.items()
        ]
        for batch in _batches(params, _MOST_PARAMS):
            self._client.log_batch(self._run_id, params=batch, synchronous=True)
        self._tag(facts.tags)
        self._name_data(facts)

    def _name_data(self, facts: RunFacts) -> None:
        """The column of data sets in the table of runs."""
        if "data_digest" not in facts.tags:
            return
        from mlflow.entities import Dataset, DatasetInput, InputTag

        name = (facts.name.split("/")[1:-1] or [facts.task])[0]
        data = Dataset(name, facts.tags["data_digest"], "local", "{}")
        context = InputTag("mlflow.data.context", "training")
        self._client.log_inputs(self._run_id, datasets=[DatasetInput(data, [context])])

    def _tag(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        named = {_OWN_NAMES.get(key, f"graphwright.{key}"): value for key, value in tags.items()}
        made = [
            RunTag(without_odd_signs(key), value[:_LONGEST_VALUE]) for key, value in named.items()
        ]
        self._client.log_batch(self._run_id, tags=made, synchronous=True)


def _step(record: Record) -> int:
    """MLflow draws bars, one for each run, of what has no step but 0, and else a lonely dot."""
    return 0 if (record.name or "").startswith("test/") else record.step


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
