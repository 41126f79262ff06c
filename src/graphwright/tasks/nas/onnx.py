"""A predictor as an ONNX file: encoded architectures in, predictions in the metrics' units out.

Inside: the embedding of operations, all members of an ensemble, their mean and spread, and the way
from the learnt scale to the label's unit. Outside: from a text, a module or a row of a table to the
encoded graph (`encoding.py`, with the vocabulary and the scales of `state`).

Legend: M = members, B = architectures, N = nodes, T = metrics, K = knots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.tasks.nas.evaluation import column_name
from graphwright.tasks.nas.label_transform import LabelTransform
from graphwright.tasks.nas.models.hierarchical import HierarchicalModel
from graphwright.tasks.nas.models.inputs import Sizes
from graphwright.tasks.nas.onnx_networks import traced_network
from graphwright.training.export_form import OnnxForm, Port, predicted_by, same_tensors
from graphwright.training.export_graphs import (
    EDGES,
    EXAMPLE_SIZES,
    NODES,
    TracedGraphs,
    random_edges,
)

if TYPE_CHECKING:
    from graphwright.tasks.nas.task import NasModel, NasTask

__all__ = ["GraphsToMetrics", "InverseTransform", "onnx_form"]

_NODES = ("op", "hyper", "position", "level")


class InverseTransform(nn.Module):
    """`LabelTransform.inverse` as tensors, in double precision."""

    def __init__(self, transform: LabelTransform) -> None:
        super().__init__()
        self.mean, self.scale = transform.mean, transform.scale
        self.knots = len(transform.scores)
        for name in ("scores", "values"):
            knots = torch.tensor(getattr(transform, name), dtype=torch.float64)
            self.register_buffer(name, knots, persistent=False)
        self.scores: Tensor
        self.values: Tensor

    def forward(self, score_B: Tensor) -> Tensor:
        """From the learnt scale to the metric's unit `[B]`, float64."""
        if not self.knots:
            return score_B * self.scale + self.mean
        low, high = self.scores[0], self.scores[-1]
        outside_B = (score_B - low).clamp(max=0) + (score_B - high).clamp(min=0)
        if self.knots == 1:
            return self.values[0] + self.scale * outside_B
        inner_B = torch.minimum(torch.maximum(score_B, low), high)
        # number of the piece: how many of the inner knots lie at or below
        piece_B = (inner_B[:, None] >= self.scores[1:-1]).sum(1)
        left_B, right_B = self.scores[piece_B], self.scores[piece_B + 1]
        share_B = (inner_B - left_B) / (right_B - left_B)
        start_B = self.values[piece_B]
        return start_B + share_B * (self.values[piece_B + 1] - start_B) + self.scale * outside_B

    def spread(self, score_B: Tensor, sd_B: Tensor) -> Tensor:
        """See `LabelTransform.inverse_spread`."""
        return (self(score_B + sd_B) - self(score_B - sd_B)) / 2  # type: ignore[no-any-return]


