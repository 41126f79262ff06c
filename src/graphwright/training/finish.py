"""After the loop: the bundle, the evaluation, the predictions."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from graphwright.runs.events import EventWriter, read_events
from graphwright.runs.files import atomic_path, read_json
from graphwright.runs.folder import RunFolder
from graphwright.training.bundle import save_bundle
from graphwright.training.engine import Prepared, trained_model
from graphwright.training.infer import over_source
from graphwright.training.task import Columns, Task

__all__ = ["finish", "write_columns"]

log = logging.getLogger("graphwright")


def finish(task: Task[Any, Any], prepared: Prepared, folder: RunFolder) -> dict[str, Any]:
    """Ship the best weights and evaluate them on the test split.

    Returns:
        The contents of `metrics.json`.
    """
    model = trained_model(task, prepared, folder).eval()
    infer = over_source(task, model, batch_size=task.config.loading.eval_batch_size)
    evaluation = task.evaluate(infer, prepared.data, "test")
    summary = prepared.data.summary
    report = {
        **evaluation.report,
        "parameters": sum(p.numel() for p in model.parameters()),
        "data": {"digest": prepared.data.digest, **summary},
        **task.proof(model, prepared.data),
    }
    _add_references(report, folder)
    write_columns(folder.predictions_path, evaluation.predictions)
    about = {"run": folder.path.name, "metrics": report["metrics"], "split": report["split"]}
    save_bundle(folder.bundle, task, model, prepared.data.state, about)
    folder.write_json("metrics.json", report)
    _log_as_events(report, folder)
    return report


def write_columns(path: Path, columns: Columns) -> None:
    """Columns as a Parquet file, written under a temporary name first."""
    import pyarrow as pa
    from pyarrow import parquet

    with atomic_path(path) as temporary:
        parquet.write_table(pa.table(columns), temporary)


def _log_as_events(report: dict[str, Any], folder: RunFolder) -> None:
    """Test metrics as events too, so that every mirror has them."""
    prefix = report["split"]
    recorded = read_events(folder.events_path)
    steps, epochs, _ = recorded.series("val_loss")
    record = {f"{prefix}_{name}": value for name, value in report["metrics"].items()}
    # a run killed after this and before it was called finished comes here again
    missing = {name: value for name, value in record.items() if recorded.last(name) is None}
    with EventWriter(folder.events_path) as events:
        events.log(missing, steps[-1], epochs[-1])


def _add_references(report: dict[str, Any], folder: RunFolder) -> None:
    """Put the own row of each reference run into the tables with the same title."""
    provenance = folder.read_json("provenance.json")
    for path in provenance.get("links", {}).get("references", {}).values():
        other = read_json(Path(path) / "metrics.json")
        for table in report["tables"]:
            twin = next((t for t in other["tables"] if t["title"] == table["title"]), None)
            if twin is not None:
                table["rows"] += [row for row in twin["rows"] if row[0] == twin.get("highlight")]
