"""The nas task: what the floor asks of it.

Legend: M = ensemble members, B = architectures of a batch, T = metrics.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.data.splits import split_digest
from graphwright.nn.across_ranks import pooled_mean
from graphwright.tasks.nas.build import build_model
from graphwright.tasks.nas.config import NasConfig
from graphwright.tasks.nas.encoding import encode, fit_encoding
from graphwright.tasks.nas.evaluation import column_name
from graphwright.tasks.nas.labels import Labels
from graphwright.tasks.nas.loaded import Loaded
from graphwright.tasks.nas.metrics import kendall_tau, predicted_ranks
from graphwright.tasks.nas.models.predicted import Predicted
from graphwright.tasks.nas.objective import objective
from graphwright.tasks.nas.onnx import onnx_form
from graphwright.tasks.nas.raw_input import (
    everyone,
    given_names,
    input_form,
    read_architectures,
    read_labelled_table,
    rejected_rows,
)
from graphwright.tasks.nas.splitting import split_rows
from graphwright.tasks.nas.store import open_or_build, table_source
from graphwright.tasks.nas.truth import EncodedRows, evaluate_rows
from graphwright.training.export_form import OnnxForm
from graphwright.training.task import (
    Columns,
    Evaluation,
    Infer,
    InputForm,
    RawInput,
    Stage,
    StepOutput,
    Task,
    TaskData,
)

__all__ = ["TASK", "NasModel", "NasTask"]


class NasModel(nn.Module):
    """A predictor and the transform between its scale and the labels' units.

    Args:
        network: gives `Predicted` for a batch.
        labels: fitted on the training split.
    """

    def __init__(self, network: nn.Module, labels: Labels) -> None:
        super().__init__()
        self.network = network
        self.labels = labels

    def forward(self, batch: GraphBatch) -> Predicted:
        """See the network."""
        predicted: Predicted = self.network(batch)
        return predicted


class NasTask(Task[NasConfig, Loaded]):
    """Predicts how accurate an architecture will be."""

    def load(self) -> Loaded:
        """See `Task.load`."""
        return open_or_build(self.config.data, self.data_root)

    def split(self, loaded: Loaded) -> TaskData:
        """Deal the rows, fit vocabulary, scales and label rules on the training split, encode."""
        parts = self._rows(loaded)
        state = fit_encoding(loaded, parts["train"], self.config)
        labels = Labels.from_json(state["labels"])
        summary = {
            "architectures": len(loaded),
            "splits": {name: len(rows) for name, rows in parts.items()},
            "labels": labels.describe(loaded.targets(everyone(loaded))),
            "rejected": dict(loaded.rejected),
            "store": str(loaded.folder),
        }
        return TaskData(
            sources={
                name: EncodedRows(encode(loaded, rows, state, self.config), loaded, rows)
                for name, rows in parts.items()
            },
            state=state,
            digest=loaded.store.digest,
            split_digest=split_digest(parts),
            summary=summary,
        )

    def build_model(self, state: Mapping[str, Any]) -> NasModel:
        """See `Task.build_model`."""
        return NasModel(build_model(self.config, state), Labels.from_json(state["labels"]))

    def step(self, model: NasModel, batch: GraphBatch, stage: Stage) -> StepOutput:
        """The sum of the members' losses; errors on the learnt scale, of the members' mean."""
        predicted = model(batch)
        loss = objective(predicted, batch, self.config)
        if stage == "train":
            return StepOutput(loss=loss, metrics={}, weight=batch.num_samples)
        mean_B = predicted.values_MBT[:, :, 0].mean(0)
        target_B, valid_B = batch.graphs["target"][:, 0], batch.graphs["valid"][:, 0]
        error_B = (mean_B - target_B) * valid_B
        known = valid_B.sum()
        metrics = {"mse": pooled_mean(error_B.square().sum() / known.clamp(min=1), known)}
        samples = {"predicted": mean_B, "target": target_B, "valid": valid_B}
        return StepOutput(loss=loss, metrics=metrics, weight=batch.num_samples, samples=samples)

    def validation_metrics(self, samples: Columns) -> dict[str, float]:
        """Kendall's τ of the primary metric."""
        valid = samples["valid"] > 0
        return {"kendall_tau": kendall_tau(samples["predicted"][valid], samples["target"][valid])}

    def predict(self, model: NasModel, batch: GraphBatch) -> dict[str, Tensor]:
        """`predicted` and `sd` (of an ensemble) in the metric's unit, and the chance to succeed."""
        values_MBT = model(batch).values_MBT.double().cpu()
        metrics = model.labels.metrics
        known_MBT = values_MBT[:, :, : len(metrics)]
        mean_BT = known_MBT.mean(0).numpy()
        columns = {}
        for i, transform in enumerate(model.labels.transforms):
            mean_B = mean_BT[:, i]
            columns[column_name("predicted", metrics, i)] = transform.inverse(mean_B)
            if len(values_MBT) > 1:
                sd_B = known_MBT[:, :, i].std(0).numpy()
                columns[column_name("sd", metrics, i)] = transform.inverse_spread(mean_B, sd_B)
        if self.config.data.labels.feasibility:
            columns["p_feasible"] = values_MBT[:, :, -1].sigmoid().mean(0).numpy()
        return {name: torch.from_numpy(values) for name, values in columns.items()}

    def finish_predictions(self, columns: Columns) -> Columns:
        """Beside them the rank among all, 1 for the most promising."""
        higher = table_source(self.config.data).higher_is_better
        ranks = predicted_ranks(columns["predicted"], higher_is_better=higher)
        return {**columns, "rank": ranks}

    def evaluate(self, infer: Infer, data: TaskData, split: str) -> Evaluation:
        """See `evaluation.evaluate_predictor`."""
        return evaluate_rows(infer, data, split, self.config)

    def read_input(self, raw: Path | Sequence[str], state: Mapping[str, Any]) -> RawInput:
        """A table, an ONNX file, `package.module:function`, or texts; see `raw_input`."""
        # what is only predicted is no data set to keep
        with tempfile.TemporaryDirectory(prefix="graphwright-") as folder:
            loaded = read_architectures(raw, self.config, state, Path(folder), self.limits)
            source = encode(loaded, everyone(loaded), state, self.config)
            names = given_names(loaded, raw, self.config)
            return RawInput(source=source, names=names, rejected=rejected_rows(loaded))

    def input_form(self, state: Mapping[str, Any]) -> InputForm:
        """See `raw_input.input_form`."""
        return input_form(state)

    def read_labelled(self, path: Path, state: Mapping[str, Any]) -> TaskData:
        """A table with the same metrics as the training table."""
        loaded = read_labelled_table(path, self.config, self.data_root)
        rows = everyone(loaded)
        source = EncodedRows(encode(loaded, rows, state, self.config), loaded, rows)
        summary = {"architectures": len(loaded), "rejected": dict(loaded.rejected)}
        return TaskData({"test": source}, dict(state), loaded.store.digest, "", summary)

    def proof(self, model: NasModel, data: TaskData) -> dict[str, Any]:
        """Nothing is promised of a predictor beyond its evaluation."""
        return {}

    def onnx_form(self, model: NasModel, state: Mapping[str, Any]) -> OnnxForm:
        """See `onnx.onnx_form`."""
        return onnx_form(self, model, state)

    def counts(self, batch: GraphBatch) -> dict[str, int]:
        """Architectures and their nodes."""
        return {"samples": batch.num_samples, "nodes": batch.num_nodes}

    def _rows(self, loaded: Loaded) -> dict[str, NDArray[np.int64]]:
        split = self.config.data.split
        groups = None
        if split.by == "group" and loaded.layout.group:
            groups = loaded.store.column("group").numpy()
        return split_rows(len(loaded), split, self.config.seed, groups)


TASK = NasTask
