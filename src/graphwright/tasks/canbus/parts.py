"""Other runs that a run builds on: teachers, the parts of a fusion, the judge of a curriculum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphwright.config import io
from graphwright.data.batch import GraphBatch
from graphwright.data.source import IndexArray, SampleSource
from graphwright.errors import RunError
from graphwright.tasks.canbus.fusion.model import FusionModel
from graphwright.training.bundle import Bundle, load_bundle

__all__ = ["Joined", "WithStates", "fusion_states", "open_part", "part_state", "take_parts"]

_BATCH = 256


def open_part(links: Mapping[str, Path], role: str, data_root: Path) -> Bundle:
    """The trained model of a linked run.

    Raises:
        RunError: the run was never linked.
        BundleError: it has no bundle, or a damaged one.
    """
    if role not in links:
        raise RunError(f"this run has no {role} in its links.json", fix="train it anew")
    return load_bundle(links[role], data_root)


def part_state(bundle: Bundle) -> dict[str, Any]:
    """What a fusion keeps of a part, so that its own bundle is complete."""
    return {"config": io.to_dict(bundle.task.config)["model"], "state": bundle.state}


def take_parts(model: FusionModel, vgae: Bundle, gat: Bundle) -> None:
    """Load the parts' trained weights and calibrations into a fusion."""
    model.vgae.load_state_dict(vgae.model.network.state_dict())  # type: ignore[union-attr]
    model.gat.load_state_dict(gat.model.network.state_dict())  # type: ignore[union-attr]


def fusion_states(model: FusionModel, source: SampleSource) -> torch.Tensor:
    """`[W, S]` states of all windows: the parts are frozen, so once is enough."""
    places = np.arange(len(source))
    with torch.no_grad():
        parts = [
            model.eval().states(source.batch(places[start : start + _BATCH]))  # type: ignore[arg-type]
            for start in range(0, len(places), _BATCH)
        ]
    return torch.cat(parts)


class Joined:
    """Windows of a split, and further ones behind them.

    Args:
        source: windows of the store.
        further: others with the same fields.
    """

    def __init__(self, source: SampleSource, further: Sequence[SampleSource]) -> None:
        self.source, self.further = source, further
        self.every = [source, *further]
        self.ends = np.cumsum([len(part) for part in self.every])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def sizes(self) -> NDArray[np.int64]:
        """See `SampleSource`."""
        return np.concatenate([part.sizes() for part in self.every])

    def batch(self, index: IndexArray) -> GraphBatch:
        """The windows at `index`, in that order."""
        places = np.asarray(index)
        owner = np.searchsorted(self.ends, places, side="right")
        runs = np.split(np.arange(len(places)), np.flatnonzero(np.diff(owner)) + 1)
        parts = []
        for run in runs:
            number = int(owner[run[0]]) if len(run) else 0
            start = 0 if number == 0 else int(self.ends[number - 1])
            part = self.every[number].batch(places[run] - start)
            assert isinstance(part, GraphBatch)
            parts.append(part)
        return _joined(parts)


class WithStates:
    """A source whose batches carry `graphs["states"]`.

    Args:
        source: windows.
        states: `[W, S]`, one row each.
    """

    def __init__(self, source: SampleSource, states: torch.Tensor) -> None:
        self.source, self.states = source, states

    def __len__(self) -> int:
        return len(self.source)

    def sizes(self) -> NDArray[np.int64]:
        """See `SampleSource`."""
        return self.source.sizes()

    def batch(self, index: IndexArray) -> GraphBatch:
        """The windows' batch with their states."""
        batch = self.source.batch(index)
        assert isinstance(batch, GraphBatch)
        batch.graphs["states"] = self.states[torch.as_tensor(np.asarray(index))]
        return batch


def _joined(batches: Sequence[GraphBatch]) -> GraphBatch:
    """One batch of several, graphs in their order."""
    if len(batches) == 1:
        return batches[0]
    nodes = np.cumsum([0, *(b.num_nodes for b in batches)]).tolist()
    edges = np.cumsum([0, *(b.num_edges for b in batches)]).tolist()
    graphs = np.cumsum([0, *(b.num_graphs for b in batches)]).tolist()
    first = batches[0]
    return GraphBatch(
        edge_index=torch.cat(
            [b.edge_index + n for b, n in zip(batches, nodes, strict=False)], dim=1
        ),
        node_ptr=_pointers([b.node_ptr for b in batches], nodes),
        edge_ptr=_pointers([b.edge_ptr for b in batches], edges),
        index=torch.arange(graphs[-1]),
        num_nodes=nodes[-1],
        nodes={k: torch.cat([b.nodes[k] for b in batches]) for k in first.nodes},
        edges={k: torch.cat([b.edges[k] for b in batches]) for k in first.edges},
        graphs={k: torch.cat([b.graphs[k] for b in batches]) for k in first.graphs},
    )


def _pointers(pointers: Sequence[Tensor], starts: Sequence[int]) -> Tensor:
    moved = [p[1:] + start for p, start in zip(pointers, starts, strict=False)]
    return torch.cat([pointers[0][:1], *moved])
