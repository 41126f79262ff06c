"""The predictors of this package, trained anew in every round of a search.

Legend: M = ensemble members, N = known architectures, P = architectures of the pool.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from graphwright.data.packed import PackedGraphs
from graphwright.errors import TrainingError
from graphwright.tasks.nas.arch import Arch, Cells
from graphwright.tasks.nas.config import NasConfig
from graphwright.tasks.nas.data_config import NasData, SentinelConfig, TableSource
from graphwright.tasks.nas.encoding import encode, fit_encoding
from graphwright.tasks.nas.labels import Labels
from graphwright.tasks.nas.loaded import Loaded, from_archs, from_cells
from graphwright.tasks.nas.recipes import with_recipe
from graphwright.tasks.nas.search.config import GuideConfig
from graphwright.tasks.nas.search.pools import Pool
from graphwright.tasks.nas.search.predictor import Prediction
from graphwright.tasks.nas.spaces import get_space
from graphwright.tasks.nas.task import NasTask
from graphwright.training.fit import fit_in_memory

__all__ = ["GnnPredictor", "guide_config"]

_BATCH = 2048


class GnnPredictor:
    """Any recipe of `recipes.RECIPES`.

    Args:
        guide: which, and how long it is trained.
        space: of the architectures.
        archs: graphs of modules by their text (`Pool.archs`).
    """

    def __init__(
        self, guide: GuideConfig, space: str, archs: Mapping[str, Arch] | None = None
    ) -> None:
        self._space, self._archs = space, archs or {}
        self._config = guide_config(guide)
        self._task = NasTask(self._config, Path())
        self._model: nn.Module | None = None
        self._state: dict[str, Any] = {}

    def fit(self, texts: Sequence[str], values_N: NDArray[np.float64], seed: int) -> None:
        """See `Predictor`."""
        if not self._config.data.labels.feasibility:
            known = np.flatnonzero(np.isfinite(values_N)).tolist()
            texts, values_N = [texts[row] for row in known], values_N[known]
        loaded = _labelled(self._loaded(texts), values_N)
        everyone = np.arange(len(loaded))
        self._state = fit_encoding(loaded, everyone, self._config)
        source = encode(loaded, everyone, self._state, self._config)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = self._task.build_model(self._state)
        try:
            self._model = fit_in_memory(self._task, model, source, seed=seed)
        except FloatingPointError as error:
            raise TrainingError(
                f"the predictor diverged on {len(loaded)} architectures: {error}",
                fix="lower its learning rate (--set training.optimizer.lr=…), or take another one",
            ) from error

    @torch.inference_mode()
    def predict(self, pool: Pool) -> Prediction:
        """See `Predictor`."""
        assert self._model is not None
        everyone = np.arange(len(pool))
        loaded = self._loaded(pool.texts, pool.cells)
        source = encode(loaded, everyone, self._state, self._config)
        self._model.eval()
        parts = [
            self._model(source.batch(everyone[low : low + _BATCH])).values_MBT.double().numpy()
            for low in range(0, len(pool), _BATCH)
        ]
        values_MPT = np.concatenate(parts, axis=1)
        transform = Labels.from_json(self._state["labels"]).transforms[0]
        feasible = None
        if self._config.data.labels.feasibility:
            feasible = (1 / (1 + np.exp(-values_MPT[..., -1]))).mean(axis=0)
        return Prediction(transform.inverse(values_MPT[..., 0]), feasible)

    def _loaded(self, texts: Sequence[str], cells: Cells | None = None) -> Loaded:
        if self._archs:
            return from_archs([self._archs[text] for text in texts], texts)
        if cells is None:
            cells, _ = get_space(self._space).encode(texts)
        return from_cells(cells, self._space, self._features(cells))

    def _features(self, cells: Cells) -> dict[str, NDArray[np.float64]]:
        """What the space can say without any training: parameters and multiply-adds."""
        if not self._config.data.graph.features:
            return {}
        module = import_module(get_space.__module__ + f".{self._space}")
        known = {name: getattr(module, name, None) for name in ("params", "flops")}
        return {
            name: np.asarray(count(cells), np.float64)
            for name, count in known.items()
            if count is not None
        }


def guide_config(guide: GuideConfig) -> NasConfig:
    """The predictor's configuration.

    Raises:
        ConfigError: an override that names no setting.
    """
    # what a search knows is no table, but the labels need a name
    source = TableSource(path="search", metrics=("value",))
    config = with_recipe(NasConfig(data=NasData(source=source)), guide.recipe)
    # sentinels are failures already (`candidates.without_sentinels`), by a rule that stays the same
    labels = dataclasses.replace(config.data.labels, sentinel=SentinelConfig(factor=0.0))
    training = config.training
    if guide.epochs:
        training = dataclasses.replace(training, epochs=guide.epochs)
    config = dataclasses.replace(
        config, data=dataclasses.replace(config.data, labels=labels), training=training
    )
    if not guide.overrides:
        return config
    from graphwright.config.compose import compose

    return compose(config, guide.overrides)


def _labelled(loaded: Loaded, values_N: NDArray[np.float64]) -> Loaded:
    """The same architectures with one metric, as they come from a table."""
    everyone = np.arange(len(loaded))
    cells, batch = loaded.cells(everyone), loaded.store.batch(everyone)
    layout = dataclasses.replace(loaded.layout, metrics=("value",))
    graphs: dict[str, Any] = {name: found.numpy() for name, found in batch.graphs.items()}
    valid_N1 = np.isfinite(values_N)[:, None]
    graphs |= {"target": np.where(valid_N1, values_N[:, None], 0.0), "valid": valid_N1}
    if layout.traced:
        graphs["name"] = loaded.names(everyone)
    store = PackedGraphs.from_arrays(
        node_counts=cells.node_counts,
        edge_counts=cells.edge_counts,
        edge_index=cells.edge_index,
        nodes={name: found.numpy() for name, found in batch.nodes.items()},
        graphs=graphs,
        fields=layout.fields(),
        index_dtype=layout.index_dtype,
    )
    return dataclasses.replace(loaded, store=store, layout=layout)
