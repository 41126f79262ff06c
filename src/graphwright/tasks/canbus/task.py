"""The canbus task: what the floor asks of it.

Legend: B = windows of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphwright.data.batch import GraphBatch
from graphwright.data.classification import auroc
from graphwright.data.rejects import KeptRejects
from graphwright.data.source import IndexArray, SampleSource
from graphwright.data.splits import split_digest
from graphwright.tasks.canbus.build import build_model
from graphwright.tasks.canbus.config import CanbusConfig
from graphwright.tasks.canbus.distill import Teacher
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.fusion.model import FusionModel
from graphwright.tasks.canbus.json_frames import input_form
from graphwright.tasks.canbus.loaded import Loaded
from graphwright.tasks.canbus.model import ALARM, CanbusModel, score_of
from graphwright.tasks.canbus.models.gat import GATModel
from graphwright.tasks.canbus.models.score import calibrate
from graphwright.tasks.canbus.models.vgae import VGAEModel
from graphwright.tasks.canbus.modes import curriculum
from graphwright.tasks.canbus.objective import objective
from graphwright.tasks.canbus.onnx import onnx_form
from graphwright.tasks.canbus.parts import (
    Joined,
    WithStates,
    fusion_states,
    open_part,
    part_state,
    take_parts,
)
from graphwright.tasks.canbus.raw_input import (
    pack_windows,
    read_capture,
    window_names,
)
from graphwright.tasks.canbus.splitting import benign_rows, split_windows
from graphwright.tasks.canbus.state import fit_state
from graphwright.tasks.canbus.store import open_or_build
from graphwright.tasks.canbus.truth import WindowRows, evaluate_split, one_capture, rows_of
from graphwright.tasks.canbus.weakened import weakened_sources
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

__all__ = ["TASK", "CanbusTask"]

_BATCH = 256


class CanbusTask(Task[CanbusConfig, Loaded]):
    """Scores windows of traffic: how likely is it that somebody injects frames?"""

    def load(self) -> Loaded:
        """See `Task.load`."""
        return open_or_build(self.config.data, self.data_root)

    def split(self, loaded: Loaded) -> TaskData:
        """Windows of each split; ids and scales from the benign ones that are trained on."""
        config = self.config
        rows = split_windows(loaded, config.data.split, config.seed)
        benign = benign_rows(loaded, rows["train"])
        state = fit_state(loaded.store, benign, id_free=config.data.window.id_free)
        state |= {"sources": list(loaded.sources), "fields": loaded.store.attributes["fields"]}
        state |= self._states_of_parts()
        if config.training_mode == "normals_only":
            rows["train"] = benign
        if config.learning_type == "unsupervised":
            rows["val"] = benign_rows(loaded, rows["val"])
        sources: dict[str, SampleSource] = {n: WindowRows(loaded, r) for n, r in rows.items()}
        sources["train"] = self._taught(loaded, sources)
        return TaskData(
            sources=self._with_states(sources, state),
            state=state,
            digest=loaded.store.digest,
            split_digest=split_digest(rows),
            summary=_summary(loaded, rows),
        )

    def build_model(self, state: Mapping[str, Any]) -> CanbusModel:
        """A fusion that is about to be trained has its parts' weights already."""
        network = build_model(self.config.model, state, self.config.seed)
        if isinstance(network, FusionModel) and self.links:
            take_parts(network, self._part("vgae"), self._part("gat"))
        return CanbusModel(network)

    def step(self, model: CanbusModel, batch: GraphBatch, stage: Stage) -> StepOutput:
        """The loss, with a teacher's part of it in training."""
        teacher = self._teacher if stage == "train" and "teacher" in self.links else None
        loss, metrics = objective(model.network, batch, self.config, teacher)
        samples = {}
        if stage == "val" and self.config.learning_type != "unsupervised":
            samples = {"score": model.scores(batch)["score"], "label": batch.graphs["label"]}
        return StepOutput(loss, metrics, batch.num_samples, samples)

    def validation_metrics(self, samples: Columns) -> dict[str, float]:
        """AUROC of a classifier, where both kinds of windows validate."""
        if not samples or len(np.unique(samples["label"])) < 2:
            return {}
        return {"auroc": float(auroc(samples["score"], samples["label"]))}

    def epoch_samples(self, data: TaskData) -> Callable[[int], IndexArray] | None:
        """See `modes`."""
        config = self.config
        if not config.training_mode.startswith("curriculum"):
            return None
        source = data.sources["train"]
        hard = config.training_mode == "curriculum_classifier"
        return curriculum(
            rows_of(source).windows.label,
            config.curriculum,
            epochs=config.training.epochs,
            seed=config.seed,
            score_W=self._scores(self._part("vgae").model, source) if hard else None,
        )

    def after_training(self, model: CanbusModel, data: TaskData) -> None:
        """Put the threshold where the wanted share of benign validation windows is above it.

        So that a score of 0.5 means the same for a VGAE's anomaly and a classifier's probability,
        which a weighted loss and a curriculum move as they like.
        """
        network, rate = model.network, self.config.threshold.validation_rate
        source = data.sources["val"]
        if isinstance(network, VGAEModel):
            # unsupervised: all validation windows are benign
            calibrate(network, self._batches(source, model), rate)
        elif isinstance(network, GATModel):
            benign = np.flatnonzero(rows_of(source).windows.label == 0)
            network.move_threshold(self._batches(source, model, benign), rate)

    def predict(self, model: CanbusModel, batch: GraphBatch) -> dict[str, Tensor]:
        """`score` in 0 to 1, whether it is an `alarm`, and of a fusion its parts' scores."""
        scores = model.scores(batch)
        return {**scores, "alarm": (scores["score"] > ALARM).to(torch.int64)}

    def evaluate(self, infer: Infer, data: TaskData, split: str) -> Evaluation:
        """See `evaluation.evaluate_windows`."""
        plain = self._part("plain") if "plain" in self.links else None
        return evaluate_split(infer, data, split, self.config, plain)

    def read_input(self, raw: Path | Frames, state: Mapping[str, Any]) -> RawInput:
        """A capture in any readable format, or frames."""
        rejects = KeptRejects()
        graphs = read_capture(raw, self.config.data, tuple(state["sources"]), rejects)
        source = pack_windows(graphs, self.config.data.window, state["fields"])
        return RawInput(source, window_names(raw, graphs), rejects.rows)

    def input_form(self, state: Mapping[str, Any]) -> InputForm:
        """See `raw_input.input_form`."""
        return input_form(self.config.data, state)

    def read_labelled(self, path: Path, state: Mapping[str, Any]) -> TaskData:
        """One capture with labels."""
        rejects = KeptRejects()
        graphs = read_capture(path, self.config.data, tuple(state["sources"]), rejects)
        store = pack_windows(graphs, self.config.data.window, state["fields"])
        source = one_capture(path, graphs, store, self.config.data.window.stride)
        summary = {"capture": str(path), "windows": len(store), "rejected": rejects.by_reason()}
        return TaskData({"test": source}, dict(state), store.digest, "", summary)

    def proof(self, model: CanbusModel, data: TaskData) -> dict[str, Any]:
        """Nothing is promised beyond the evaluation."""
        return {}

    def onnx_form(self, model: CanbusModel, state: Mapping[str, Any]) -> OnnxForm:
        """See `onnx.onnx_form`."""
        return onnx_form(self, model, state)

    def counts(self, batch: GraphBatch) -> dict[str, int]:
        """Windows, nodes and edges."""
        return {
            "samples": batch.num_samples,
            "nodes": batch.num_nodes,
            "edges": batch.num_edges,
        }

    def _taught(self, loaded: Loaded, sources: dict[str, SampleSource]) -> SampleSource:
        """The windows that are learnt from; those of a fusion's parts stay at hand as "seen"."""
        config, taught = self.config, sources["train"]
        if config.learning_type == "fusion" and config.parts.fit_on == "val":
            sources["seen"], taught = taught, sources["val"]
        if not config.weakened or config.learning_type == "unsupervised":
            return taught
        rows = rows_of(taught).indices
        return Joined(
            taught, weakened_sources(loaded, config.data, rows, config.weakened, config.seed)
        )

    # -- other runs ------------------------------------------------------------------------------

    @cached_property
    def _teacher(self) -> Teacher:
        return Teacher(self._part("teacher").model.network)

    def _part(self, role: str) -> Any:
        return open_part(self.links, role, self.data_root)

    def _states_of_parts(self) -> dict[str, Any]:
        """What a network has to know of the runs it builds on, to be rebuilt without them."""
        if self.config.learning_type == "fusion" and self.links:
            return {"parts": {role: part_state(self._part(role)) for role in ("vgae", "gat")}}
        projected = self.config.distillation.method == "standard" and "teacher" in self.links
        if self.config.learning_type == "unsupervised" and projected:
            return {"teacher_latent": self._part("teacher").task.config.model.latent_dim}
        return {}

    def _with_states(
        self, sources: dict[str, SampleSource], state: Mapping[str, Any]
    ) -> dict[str, SampleSource]:
        """A fusion reads what its frozen parts say: it is computed once."""
        if "parts" not in state:
            return sources
        network = self.build_model(state).network
        assert isinstance(network, FusionModel)
        for name in ("train", "val"):
            sources[name] = WithStates(sources[name], fusion_states(network, sources[name]))
        return sources

    def _scores(self, model: CanbusModel, source: SampleSource) -> np.ndarray:
        with torch.no_grad():
            parts = [score_of(model.eval().network, b) for b in self._batches(source, model)]
        return torch.cat(parts).double().numpy()

    def _batches(
        self, source: SampleSource, model: CanbusModel, rows: IndexArray | None = None
    ) -> Any:
        from graphwright.training.infer import model_dtype

        device, dtype = model_dtype(model)
        places = np.arange(len(source)) if rows is None else rows
        for start in range(0, len(places), _BATCH):
            yield source.batch(places[start : start + _BATCH]).to(device, dtype=dtype)


TASK = CanbusTask


def _summary(loaded: Loaded, rows: Mapping[str, IndexArray]) -> dict[str, Any]:
    return {
        "captures": len(loaded.captures),
        "frames": sum(info.frames for info in loaded.captures),
        "attack_frames": sum(info.attack_frames for info in loaded.captures),
        "windows": len(loaded.store),
        "splits": {name: len(index) for name, index in rows.items()},
        "duplicates": list(loaded.dropped),
        "rejected": dict(loaded.rejected),
        "store": str(loaded.folder),
    }
