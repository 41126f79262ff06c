"""The genes task: what the floor asks of it.

Legend: B = gene sets of a batch, G = networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from graphwright.data.rejects import KeptRejects
from graphwright.data.scaling import Standardizer
from graphwright.data.splits import split_digest
from graphwright.errors import DataError
from graphwright.nn.shared_graph import SharedGraph
from graphwright.tasks.genes.config import GenesConfig, model_level
from graphwright.tasks.genes.data_config import CallsSource, PlantedSource, TableSource
from graphwright.tasks.genes.evaluation import Asked, evaluate_sets
from graphwright.tasks.genes.gene_source import GeneSetBatch, GeneSets
from graphwright.tasks.genes.gene_table import read_gene_sets
from graphwright.tasks.genes.labelled_sets import LabelledSets
from graphwright.tasks.genes.labelled_source import (
    LabelledSource,
    labelled_sets,
    sets_of,
    table_ceiling,
)
from graphwright.tasks.genes.losses import gene_loss
from graphwright.tasks.genes.metrics import call_metrics, score_metrics
from graphwright.tasks.genes.models.overlap_head import set_overlaps
from graphwright.tasks.genes.nulls import NullsConfig, fit_gene_ridge
from graphwright.tasks.genes.onnx import onnx_form
from graphwright.tasks.genes.raw_input import given_rows, input_form, place_sets
from graphwright.tasks.genes.replicates import Ceiling, planted_ceiling
from graphwright.tasks.genes.scaled_model import ScaledModel
from graphwright.tasks.genes.splitting import split_sets
from graphwright.tasks.genes.state import (
    fit_state,
    gene_names,
    network_buffers,
    overlap_buffers,
    ridge_buffers,
    shared_graphs,
)
from graphwright.tasks.genes.store import Loaded, open_or_build
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

__all__ = ["TASK", "GenesTask"]

EFFECT = "effect_"  # columns of `explain`, one for each network


class GenesTask(Task[GenesConfig, Loaded]):
    """Predicts how the deletions of a set of genes interact."""

    def load(self) -> Loaded:
        """See `Task.load`."""
        return open_or_build(self.config.data, self.data_root)

    def split(self, loaded: Loaded) -> TaskData:
        """Deal the sets; whatever is fitted is fitted on the training split."""
        everything = labelled_sets(loaded.table)
        dealt = split_sets(everything, self.config.data.split, self.config.seed)
        graphs = shared_graphs(loaded.multigraph)
        ceiling = self._ceiling(loaded)
        sources = {
            name: LabelledSource(
                everything.take(rows),
                loaded.multigraph.genes,
                notes=dealt.notes,
                ceiling=ceiling,
                graphs=graphs if self.config.model.overlap else (),
            )
            for name, rows in dealt.rows.items()
        }
        train = sources["train"].sets
        state = fit_state(loaded.multigraph, graphs, loaded.names, train)
        summary = {
            **loaded.summary,
            "splits": {name: len(rows) for name, rows in dealt.rows.items()},
            "split notes": list(dealt.notes),
            "store": str(loaded.folder),
        }
        return TaskData(
            sources=sources,
            state=state,
            digest=loaded.digest,
            split_digest=split_digest(dealt.rows),
            summary=summary,
            buffers=self._buffers(state, graphs, train),
        )

    def build_model(self, state: Mapping[str, Any]) -> ScaledModel:
        """See `Task.build_model`."""
        return ScaledModel.of(self.config.model, state)

    def step(self, model: ScaledModel, batch: GeneSetBatch, stage: Stage) -> StepOutput:
        """The loss on the standardised scale; errors in the label's unit."""
        label_B = batch.graphs["label"]
        predicted_B1 = model(batch).gene_interaction
        loss = gene_loss(predicted_B1, model.scale.transform(label_B), self.config.loss)
        if stage == "train":
            return StepOutput(loss=loss, metrics={}, weight=batch.num_samples)
        found_B = model.in_units(predicted_B1[:, 0])
        error_B = found_B - label_B
        metrics = {"mse": error_B.square().mean(), "mae": error_B.abs().mean()}
        samples = {"predicted": found_B, "label": label_B}
        return StepOutput(loss=loss, metrics=metrics, weight=batch.num_samples, samples=samples)

    def validation_metrics(self, samples: Columns) -> dict[str, float]:
        """Correlations; of calls AUROC and average precision."""
        predicted_S, label_S = samples["predicted"], samples["label"]
        if len(label_S) < 2 or np.ptp(label_S) == 0:
            return {}
        if self._calls:
            found = call_metrics(predicted_S, label_S)
            return {name: found[name] for name in ("auroc", "average_precision")}
        found = score_metrics(predicted_S, label_S)
        return {name: found[name] for name in ("pearson", "spearman")}

    def predict(self, model: ScaledModel, batch: GeneSetBatch) -> dict[str, Tensor]:
        """`interaction`, in the label's unit."""
        return {"interaction": model.interaction(batch)}

    def explain(self, model: ScaledModel, batch: GeneSetBatch) -> dict[str, Tensor]:
        """`effect_<network>`: the prediction minus that where the network has no edges."""
        effect_BG = model.effects(batch)
        return {EFFECT + name: effect_BG[:, g] for g, name in enumerate(model.names)}

    def evaluate(self, infer: Infer, data: TaskData, split: str) -> Evaluation:
        """See `evaluation.evaluate_sets`."""
        source = sets_of(data.sources[split])
        train = sets_of(data.sources["train"]).sets if "train" in data.sources else None
        asked = Asked(
            model=model_level(self.config.model),
            num_genes=len(data.state["genes"]),
            split=split,
            label=self._label,
            calls=self._calls,
            rule=self.config.data.split,
            notes=source.notes,
            ceiling=source.ceiling,
            seed=self.config.seed,
        )
        overlaps = None
        if source.graphs and train is not None:
            overlaps = set_overlaps(source.graphs, train), set_overlaps(source.graphs, source.sets)
        columns = {"predicted": infer(source)["interaction"]}
        names = source.set_names()
        return evaluate_sets(columns, source.sets, train, names, asked, overlaps=overlaps)

    def read_input(self, raw: Path | Sequence[Sequence[str]], state: Mapping[str, Any]) -> RawInput:
        """A file with one gene set a line, or lists of names; see `raw_input`."""
        names, rejects = gene_names(state), KeptRejects()
        source = self.config.data.source
        columns = source.columns.genes if isinstance(source, TableSource) else ()
        rows = given_rows(raw, names, columns, self.limits)
        found = place_sets(
            rows, names, rejects, neutral=self._neutral, sizes=state["sizes"], source=str(raw)
        )
        if not found.names:
            where, reason = rejects.rows[0]
            raise DataError(
                "not one gene set can be predicted",
                where=raw if isinstance(raw, Path) else None,
                fix=f"{where}: {reason}",
            )
        sets = GeneSets(found.gene_index, found.gene_ptr)
        return RawInput(sets, found.names, rejects.rows)

    def input_form(self, state: Mapping[str, Any]) -> InputForm:
        """See `raw_input.input_form`."""
        return input_form(state)

    def read_labelled(self, path: Path, state: Mapping[str, Any]) -> TaskData:
        """Another table with the columns of the one that the model was trained on."""
        source = self.config.data.source
        if not isinstance(source, TableSource):
            raise DataError(
                f"a model of data.source.kind={source.kind} has no columns to look for in a table",
                where=path,
                fix="evaluate on its own splits (--split), or train on a table",
            )
        rejects = KeptRejects()
        table = read_gene_sets(replace(source, path=str(path)), gene_names(state), rejects)
        sets = labelled_sets(table)
        found = LabelledSource(sets, state["genes"], ceiling=table_ceiling(table))
        summary = {**table.summary(), "rejected": {"count": rejects.count}}
        return TaskData({"test": found}, dict(state), "", "", summary)

    def proof(self, model: ScaledModel, data: TaskData) -> dict[str, Any]:
        """Nothing is promised beyond the evaluation."""
        return {}

    def onnx_form(self, model: ScaledModel, state: Mapping[str, Any]) -> OnnxForm:
        """See `onnx.onnx_form`."""
        return onnx_form(self, model, state)

    def counts(self, batch: GeneSetBatch) -> dict[str, int]:
        """Gene sets, and the genes that are deleted in them."""
        return {"samples": batch.num_samples, "nodes": len(batch.gene_index)}

    # -- helpers ---------------------------------------------------------------------------------

    def _buffers(
        self, state: Mapping[str, Any], graphs: tuple[SharedGraph, ...], train: LabelledSets
    ) -> dict[str, Tensor]:
        """The networks, and what the model's parts without training take from the sets."""
        found = dict(network_buffers(graphs))
        if self.config.model.base == "ridge":
            ridge = fit_gene_ridge(train, self._nulls_config(state))
            found |= ridge_buffers(ridge, Standardizer.from_json(state["label"]))
        if self.config.model.overlap:
            found |= overlap_buffers(graphs, train)
        return found

    def _ceiling(self, loaded: Loaded) -> Ceiling | None:
        """What is known of the noise in the labels."""
        source = self.config.data.source
        if isinstance(source, PlantedSource):
            return planted_ceiling(source.noise)
        return None if self._calls else table_ceiling(loaded.table)

    @property
    def _calls(self) -> bool:
        return isinstance(self.config.data.source, CallsSource)

    @property
    def _label(self) -> str:
        source = self.config.data.source
        if isinstance(source, PlantedSource):
            return "planted score"
        return "call" if isinstance(source, CallsSource) else source.columns.label

    @property
    def _neutral(self) -> tuple[str, ...]:
        source = self.config.data.source
        return source.neutral if isinstance(source, TableSource) else ()

    def _nulls_config(self, state: Mapping[str, Any]) -> NullsConfig:
        return NullsConfig(
            num_genes=len(state["genes"]),
            calls=self._calls,
            split=self.config.data.split,
            seed=self.config.seed,
        )


TASK = GenesTask
