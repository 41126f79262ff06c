"""A trained run as a detector of windows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from graphwright.data.batch import GraphBatch
from graphwright.errors import BundleError
from graphwright.tasks.canbus.data_config import WindowConfig
from graphwright.tasks.canbus.model import ALARM
from graphwright.tasks.canbus.watch.alarms import Suspect, id_text
from graphwright.tasks.canbus.watch.suspects import known_nodes, node_weights
from graphwright.tasks.canbus.windows import WindowGraphs
from graphwright.training.bundle import Bundle
from graphwright.training.infer import model_dtype

__all__ = ["BundleDetector", "Detector", "Scores", "load_detector"]

Scores = NDArray[np.float64]
_MOST = 3  # ids that an alarm names
_USUAL = (torch.device("cpu"), torch.float32)


class Detector(Protocol):
    """What a watch asks of a model.

    Attributes:
        threshold: a higher score is an alarm.
    """

    threshold: float

    @property
    def window(self) -> WindowConfig:
        """How its windows are cut."""
        ...

    @property
    def false_positive_rate(self) -> float:
        """Share of benign windows that may be above a calibrated threshold."""
        ...

    def score(self, graphs: WindowGraphs) -> Scores:
        """`[C]` in 0 to 1, higher is more suspicious."""
        ...

    def suspects(self, graphs: WindowGraphs) -> list[tuple[Suspect, ...]]:
        """The most conspicuous ids of every window."""
        ...


@dataclass
class BundleDetector:
    """The model of a bundle.

    Args:
        bundle: of a canbus run.
        names: of the sources of an event log, by their code; empty for a bus.
        threshold: see `Detector`.
    """

    bundle: Bundle
    names: list[str]
    threshold: float = ALARM

    def __post_init__(self) -> None:
        self._place = model_dtype(self.bundle.model)

    @property
    def window(self) -> WindowConfig:
        """Of the run's configuration."""
        window: WindowConfig = self.bundle.task.config.data.window
        return window

    @property
    def false_positive_rate(self) -> float:
        """Of the run's configuration."""
        return float(self.bundle.task.config.threshold.false_positive_rate)

    def score(self, graphs: WindowGraphs) -> Scores:
        """See `Detector`."""
        with torch.inference_mode():
            columns = self.bundle.task.predict(self.bundle.model, self._batch(graphs))
        return columns["score"].double().cpu().numpy()

    def suspects(self, graphs: WindowGraphs) -> list[tuple[Suspect, ...]]:
        """See `Detector`; `suspects.py` says how they are found."""
        batch = self._batch(graphs)
        network = self.bundle.model.network
        weight_N, known_N = node_weights(network, batch), known_nodes(network, batch)
        ends = np.cumsum(graphs.node_counts)
        return [
            self._most(np.arange(end - count, end), graphs.node_id, weight_N, known_N)
            for end, count in zip(ends.tolist(), graphs.node_counts.tolist(), strict=True)
        ]

    def _most(
        self,
        rows: NDArray[np.int64],
        ids: NDArray[np.int64],
        weight_N: NDArray[np.float64],
        known_N: NDArray[np.bool_],
    ) -> tuple[Suspect, ...]:
        order = rows[np.lexsort((-weight_N[rows], known_N[rows]))][:_MOST]
        return tuple(
            Suspect(id=self._name(int(ids[n])), known=bool(known_N[n]), weight=float(weight_N[n]))
            for n in order
        )

    def _name(self, value: int) -> str:
        if not self.names:
            return id_text(value)
        return self.names[value] if value < len(self.names) else f"source {value}"

    def _batch(self, graphs: WindowGraphs) -> GraphBatch:
        """What `GraphBatch.from_arrays` makes of them, without its checks: a tenth of the time of
        a single window."""
        node_ptr, edge_ptr = _pointer(graphs.node_counts), _pointer(graphs.edge_counts)
        edge_index = graphs.edge_index + np.repeat(node_ptr[:-1], graphs.edge_counts)
        batch = GraphBatch(
            edge_index=torch.from_numpy(edge_index),
            node_ptr=torch.from_numpy(node_ptr),
            edge_ptr=torch.from_numpy(edge_ptr),
            index=torch.arange(len(graphs)),
            num_nodes=len(graphs.node_id),
            nodes={"id": torch.from_numpy(graphs.node_id), "x": torch.from_numpy(graphs.node_x)},
            edges={"edge_x": torch.from_numpy(graphs.edge_x)},
            graphs={"stats": torch.from_numpy(graphs.stats)},
        )
        return batch if self._place == _USUAL else batch.to(self._place[0], dtype=self._place[1])


def load_detector(run: str, *, runs_root: Path, data_root: Path) -> BundleDetector:
    """The detector of a run or bundle.

    Raises:
        RunError: no such run.
        BundleError: it has no bundle, a damaged one, or one of another task.
    """
    from graphwright.runs.index import resolve_model
    from graphwright.training.bundle import load_bundle

    bundle: Bundle = load_bundle(resolve_model(run, runs_root), data_root)
    if bundle.task.config.task != "canbus":
        raise BundleError(
            f"this is a model of the task {bundle.task.config.task}, not of canbus", where=run
        )
    return BundleDetector(bundle, list(bundle.state["sources"]))


def _pointer(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
