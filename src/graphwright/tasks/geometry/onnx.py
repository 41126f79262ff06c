"""A vector model as an ONNX file: points in the user's frame in, one vector per structure out.

Inside: moving to the mean of the points (in double precision), the element vocabulary, the network,
the scale, and the way back to the user's frame. Outside: which points are joined.

Legend: N = points, E = edges, B = structures, F = features of a point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.nn.segment import segment_mean
from graphwright.tasks.geometry.graphs import build_graphs
from graphwright.tasks.geometry.metrics import AXES
from graphwright.tasks.geometry.models.tfn import TFNModel
from graphwright.tasks.geometry.structures import StructureTable
from graphwright.tasks.geometry.vector_model import VectorModel
from graphwright.training.export_form import OnnxForm, Port, predicted_by, same_tensors
from graphwright.training.export_graphs import EDGES, EXAMPLE_SIZES, NODES, TracedGraphs

if TYPE_CHECKING:
    from graphwright.tasks.geometry.task import GeometryTask

__all__ = ["PointsToVectors", "onnx_form"]


class PointsToVectors(nn.Module):
    """A trained model on flat tensors.

    Args:
        model: in evaluation mode.
        names: of the node fields beside positions, in the order of the arguments.
    """

    def __init__(self, model: VectorModel, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, names
        self.padded = isinstance(model.network, TFNModel)

    def forward(
        self, pos_N3: Tensor, edge_index: Tensor, node_ptr: Tensor, *given: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Components `[B]` each, of float64 positions `[N, 3]` as the user has them."""
        nodes = {"pos": pos_N3, **dict(zip(self.names, given, strict=True))}
        if self.padded:
            edge_index, node_ptr, nodes = _with_one_more(edge_index, node_ptr, nodes)
            pos_N3 = nodes["pos"]
        start = TracedGraphs.of(edge_index, node_ptr, nodes=nodes)
        owner_N = start.node_graph
        origin_B3 = segment_mean(pos_N3, owner_N, start.num_graphs)
        nodes["pos"] = (pos_N3 - origin_B3.index_select(0, owner_N)).float()
        graphs = {"origin": origin_B3.float()}
        batch = TracedGraphs.of(edge_index, node_ptr, nodes=nodes, graphs=graphs)
        vectors_B3 = self.model.in_input_frame(batch, self.model(batch))
        x_B, y_B, z_B = (vectors_B3[:-1] if self.padded else vectors_B3).unbind(1)
        return x_B, y_B, z_B


def _with_one_more(
    edge_index: Tensor, node_ptr: Tensor, nodes: dict[str, Tensor]
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """One more structure of one point with an edge to itself: onnxruntime 1.31 ends the process on
    e3nn's products where there is no edge at all."""
    count = node_ptr[-1:]
    edge_index = torch.cat([edge_index, count.expand(2, 1)], dim=1)
    nodes = {name: torch.cat([values, values[:1]]) for name, values in nodes.items()}
    return edge_index, torch.cat([node_ptr, count + 1]), nodes


def onnx_form(task: GeometryTask, model: VectorModel, state: Mapping[str, Any]) -> OnnxForm:
    """See `Task.onnx_form`."""
    unit = str(state["position_unit"])
    inputs = [
        Port(name="pos", dtype="float64", shape=("N", 3), unit=unit, meaning="points, as given"),
        EDGES,
        NODES,
    ]
    if state["elements"]:
        inputs.append(Port(name="z", dtype="int64", shape=("N",), meaning="atomic numbers"))
    if state["features"]:
        shape = ("N", int(state["features"]))
        inputs.append(
            Port(name="features", dtype="float32", shape=shape, meaning="invariant features")
        )
    outputs = tuple(
        Port(
            name=f"predicted_{axis}",
            dtype="float32",
            shape=("B",),
            unit=str(state["target_unit"]),
            meaning=f"{axis} of the {state['target_name'] or 'target'}",
            scale=float(state["scale"]),
        )
        for axis in AXES
    )
    names = tuple(port.name for port in inputs[3:])
    return OnnxForm(
        module=PointsToVectors(model, names),
        inputs=tuple(inputs),
        outputs=outputs,
        tensors=same_tensors(inputs, _PLACES),
        expected=predicted_by(task, model, outputs),
        examples=_examples(task, state),
        state={**state, "graph": asdict(task.config.data.graph)},
        preprocessing=_preprocessing(task),
    )


def _positions(batch: GraphBatch) -> Tensor:
    origin_B3 = batch.graphs["origin"]
    return batch.nodes["pos"] + origin_B3.index_select(0, batch.node_graph)


_PLACES = {
    "pos": _positions,
    "edge_index": lambda batch: batch.edge_index,
    "node_ptr": lambda batch: batch.node_ptr,
    "z": lambda batch: batch.nodes["z"],
    "features": lambda batch: batch.nodes["features"],
}


def _preprocessing(task: GeometryTask) -> tuple[str, ...]:
    graph = task.config.data.graph
    if graph.kind == "knn":
        joined = f"its {graph.k} nearest other points of the same structure (all, if fewer)"
    else:
        most = f", at most the {graph.max_neighbors} nearest" if graph.max_neighbors else ""
        joined = f"every other point of the same structure within {graph.cutoff}{most}"
    return (
        f"edge_index: an edge to each point (row 1) from {joined} (row 0)",
        "node_ptr: cumulative numbers of points, beginning with 0",
        "points are neither centred nor scaled; elements are atomic numbers of state.elements",
    )


def _examples(task: GeometryTask, state: Mapping[str, Any]) -> list[Any]:
    """Clouds about as wide as the cutoff of the model, somewhere in space."""
    rng = np.random.default_rng(0)
    return [_example(sizes, task, state, rng) for sizes in EXAMPLE_SIZES]


def _example(
    sizes: tuple[int, ...], task: GeometryTask, state: Mapping[str, Any], rng: np.random.Generator
) -> Any:
    wide = getattr(task.config.model, "cutoff", 1.0) / 2
    total, places = sum(sizes), np.arange(len(sizes))
    owner_N = np.repeat(places, sizes)
    origin_B3 = rng.normal(size=(len(sizes), 3)) * 0.2 * wide
    features = rng.normal(size=(total, state["features"])) if state["features"] else None
    table = StructureTable(
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        pos=origin_B3[owner_N] + rng.normal(size=(total, 3)) * wide,
        names=places.astype(str),
        z=rng.choice(state["elements"], total) if state["elements"] else None,
        features=features,
        target_is_position=state["target_is_position"],
    )
    return build_graphs(table, graph=task.config.data.graph).batch(places)
