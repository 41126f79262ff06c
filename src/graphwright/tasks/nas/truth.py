"""The rows of a split with what a model reads of them and what is really known of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graphwright.data.batch import GraphBatch
from graphwright.data.packed import PackedGraphs
from graphwright.data.source import IndexArray
from graphwright.tasks.nas.baselines import Labelled
from graphwright.tasks.nas.config import NasConfig
from graphwright.tasks.nas.evaluation import Asked, evaluate_predictor
from graphwright.tasks.nas.labels import Labels
from graphwright.tasks.nas.loaded import Loaded
from graphwright.tasks.nas.noise_ceiling import Ceiling, ceiling_of
from graphwright.tasks.nas.store import table_source
from graphwright.training.task import Evaluation, Infer, TaskData

__all__ = ["EncodedRows", "evaluate_rows"]


class EncodedRows:
    """A `SampleSource` over encoded graphs that remembers the rows they came from.

    Args:
        graphs: encoded, one for each row.
        loaded: the architectures.
        rows: places in `loaded` `[A]`.
    """

    def __init__(self, graphs: PackedGraphs, loaded: Loaded, rows: IndexArray) -> None:
        self.graphs, self.loaded, self.rows = graphs, loaded, rows

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: IndexArray) -> GraphBatch:
        """See `SampleSource`."""
        return self.graphs.batch(index)

    def sizes(self) -> NDArray[np.int64]:
        """Nodes and edges of each."""
        return self.graphs.sizes()

    def labelled(self, labels: Labels, features: tuple[str, ...]) -> Labelled:
        """Names, labels in their units, graphs and features of the rows."""
        target_AT = self.loaded.targets(self.rows)
        column = [self.loaded.layout.features.index(name) for name in features]
        values = self.loaded.store.column("features").numpy()[self.rows] if features else None
        return Labelled(
            names=self.loaded.names(self.rows),
            target_AT=target_AT,
            valid_AT=labels.valid(target_AT),
            cells=self.loaded.cells(self.rows),
            features_AF=np.zeros((len(self.rows), 0)) if values is None else values[:, column],
            hyper_NH=self._hyperparameters(),
        )

    def _hyperparameters(self) -> NDArray[np.float32] | None:
        if not self.loaded.layout.traced:
            return None
        attr_N = self.loaded.store.batch(self.rows).nodes["attr"].numpy()
        rows_NH: NDArray[np.float32] = self.loaded.hyper_RH[attr_N]
        return rows_NH


def evaluate_rows(infer: Infer, data: TaskData, split: str, config: NasConfig) -> Evaluation:
    """A model's ranking of a split, beside baselines that know the same training rows."""
    test, train = data.sources[split], data.sources.get("train")
    assert isinstance(test, EncodedRows)
    assert train is None or isinstance(train, EncodedRows)
    labels, loaded = Labels.from_json(data.state["labels"]), test.loaded
    features = loaded.layout.features
    asked = Asked(
        model=config.model.name,
        split=split,
        metrics=labels.metrics,
        higher_is_better=table_source(config.data).higher_is_better,
        split_rule="by canonical id" if config.data.split.by == "group" else "at random",
        sentinel=tuple(labels.describe(loaded.targets(np.arange(len(loaded))))),
        ceilings=_ceilings(loaded, labels),
        in_units=config.loss.name == "mse" or config.loss.anchor > 0,
        ops=loaded.ops,
        features=features,
        seed=config.seed,
    )
    known = None if train is None else train.labelled(labels, features)
    return evaluate_predictor(infer(test), test.labelled(labels, features), known, asked)


def _ceilings(loaded: Loaded, labels: Labels) -> tuple[Ceiling, ...]:
    everyone = np.arange(len(loaded))
    target_AT = loaded.targets(everyone)
    clean_AT = np.where(labels.valid(target_AT), target_AT, np.nan)
    layout, store = loaded.layout, loaded.store
    repeats = store.column("repeats").numpy() if layout.repeats else None
    groups = store.column("group").numpy() if layout.group else None
    return tuple(
        ceiling_of(clean_AT[:, i], repeats_AR=repeats if i == 0 else None, groups_A=groups, seed=0)
        for i in range(len(labels.metrics))
    )
