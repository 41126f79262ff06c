"""Other runs that a run builds on: teachers, the parts of a fusion, the judge of a curriculum."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graphwright.config import io
from graphwright.data.batch import GraphBatch
from graphwright.data.source import IndexArray, SampleSource
from graphwright.errors import RunError
from graphwright.tasks.canbus.fusion.model import FusionModel
from graphwright.training.bundle import Bundle, load_bundle

__all__ = ["WithStates", "fusion_states", "open_part", "part_state", "take_parts"]

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
