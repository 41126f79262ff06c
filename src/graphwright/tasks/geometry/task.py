"""The geometry task: what the floor asks of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphwright.data.batch import GraphBatch
from graphwright.data.packed import PackedGraphs
from graphwright.data.rejects import KeptRejects, Rejects
from graphwright.data.source import Subset
from graphwright.data.splits import group_split, random_split, split_digest
from graphwright.errors import DataError
from graphwright.tasks.geometry.arrays import Sample, assemble
from graphwright.tasks.geometry.config import GeometryConfig
from graphwright.tasks.geometry.data_config import Columns, FileSource
from graphwright.tasks.geometry.evaluation import evaluate_vectors
from graphwright.tasks.geometry.graphs import build_graphs
from graphwright.tasks.geometry.metrics import AXES
from graphwright.tasks.geometry.onnx import onnx_form
from graphwright.tasks.geometry.proof import equivariance_report
from graphwright.tasks.geometry.raw_input import check_file, check_table, input_form
from graphwright.tasks.geometry.readers import load_source, read_structures
from graphwright.tasks.geometry.sources import map_batch
from graphwright.tasks.geometry.store import Loaded, open_or_build
from graphwright.tasks.geometry.structures import StructureTable, drop_bad_structures
from graphwright.tasks.geometry.vector_model import VectorModel, build_network
from graphwright.training.export_form import OnnxForm
from graphwright.training.task import (
    Evaluation,
    Infer,
    InputForm,
    RawInput,
    Stage,
    StepOutput,
    Task,
    TaskData,
)

__all__ = ["TASK", "GeometryTask"]


class GeometryTask(Task[GeometryConfig, Loaded]):
    """Predicts one 3D vector per structure."""

    def load(self) -> Loaded:
        """See `Task.load`."""
        return open_or_build(self.config.data, self.data_root)

    def split(self, loaded: Loaded) -> TaskData:
        """Split at random or by group; elements and scale come from the training split."""
        store = loaded.store
        splits = self._split_indices(store)
        splits, unknown = _without_unknown_elements(store, splits)
        state = self._fit(store, splits["train"])
        sizes = {name: len(index) for name, index in splits.items()}
        return TaskData(
            sources={name: Subset(store, index) for name, index in splits.items()},
            state=state,
            digest=store.digest,
            split_digest=split_digest(splits),
            summary={
                "structures": len(store),
                "points": int(store.node_counts().sum()),
                "edges": int(store.edge_counts().sum()),
                "splits": sizes,
                "rejected": loaded.rejected,
                "held_out_with_unknown_elements": unknown,
                "store": str(loaded.folder),
            },
        )

    def build_model(self, state: Mapping[str, Any]) -> VectorModel:
        """See `Task.build_model`."""
        network = build_network(
            self.config, num_elements=len(state["elements"]), num_features=state["features"]
        )
        return VectorModel(
            network,
            elements=state["elements"],
            scale=state["scale"],
            target_is_position=state["target_is_position"],
        )

    def step(self, model: VectorModel, batch: GraphBatch, stage: Stage) -> StepOutput:
        """Loss in units of the scale, errors in the target's unit."""
        if stage == "train":
            batch = self._augment(batch)
        predicted_B3, target_B3 = model(batch), batch.graphs["target"]
        error_B3 = predicted_B3 - target_B3
        loss = _LOSSES[self.config.loss](error_B3 / model.scale.to(error_B3.dtype))
        with torch.no_grad():
            metrics = _step_metrics(error_B3)
        return StepOutput(loss=loss, metrics=metrics, weight=batch.num_samples)

    def predict(self, model: VectorModel, batch: GraphBatch) -> dict[str, Tensor]:
        """`predicted_x` … in the frame of the input: a position is moved back to its origin."""
        vectors_B3 = model.in_input_frame(batch, model(batch))
        return {f"predicted_{axis}": vectors_B3[:, i] for i, axis in enumerate(AXES)}

    def evaluate(self, infer: Infer, data: TaskData, split: str) -> Evaluation:
        """See `evaluation.evaluate_vectors`."""
        source = data.sources[split]
        assert isinstance(source, Subset)
        return evaluate_vectors(infer, source, data.state, name=self.config.model.name, split=split)

    def read_input(
        self, raw: Path | StructureTable | list[Sample], state: Mapping[str, Any]
    ) -> RawInput:
        """Structures from any readable file or from arrays (`arrays.structures_from_arrays`).

        Those that cannot be predicted are named.
        """
        source = self.config.data.source
        columns = source.columns if isinstance(source, FileSource) else Columns()
        rejects, where = KeptRejects(), raw if isinstance(raw, Path) else "arrays"
        if isinstance(raw, Path):
            check_file(raw, self.limits)
            table = read_structures(raw, target=None, columns=columns, rejects=rejects)
        else:
            if not isinstance(raw, StructureTable):
                raw = assemble(raw, source="structures", rejects=rejects)
            table = drop_bad_structures(raw, "arrays", rejects)
        table = _checked_input(table, state, where, rejects)
        check_table(table, self.limits, where)
        store = build_graphs(table, graph=self.config.data.graph)
        return RawInput(source=store, names=table.names.tolist(), rejected=rejects.rows)

    def input_form(self, state: Mapping[str, Any]) -> InputForm:
        """See `raw_input.input_form`."""
        return input_form(state)

    def read_labelled(self, path: Path, state: Mapping[str, Any]) -> TaskData:
        """Structures with targets, read as the configuration's own file was."""
        source = self.config.data.source
        if not isinstance(source, FileSource):
            # generated scans have no file; a file of scans has its target under the usual names
            source = FileSource(path=str(path), target="center_of_mass")
        rejects = KeptRejects()
        source = dataclasses.replace(source, path=str(path))
        table = _checked_input(load_source(source, rejects), state, path, rejects)
        store = build_graphs(table, graph=self.config.data.graph)
        whole = Subset(store, np.arange(len(store)))
        summary = {"structures": len(store), "rejected": {"count": rejects.count}}
        return TaskData({"test": whole}, dict(state), store.digest, "", summary)

    def proof(self, model: VectorModel, data: TaskData) -> dict[str, Any]:
        """Equivariance on the trained weights."""
        source = data.sources["test"]
        return {"equivariance": equivariance_report(model, source, self.config.data.graph)}

    def onnx_form(self, model: VectorModel, state: Mapping[str, Any]) -> OnnxForm:
        """See `onnx.onnx_form`."""
        return onnx_form(self, model, state)

    def counts(self, batch: GraphBatch) -> dict[str, int]:
        """Graphs, nodes and edges."""
        return {
            "samples": batch.num_samples,
            "nodes": batch.num_nodes,
            "edges": batch.num_edges,
        }

    # -- helpers ---------------------------------------------------------------------------------

    def _split_indices(self, store: PackedGraphs) -> dict[str, NDArray[np.int64]]:
        config = self.config.data.split
        shares = {"train": 1 - config.val - config.test, "val": config.val, "test": config.test}
        if config.by_group and any(field.name == "group" for field in store.fields):
            return group_split(store.column("group").numpy(), shares, config.seed)
        return random_split(len(store), shares, config.seed)

    def _fit(self, store: PackedGraphs, train: NDArray[np.int64]) -> dict[str, Any]:
        batch = store.batch(train)
        target = batch.graphs["target"].double()
        fields = {field.name: field for field in store.fields}
        scale = float(target.square().sum(1).mean().sqrt())
        if scale == 0:
            raise DataError(
                "every training target is zero", fix="choose another data.source.target"
            )
        return {
            "elements": np.unique(batch.nodes["z"].numpy()).tolist() if "z" in fields else [],
            "features": fields["features"].shape[0] if "features" in fields else 0,
            "scale": scale,
            "target_name": store.attributes["target_name"],
            "target_is_position": store.attributes["target_is_position"],
            "target_unit": fields["target"].unit,
            "position_unit": fields["pos"].unit,
        }

    def _augment(self, batch: GraphBatch) -> GraphBatch:
        config = self.config.augment
        if config.jitter:
            pos = batch.nodes["pos"]
            moved = pos + config.jitter * torch.randn_like(pos)
            batch = dataclasses.replace(batch, nodes={**batch.nodes, "pos": moved})
        if config.stretch:
            batch = map_batch(batch, _random_stretches(batch, config.stretch))
        if config.rotate:
            batch = map_batch(batch, _random_rotations(batch))
        return batch