class GraphsToMetrics(nn.Module):
    """A trained model on flat tensors.

    Args:
        model: in evaluation mode.
        names: of the inputs, in the order of the arguments.
        feasibility: the last output of the network is a logit.
    """

    def __init__(self, model: NasModel, names: tuple[str, ...], *, feasibility: bool) -> None:
        super().__init__()
        self.network = traced_network(model.network)
        self.inverse = nn.ModuleList(InverseTransform(one) for one in model.labels.transforms)
        self.names, self.feasibility = names, feasibility

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Columns `[B]`, as `NasTask.predict` orders them."""
        fields = dict(zip(self.names, given, strict=True))
        batch = TracedGraphs.of(
            fields["edge_index"],
            fields["node_ptr"],
            nodes={name: fields[name] for name in _NODES if name in fields},
            graphs={name: fields[name] for name in ("features", "paths") if name in fields},
        )
        values_MBT = self.network(batch).values_MBT.double()
        columns = []
        for place, inverse in enumerate(self.inverse):
            assert isinstance(inverse, InverseTransform)
            known_MB = values_MBT[:, :, place]
            mean_B = known_MB.mean(0)
            columns.append(inverse(mean_B))
            if len(values_MBT) > 1:
                sd_B = ((known_MB - mean_B).square().sum(0) / (len(values_MBT) - 1)).sqrt()
                columns.append(inverse.spread(mean_B, sd_B))
        if self.feasibility:
            columns.append(values_MBT[:, :, -1].sigmoid().mean(0))
        return tuple(column.float() for column in columns)


def onnx_form(task: NasTask, model: NasModel, state: Mapping[str, Any]) -> OnnxForm:
    """See `Task.onnx_form`."""
    feasibility = task.config.data.labels.feasibility
    hierarchical = isinstance(model.network, HierarchicalModel)
    inputs = _inputs(state, levels=hierarchical)
    names = tuple(port.name for port in inputs)
    module = GraphsToMetrics(model, names, feasibility=feasibility)
    examples = _examples(state, levels=hierarchical)
    outputs = _outputs(model, members=task.config.model.members > 1, feasibility=feasibility)
    return OnnxForm(
        module=module,
        inputs=inputs,
        outputs=outputs,
        tensors=same_tensors(inputs, _PLACES),
        expected=predicted_by(task, model, outputs),
        examples=examples,
        state=dict(state),
        preprocessing=(
            "graphwright.tasks.nas.encoding.encode makes all inputs of a table of architectures; "
            "from Python: bundle.task.read_input(path_or_texts, bundle.state)",
            "op counts in state.vocabulary, 0 for an operation that is not in it",
            "hyper, position and features are scaled by the scalers in state, paths by state.paths",
        ),
    )


def _inputs(state: Mapping[str, Any], *, levels: bool) -> tuple[Port, ...]:
    hyper, positions = state.get("hyperparameters"), state.get("positions")
    ports = [
        EDGES,
        NODES,
        Port(name="op", dtype="int64", shape=("N",), meaning="operation, place in the vocabulary"),
    ]
    if hyper:
        meaning = "scaled hyperparameters, then 1 where the node has each"
        ports.append(_floats("hyper", "N", 2 * len(hyper["names"]), meaning))
    if positions:
        meaning = "scaled longest path from the input, and to the output"
        ports.append(_floats("position", "N", len(positions["names"]), meaning))
    if levels:
        meaning = "0 for operations, 1 for cells"
        ports.append(Port(name="level", dtype="int64", shape=("N",), meaning=meaning))
    if features := state.get("features"):
        width = len(features["names"]) + sum(features["gaps"])
        ports.append(_floats("features", "B", width, "scaled features of the architecture"))
    if paths := state.get("paths"):
        ports.append(_floats("paths", "B", len(paths), "1 for each path that is in it"))
    return tuple(ports)


def _floats(name: str, rows: str, width: int, meaning: str) -> Port:
    return Port(name=name, dtype="float32", shape=(rows, width), meaning=meaning)


def _outputs(model: NasModel, *, members: bool, feasibility: bool) -> tuple[Port, ...]:
    metrics, ports = model.labels.metrics, []
    for place, (metric, transform) in enumerate(zip(metrics, model.labels.transforms, strict=True)):
        told = {"predicted": f"{metric}, mean of the members"}
        if members:
            told["sd"] = f"standard deviation of {metric} over the members"
        for kind, meaning in told.items():
            # a spread may be next to nothing: it counts on the scale of the labels' own
            least = transform.scale if kind == "sd" else 0.0
            name = column_name(kind, metrics, place)
            ports.append(
                Port(name=name, dtype="float32", shape=("B",), meaning=meaning, scale=least)
            )
    if feasibility:
        meaning = "chance that the training succeeds"
        ports.append(
            Port(name="p_feasible", dtype="float32", shape=("B",), meaning=meaning, scale=1.0)
        )
    return tuple(ports)


def _node_field(name: str, batch: GraphBatch) -> Tensor:
    return batch.nodes[name]


def _graph_field(name: str, batch: GraphBatch) -> Tensor:
    return batch.graphs[name]


_PLACES: dict[str, Callable[[Any], Tensor]] = {
    "edge_index": lambda batch: batch.edge_index,
    "node_ptr": lambda batch: batch.node_ptr,
    **{name: partial(_node_field, name) for name in _NODES},
    **{name: partial(_graph_field, name) for name in ("features", "paths")},
}


def _examples(state: Mapping[str, Any], *, levels: bool) -> list[GraphBatch]:
    """Directed acyclic graphs of any operations; with levels the second half are cells."""
    rng = np.random.default_rng(0)
    least = 2 if levels else 1  # a cell is made of an operation
    examples = [[max(size, least) for size in sizes] for sizes in EXAMPLE_SIZES]
    return [_example(sizes, state, rng, levels=levels) for sizes in examples]


def _example(
    sizes: Sequence[int], state: Mapping[str, Any], rng: np.random.Generator, *, levels: bool
) -> GraphBatch:
    edge_index, counts = random_edges(tuple(sizes), rng, ascending=True)
    total = sum(sizes)
    widths = Sizes.of(state, feasibility=False)
    nodes: dict[str, Any] = {"op": rng.integers(0, widths.operations, total)}
    hyper = 2 * len(state["hyperparameters"]["names"]) if state.get("hyperparameters") else 0
    given = {"hyper": hyper, "position": widths.node - hyper}
    nodes |= {name: _normal(rng, total, width) for name, width in given.items() if width}
    if levels:
        nodes["level"] = np.concatenate([np.arange(n) >= n // 2 for n in sizes]).astype(np.int64)
    paths = len(state.get("paths", ()))
    graphs: dict[str, Any] = {}
    if widths.graph - paths:
        graphs["features"] = _normal(rng, len(sizes), widths.graph - paths)
    if paths:
        graphs["paths"] = rng.integers(0, 2, (len(sizes), paths)).astype(np.float32)
    return GraphBatch.from_arrays(
        node_counts=np.array(sizes),
        edge_counts=counts,
        edge_index=edge_index,
        nodes=nodes,
        graphs=graphs,
        local=True,
    )


def _normal(rng: np.random.Generator, rows: int, width: int) -> Any:
    return rng.normal(size=(rows, width)).astype(np.float32)
