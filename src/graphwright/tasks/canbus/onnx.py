"""A model of windows as an ONNX file: raw ids and features in, scores out.

Inside: looking ids up, standardising, both parts of a fusion and its head, the calibrated score.
Outside: from frames to windows (`windows.py`), which needs no fitted state.

Legend: B = windows, N = nodes, E = edges, F = features, S = statistics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.tasks.canbus.fusion.model import FusionModel
from graphwright.tasks.canbus.model import CanbusModel
from graphwright.tasks.canbus.window_stats import STATISTICS
from graphwright.training.export_form import OnnxForm, Port, predicted_by, same_tensors
from graphwright.training.export_graphs import (
    EDGES,
    EXAMPLE_SIZES,
    NODES,
    TracedGraphs,
    random_edges,
)

if TYPE_CHECKING:
    from graphwright.tasks.canbus.task import CanbusTask

__all__ = ["WindowsToScores", "onnx_form"]


class WindowsToScores(nn.Module):
    """A trained model on flat tensors.

    Args:
        model: in evaluation mode.
        names: of the inputs, in the order of the arguments.
        outputs: of `CanbusModel.scores` that are given, in order.
    """

    def __init__(
        self, model: CanbusModel, names: tuple[str, ...], outputs: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.model, self.names, self.outputs = model, names, outputs

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Scores `[B]` in 0..1."""
        fields = dict(zip(self.names, given, strict=True))
        x_NF = fields["x"]
        # ids are asked for by models that then leave them out
        ids_N = fields.get("id", torch.zeros(x_NF.shape[0], dtype=torch.int64))
        batch = TracedGraphs.of(
            fields["edge_index"],
            fields["node_ptr"],
            nodes={"x": x_NF, "id": ids_N},
            edges={name: fields[name] for name in ("edge_x",) if name in fields},
            graphs={name: fields[name] for name in ("stats",) if name in fields},
        )
        scores = self.model.scores(batch)
        return tuple(scores[name] for name in self.outputs)


def onnx_form(task: CanbusTask, model: CanbusModel, state: Mapping[str, Any]) -> OnnxForm:
    """See `Task.onnx_form`."""
    inputs = _inputs(model, state)
    outputs = _outputs(model)
    names = tuple(port.name for port in inputs)
    return OnnxForm(
        module=WindowsToScores(model, names, tuple(port.name for port in outputs)),
        inputs=inputs,
        outputs=outputs,
        tensors=same_tensors(inputs, _PLACES),
        expected=predicted_by(task, model, outputs),
        examples=_examples(state),
        state=dict(state),
        preprocessing=(
            "windows of data.window.size frames, every data.window.stride frames (see config)",
            "a node is a distinct id of a window, an edge a pair of ids that follow each other",
            "x, edge_x and stats as graphwright.tasks.canbus.windows computes them, not scaled",
            "alarm: score > 0.5",
        ),
    )


def _parts(model: CanbusModel) -> list[Any]:
    network = model.network
    return [network.vgae, network.gat] if isinstance(network, FusionModel) else [network]


def _inputs(model: CanbusModel, state: Mapping[str, Any]) -> tuple[Port, ...]:
    """Only what the model, or a part of it, reads."""
    parts = _parts(model)
    widths = len(state["node_mean"]), len(state["edge_mean"])
    ports = [
        EDGES,
        NODES,
        Port(name="x", dtype="float32", shape=("N", widths[0]), meaning="features of the ids"),
    ]
    if any(part.inputs.table is not None for part in parts):
        meaning = "raw ids; bit 31 set for extended ones"
        ports.append(Port(name="id", dtype="int64", shape=("N",), meaning=meaning))
    if any(part.inputs.edge is not None for part in parts):
        meaning = "features of the transitions"
        port = Port(name="edge_x", dtype="float32", shape=("E", widths[1]), meaning=meaning)
        ports.append(port)
    if any(part.stats is not None for part in parts):
        meaning = f"of each window: {', '.join(STATISTICS)}"
        shape = ("B", len(STATISTICS))
        ports.append(Port(name="stats", dtype="float32", shape=shape, meaning=meaning))
    return tuple(ports)


def _outputs(model: CanbusModel) -> tuple[Port, ...]:
    meanings = {"score": "0 to 1, an alarm above 0.5"}
    if isinstance(model.network, FusionModel):
        meanings |= {"vgae": "the VGAE's own anomaly", "gat": "the GAT's own probability"}
    return tuple(
        Port(name=name, dtype="float32", shape=("B",), meaning=meaning, scale=1.0)
        for name, meaning in meanings.items()
    )


_PLACES = {
    "edge_index": lambda batch: batch.edge_index,
    "node_ptr": lambda batch: batch.node_ptr,
    "x": lambda batch: batch.nodes["x"],
    "id": lambda batch: batch.nodes["id"],
    "edge_x": lambda batch: batch.edges["edge_x"],
    "stats": lambda batch: batch.graphs["stats"],
}


def _examples(state: Mapping[str, Any]) -> list[GraphBatch]:
    """Windows of known and unknown ids, as far from benign ones as attacks are, some with loops."""
    rng = np.random.default_rng(0)
    return [_example(sizes, state, rng) for sizes in EXAMPLE_SIZES]


def _example(
    sizes: tuple[int, ...], state: Mapping[str, Any], rng: np.random.Generator
) -> GraphBatch:
    edge_index, counts = random_edges(sizes, rng, loops=True)
    ids = np.array([*state["ids"], 0x7F1, 0x7F2, 0x1FFFFFF0 | 1 << 31])
    total = sum(sizes)

    def rows(name: str, count: int) -> torch.Tensor:
        mean, sd = np.array(state[f"{name}_mean"]), np.array(state[f"{name}_sd"])
        drawn = mean + 1.5 * sd * rng.normal(size=(count, len(mean)))
        return torch.from_numpy(drawn.astype(np.float32))

    return GraphBatch.from_arrays(
        node_counts=np.array(sizes),
        edge_counts=counts,
        edge_index=edge_index,
        nodes={"id": rng.choice(ids, total), "x": rows("node", total)},
        edges={"edge_x": rows("edge", edge_index.shape[1])},
        graphs={"stats": rows("stats", len(sizes))},
        local=True,
    )