TASK = GeometryTask


_LOSSES = {
    "mae": lambda error_B3: error_B3.abs().mean(),
    "mse": lambda error_B3: error_B3.square().mean(),
    # the length is not differentiable at zero
    "displacement": lambda error_B3: (error_B3.square().sum(1) + 1e-12).sqrt().mean(),
}


def _step_metrics(error_B3: Tensor) -> dict[str, Tensor]:
    mae_3, mse_3 = error_B3.abs().mean(0), error_B3.square().mean(0)
    metrics = {
        "mae": mae_3.mean(),
        "mse": mse_3.mean(),
        "displacement": error_B3.norm(dim=1).mean(),
    }
    for i, axis in enumerate(AXES):
        metrics |= {f"mae_{axis}": mae_3[i], f"mse_{axis}": mse_3[i]}
    return metrics


def _random_rotations(batch: GraphBatch) -> Tensor:
    """One per structure, from torch's random state, which checkpoints keep."""
    q, r = torch.linalg.qr(torch.randn(batch.num_graphs, 3, 3, dtype=torch.float64))
    q = q * torch.sign(torch.diagonal(r, dim1=1, dim2=2)).unsqueeze(1)
    rotations: Tensor = q * torch.sign(torch.linalg.det(q))[:, None, None]
    return rotations


