"""What a model must know of its data: as JSON for the bundle, and the tensors beside it.

Legend: N = genes, G = networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphwright.data.scaling import Standardizer
from graphwright.errors import DataError
from graphwright.nn.shared_graph import SharedGraph
from graphwright.tasks.genes.aliases import AliasTable, GeneNames
from graphwright.tasks.genes.labelled_sets import LabelledSets
from graphwright.tasks.genes.models.overlap_head import set_overlaps
from graphwright.tasks.genes.multigraph import GeneMultigraph
from graphwright.tasks.genes.nulls import GeneRidge

__all__ = [
    "fit_state",
    "gene_names",
    "network_buffers",
    "overlap_buffers",
    "ridge_buffers",
    "shared_graphs",
]


def shared_graphs(multigraph: GeneMultigraph) -> tuple[SharedGraph, ...]:
    """The G networks as the model holds them."""
    return tuple(
        SharedGraph.from_csr(torch.from_numpy(one.indptr), torch.from_numpy(one.indices))
        for one in multigraph.networks
    )


def fit_state(
    multigraph: GeneMultigraph,
    graphs: tuple[SharedGraph, ...],
    names: GeneNames,
    train: LabelledSets,
) -> dict[str, Any]:
    """Gene order, names, sizes of the networks, and the scale of the training labels.

    Raises:
        DataError: training labels that are all equal.
    """
    scale = Standardizer.fit(train.label)
    if np.ptp(train.label) == 0:
        raise DataError(
            f"every training label is {train.label[0]:g}: there is nothing to learn",
            fix="choose another data.source.columns.label or split",
        )
    networks = [
        {"name": network.name, "edges": graph.num_edges, "symmetric": graph.symmetric}
        for network, graph in zip(multigraph.networks, graphs, strict=True)
    ]
    return {
        "genes": list(multigraph.genes),
        "networks": networks,
        "storage": multigraph.storage,
        "label": scale.to_json(),
        "sizes": np.unique(train.sizes()).tolist(),
        "aliases": names.aliases.to_json(),
        "suffixes": list(names.suffixes),
    }


def gene_names(state: Mapping[str, Any]) -> GeneNames:
    """How a model's own genes are found by their names."""
    return GeneNames(
        tuple(state["genes"]), AliasTable.from_json(state["aliases"]), tuple(state["suffixes"])
    )


def network_buffers(graphs: tuple[SharedGraph, ...]) -> Iterator[tuple[str, Tensor]]:
    """The edges, by the names of the model's buffers."""
    for place, graph in enumerate(graphs):
        for name, tensor in graph.named_buffers():
            yield f"network.graphs.{place}.{name}", tensor


def overlap_buffers(
    graphs: tuple[SharedGraph, ...], train: LabelledSets
) -> Iterator[tuple[str, Tensor]]:
    """Scale of the overlap head: root mean squares over the training sets; 1 for what none has."""
    square_F = np.square(set_overlaps(graphs, train)).mean(axis=0)
    scale_F = np.where(square_F > 0, np.sqrt(square_F), 1.0)
    yield "network.overlap_head.scale", torch.from_numpy(scale_F)


def ridge_buffers(ridge: GeneRidge, scale: Standardizer) -> Iterator[tuple[str, Tensor]]:
    """A ridge that was fitted on labels in their unit, on the standardised scale."""
    (mean,), (sd,) = scale.mean, scale.scale
    yield "network.base.effect", torch.from_numpy(ridge.weight_N / sd)
    yield "network.base.intercept", torch.tensor((ridge.mean - mean) / sd, dtype=torch.float64)
