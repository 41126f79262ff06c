"""What is done with a trained run: evaluate, predict, export."""

from __future__ import annotations

import csv
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from graphwright.errors import DataError, RunError, nearest
from graphwright.launch.links import read_links
from graphwright.runs.files import atomic_path
from graphwright.runs.folder import CONFIG_NAME, MODEL_NAME, RunFolder
from graphwright.runs.index import resolve_model

if TYPE_CHECKING:
    from graphwright.training.export import Exported
    from graphwright.training.task import Columns

__all__ = ["Predictions", "evaluate", "export_bundle", "export_onnx", "load_run", "predict"]

BATCH = 64
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Predictions:
    """Predictions for a user's file.

    Attributes:
        names: of the samples, in the order of the input.
        columns: one array a predicted quantity, one row a sample.
        rejected: (where, reason) of every row that could not be predicted.
    """

    names: list[str]
    columns: Columns
    rejected: list[tuple[str, str]]

    def write(self, out: Path) -> None:
        """As .csv or .parquet; rejected rows go to `<out>.rejected.csv` beside it.

        Raises:
            DataError: another suffix.
        """
        if out.suffix == ".parquet":
            from graphwright.training.finish import write_columns

            write_columns(out, {"id": _strings(self.names), **self.columns})
        elif out.suffix == ".csv":
            with atomic_path(out) as temporary, temporary.open("w", newline="") as file:
                self.to_csv(file)
        else:
            raise DataError("predictions are written as .csv or .parquet", where=out)
        if self.rejected:
            aside = out.with_name(f"{out.name}.rejected.csv")
            with atomic_path(aside) as temporary, temporary.open("w", newline="") as file:
                csv.writer(file).writerows([("where", "reason"), *self.rejected])

    def to_csv(self, file: IO[str]) -> None:
        """A header and one line a sample."""
        writer = csv.writer(file)
        writer.writerow(["id", *self.columns])
        columns = [column.tolist() for column in self.columns.values()]
        writer.writerows(zip(self.names, *columns, strict=True))


def predict(
    run: Path | str,
    source: Any,
    *,
    also: Sequence[Path | str] = (),
    explain: bool = True,
    data_root: Path = Path("data"),
) -> Predictions:
    """A trained model's answers on raw input, or those of several models together.

    Args:
        run: a run folder or a bundle.
        source: the user's file, or data in memory as the task takes them (geometry: a
            `StructureTable` from `structures_from_arrays`).
        also: further runs of the same task, other seeds perhaps: every column becomes the mean over
            all runs, with `<column>_sd` beside it (`agreement.combine`).
        explain: also say what mattered, where the task can (`Task.explain`).
        data_root: where prepared data are kept.

    Raises:
        BundleError: no bundle there, or a damaged one; or runs that do not go together.
        DataError: the input is missing, malformed, or has no usable row; or the runs read it
            differently.
        RunError: one run is named twice.
    """
    from graphwright.launch.agreement import check_same_task, combine, distinct_runs
    from graphwright.training.bundle import load_bundle
    from graphwright.training.infer import over_source

    source = Path(source) if isinstance(source, str) else source
    runs = distinct_runs([Path(run), *map(Path, also)])
    bundles = {folder: load_bundle(folder, data_root) for folder in runs}
    check_same_task({folder: bundle.task.config.task for folder, bundle in bundles.items()})
    answers: dict[Path, Predictions] = {}
    for folder, bundle in bundles.items():
        raw = bundle.task.read_input(source, bundle.state)
        infer = over_source(bundle.task, bundle.model, batch_size=BATCH, explain=explain)
        answers[folder] = Predictions(raw.names, infer(raw.source), raw.rejected)
    first = answers[runs[0]]
    return combine(answers, bundles[runs[0]].task.finish_predictions) if also else first


def evaluate(
    run: Path, *, split: str = "test", data: Path | None = None, data_root: Path = Path("data")
) -> dict[str, Any]:
    """The evaluation of a trained run on one of its own splits or on other data.

    Args:
        run: a run folder or a bundle.
        split: `train`, `val`, `test` or one of the task's own; ignored with `data`.
        data: a file with answers.
        data_root: where prepared data are kept.

    Returns:
        As `metrics.json`: metrics, tables and proofs. Runs that this one builds on and that are no
        longer there are told in the log and in `missing_links`: rows that need them are left out.
    """
    from graphwright.training.bundle import load_bundle
    from graphwright.training.infer import over_source

    bundle = load_bundle(run, data_root)
    task = bundle.task
    links, missing = _links_of(run)
    prepared = task.split(task.load()) if data is None else task.read_labelled(data, bundle.state)
    infer = over_source(task, bundle.model, batch_size=BATCH)
    name = split if data is None else "test"
    if name not in prepared.sources:
        raise DataError(
            f"{name}: no such split{nearest(name, prepared.sources)}",
            fix=f"splits are {', '.join(prepared.sources)}",
        )
    task.links = links  # only now: the data are those of a model that is ready, without its parts
    report = task.evaluate(infer, prepared, name).report
    told = {"missing_links": missing} if missing else {}
    return {**report, "data": prepared.summary, **task.proof(bundle.model, prepared), **told}


def _links_of(run: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Runs that a run builds on and that can be loaded; the others. A bundle knows of none."""
    if not (run / CONFIG_NAME).is_file():
        return {}, {}
    links = read_links(RunFolder.open(run))
    there = {role: path for role, path in links.items() if (path / "bundle").is_dir()}
    missing = {role: str(path) for role, path in links.items() if role not in there}
    for role, path in missing.items():
        log.warning("the %s of this run is not there any more: %s", role, path)
    return there, missing


def export_bundle(run: Path, out: Path) -> Path:
    """Copy a finished run's bundle (or one that was exported already) to a new folder.

    Raises:
        RunError: the run has no bundle yet, or `out` exists.
    """
    bundle = run if (run / MODEL_NAME).is_file() else run / "bundle"
    if not (bundle / MODEL_NAME).is_file():
        raise RunError("this run has no bundle yet", where=run, fix=f"graphwright resume {run}")
    if out.exists():
        raise RunError("the output exists", where=out, fix="choose another -o")
    with atomic_path(out) as temporary:
        try:
            shutil.copytree(bundle, temporary)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    return out


def export_onnx(run: Path | str, out: Path | str, *, data_root: Path = Path("data")) -> Exported:
    """Write a trained model as ONNX, with a JSON beside it, and compare it with the model.

    Args:
        run: a run folder or a bundle.
        out: `NAME.onnx`, or a folder that gets `model.onnx` and `model.json`.
        data_root: where prepared data are kept.

    Raises:
        MissingExtraError, ConfigError, BundleError, RunError: see `training.export.export_onnx`.
    """
    from graphwright.training.bundle import load_bundle
    from graphwright.training.export import export_onnx as write

    return write(load_bundle(Path(run), data_root), Path(out))


def load_run(
    run: Path | str, *, runs_root: Path = Path("runs"), data_root: Path = Path("data")
) -> Any:
    """The trained model of a run: a `Bundle` with `task`, `model` and `state`.

    Args:
        run: a run folder or bundle, or a name that `graphwright runs` shows.
        runs_root: where such names are looked up.
        data_root: where prepared data are kept.

    Raises:
        RunError: no such run.
        BundleError: it has no bundle, or a damaged one.
    """
    from graphwright.training.bundle import load_bundle

    return load_bundle(resolve_model(str(run), runs_root), data_root)


def _strings(names: Sequence[str]) -> Any:
    import numpy as np

    return np.array(names)