def _random_stretches(batch: GraphBatch, sd: float) -> Tensor:
    """One symmetric positive matrix per structure: log-normal factors along random axes."""
    axes = _random_rotations(batch)
    factors = torch.exp(sd * torch.randn(batch.num_graphs, 1, 3, dtype=torch.float64))
    return axes * factors @ axes.transpose(1, 2)


def _without_unknown_elements(
    store: PackedGraphs, splits: dict[str, NDArray[np.int64]]
) -> tuple[dict[str, NDArray[np.int64]], int]:
    """Leave held-out structures aside whose elements the training split never shows."""
    if all(field.name != "z" for field in store.fields):
        return splits, 0
    z = store.column("z").numpy()
    known = np.zeros(int(z.max()) + 1, dtype=bool)
    known[store.batch(splits["train"]).nodes["z"].numpy()] = True
    owner = np.repeat(np.arange(len(store)), store.node_counts())
    usable = np.bincount(owner[~known[z]], minlength=len(store)) == 0
    kept = {name: index[usable[index]] for name, index in splits.items()}
    return kept, sum(len(splits[name]) - len(kept[name]) for name in splits)


def _checked_input(
    table: StructureTable, state: Mapping[str, Any], path: object, rejects: Rejects
) -> StructureTable:
    if not state["elements"]:
        return table if state["features"] else _bare(table)
    if table.z is None:
        raise DataError("the model needs elements, and this input has none", where=path)
    known = np.isin(table.z, state["elements"])
    bad = np.bincount(table.point_structure[~known], minlength=len(table)) > 0
    for row in np.flatnonzero(bad):
        rejects.add(
            str(path), str(table.names[row]), "an element that the model was not trained on"
        )
    if bad.all():
        raise DataError("no structure has only elements the model was trained on", where=path)
    return table.select(~bad)


def _bare(table: StructureTable) -> StructureTable:
    """Points alone: the model was trained without elements."""
    return dataclasses.replace(table, z=None, features=None)
