"""A GAT or VGAE as one ONNX file of fixed shapes: one window in, its scores out.

Everything is inside: looking ids up, standardising, the composite score. A gateway counts nodes and
edges, fills six arrays and reads the answer.

Legend: M = places for nodes, N <= M = nodes of a window, E = edges, F = features.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.errors import DataError, MissingExtraError
from graphwright.tasks.canbus.dense import DenseGraph
from graphwright.tasks.canbus.models.gat import GATModel, attack_probability, two_logits
from graphwright.tasks.canbus.models.vgae import VGAEModel
from graphwright.tasks.canbus.window_stats import STATISTICS

__all__ = ["INPUTS", "OUTPUTS", "DenseWindow", "dense_inputs", "export_onnx"]

INPUTS = ("id", "x", "node", "edge", "edge_x", "stats")
OUTPUTS = {"gat": ("logits", "probability"), "vgae": ("score", "anomaly", "parts")}


class DenseWindow(nn.Module):
    """A trained model on one window in the form of matrices.

    Args:
        model: a GAT or VGAE; put into evaluation mode, its weights are shared.
    """

    def __init__(self, model: GATModel | VGAEModel) -> None:
        super().__init__()
        self.model = model.eval()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what `forward` gives."""
        return OUTPUTS[self.model.config.name]

    def forward(
        self,
        id_M: Tensor,
        x_MF: Tensor,
        node_M: Tensor,
        edge_MM: Tensor,
        edge_x_MMF: Tensor,
        stats_1S: Tensor,
    ) -> tuple[Tensor, ...]:
        """Logits `[1, 2]` and probability `[1]`, or score `[1]`, anomaly `[1]` and parts `[1, P]`.

        Args:
            id_M: int64 raw ids `[M]`, bit 31 set for extended ones; anything in empty places.
            x_MF: node features `[M, F]`.
            node_M: bool `[M]`, whether a place holds a node.
            edge_MM: bool `[M, M]`, row = target, column = source.
            edge_x_MMF: edge features `[M, M, F]`.
            stats_1S: `[1, 17]` statistics of the window; not looked at by a model without them.
        """
        inputs, model = self.model.inputs, self.model
        features = None
        if inputs.edge is not None:
            features = torch.where(edge_MM[:, :, None], inputs.edge(edge_x_MMF), 0.0)
        x_MF, index_M = inputs.node(x_MF), inputs.index(id_M)
        loops_MM = edge_MM | torch.diag(node_M)
        looped = DenseGraph(loops_MM, features, node_M)
        if isinstance(model, GATModel):
            plain = DenseGraph(edge_MM, features, node_M)
            graph = looped if model.config.self_loops else plain
            stats = None if model.stats is None else stats_1S
            logits = model.classify(graph, x_MF, index_M, stats).logits
            return two_logits(logits), attack_probability(logits)
        neighbours = None
        if index_M is not None and inputs.table is not None:
            neighbours = _successors(edge_MM, index_M, len(inputs.table))
        output = model.reconstruct(looped, x_MF, index_M, neighbours)
        parts = model.parts(output)
        score = model.composite(parts)
        return score, model.judged(output, score, stats_1S), parts


def export_onnx(model: GATModel | VGAEModel, path: Path, *, max_nodes: int = 128) -> None:
    """Write a model as ONNX (opset 18) with fixed shapes; inputs and outputs see `DenseWindow`.

    Args:
        model: trained.
        path: of the file; an existing one is replaced.
        max_nodes: M, places for the distinct ids of a window.

    Raises:
        MissingExtraError: the packages of the extra `onnx` are not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "onnx", "ONNX export") from error
    _traced(DenseWindow(model).eval(), max_nodes).save(path)


def _traced(window: DenseWindow, max_nodes: int) -> Any:
    example = tuple(torch.from_numpy(v) for v in _empty(window.model, max_nodes).values())
    with torch.no_grad(), warnings.catch_warnings():
        # torch's exporter uses what torch itself has deprecated
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        return torch.onnx.export(
            window,
            example,
            dynamo=True,
            opset_version=18,
            input_names=list(INPUTS),
            output_names=list(window.outputs),
            verbose=False,
        )


def dense_inputs(
    model: GATModel | VGAEModel, batch: GraphBatch, window: int, *, max_nodes: int = 128
) -> dict[str, NDArray[Any]]:
    """One window of a batch as the arrays that the exported model reads.

    Args:
        model: the one that was exported.
        batch: with raw ids and features.
        window: its place in the batch.
        max_nodes: M of the export.

    Raises:
        DataError: the window has more nodes than there are places.
    """
    first, last = batch.node_ptr[window : window + 2].tolist()
    rows = slice(*batch.edge_ptr[window : window + 2].tolist())
    count = last - first
    if count > max_nodes:
        raise DataError(
            f"window {window} has {count} ids, the exported model has places for {max_nodes}",
            fix="export with a larger max_nodes",
        )
    arrays = _empty(model, max_nodes)
    source, target = (batch.edge_index[:, rows] - first).numpy()
    arrays["id"][:count] = batch.nodes["id"][first:last].numpy()
    arrays["x"][:count] = batch.nodes["x"][first:last].numpy()
    arrays["node"][:count] = True
    if "stats" in batch.graphs:
        arrays["stats"][0] = batch.graphs["stats"][window].numpy()
    arrays["edge"][target, source] = True
    if model.inputs.edge is not None:
        arrays["edge_x"][target, source] = batch.edges["edge_x"][rows].numpy()
    return arrays


def _empty(model: GATModel | VGAEModel, size: int) -> dict[str, NDArray[Any]]:
    """The six arrays without a node; without edge features there is still one column of them."""
    node_dim, edge_dim = model.inputs.node.width, max(model.inputs.edge_dim, 1)
    return {
        "id": np.zeros(size, np.int64),
        "x": np.zeros((size, node_dim), np.float32),
        "node": np.zeros(size, np.bool_),
        "edge": np.zeros((size, size), np.bool_),
        "edge_x": np.zeros((size, size, edge_dim), np.float32),
        "stats": np.zeros((1, len(STATISTICS)), np.float32),
    }


def _successors(edge_MM: Tensor, index_M: Tensor, size: int) -> Tensor:
    """`[M, V]`: 1 where an id with that index followed the node's id."""
    kinds_MV = (index_M[:, None] == torch.arange(size)).float()
    return (edge_MM.float().t() @ kinds_MV > 0).float()
