"""Perturbed cells for an exporter: plain operators, and only the rows that a deletion has reached.

The wild type does not depend on a call: what every layer makes of it is a constant of the file. A
cell starts as the wild type; layer after layer the genes that a deletion can have reached are
looked for, their in-edges are pulled in, and their rows are computed anew. The numbers are those of
`models/encoder.py`, whose kernels count in tensors that an exporter cannot follow.

Legend: N = genes, B = cells, G = networks, R = rows (a gene in a cell) that a deletion has reached,
M = edges into them, D = features, H = heads.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, leaky_relu

from graphwright.nn.segment import segment_softmax
from graphwright.nn.shared_attention import LoopedEdges
from graphwright.nn.shared_cells import PerturbedCells
from graphwright.nn.shared_gat import SharedGATs
from graphwright.nn.shared_gin import SharedGINs
from graphwright.nn.shared_graph import SharedGraph
from graphwright.tasks.genes.models.aggregators import NetworkMean, NetworkSum
from graphwright.tasks.genes.models.encoder import EncoderLayer
from graphwright.tasks.genes.models.model import GeneInteractionModel

__all__ = ["TracedCells", "wild_types"]

_SLOPE = 0.2  # of the leaky relu of GATv2
_NEVER = -1e30  # a score that no softmax sees


class _Reached(NamedTuple):
    """Rows of some cells that are computed anew, among all B N rows.

    Attributes:
        row_R: int64, cell N + gene.
        gene_R: int64.
        keep_R: 1, or 0 for deleted genes.
    """

    row_R: Tensor
    gene_R: Tensor
    keep_R: Tensor


class _Cells(NamedTuple):
    """All rows of all cells.

    Attributes:
        x_FD: `[B N, D]`.
        keep_F: `[B N]`, 1 or 0.
    """

    x_FD: Tensor
    keep_F: Tensor


@torch.no_grad()
def wild_types(model: GeneInteractionModel) -> list[Tensor]:
    """What the wild type is before the first layer and after each `[N, D]`."""
    none = torch.zeros(0, dtype=torch.int64)
    cells = PerturbedCells.start(model.inputs(), none, torch.zeros(1, dtype=torch.int64))
    found = [cells.wild_ND]
    for layer in model.encoder.layers:
        cells, _ = layer(_graphs(model), cells)
        found.append(cells.wild_ND)
    return found


def _graphs(model: GeneInteractionModel) -> list[SharedGraph]:
    return [graph for graph in model.graphs if isinstance(graph, SharedGraph)]


class TracedCells(nn.Module):
    """The cells after the last layer.

    Args:
        model: trained, with its networks.
        wild: of `wild_types`.
    """

    def __init__(self, model: GeneInteractionModel, wild: list[Tensor]) -> None:
        super().__init__()
        layers = [layer for layer in model.encoder.layers if isinstance(layer, EncoderLayer)]
        self.layers = nn.ModuleList(_Layer(layer) for layer in layers)
        loops = isinstance(layers[0].convs, SharedGATs)
        self.edges = nn.ModuleList(_Edges(graph, loops=loops) for graph in _graphs(model))
        for place, wild_ND in enumerate(wild):
            self.register_buffer(f"wild_{place}", wild_ND)

    def forward(self, gene_BS: Tensor, present_BS: Tensor) -> tuple[Tensor, Tensor]:
        """`[B, N, D]`, and which genes each cell has kept `[B, N]` bool.

        Args:
            gene_BS: int64, the deleted genes.
            present_BS: which of them are genes and no padding.
        """
        wild_ND: Tensor = self.get_buffer("wild_0")
        cells, genes = gene_BS.shape[0], wild_ND.shape[0]
        place_BS = torch.where(present_BS, gene_BS, genes)  # padding deletes one gene too many
        every = torch.ones_like(place_BS, dtype=wild_ND.dtype)
        marks_BN = wild_ND.new_zeros(cells, genes + 1).scatter(1, place_BS, every)
        touched_BN = marks_BN[:, :-1]
        state = _Cells(_of_all(wild_ND, cells), 1 - touched_BN.flatten())
        for place, layer in enumerate(self.layers):
            assert isinstance(layer, _Layer)
            touched_BN = self._next(touched_BN)
            reached = _reached(touched_BN, state.keep_F)
            own_RD = layer(state, reached, self.edges)
            wild_FD = _of_all(self.get_buffer(f"wild_{place + 1}"), cells)
            state = state._replace(x_FD=wild_FD.index_copy(0, reached.row_R, own_RD))
        shape = (cells, genes)
        return torch.unflatten(state.x_FD, 0, shape), torch.unflatten(state.keep_F, 0, shape) > 0

    def _next(self, touched_BN: Tensor) -> Tensor:
        """1 at the genes that are touched or hear a touched one."""
        total_BN = touched_BN
        for edges in self.edges:
            assert isinstance(edges, _Edges)
            total_BN = total_BN + edges.spread(touched_BN)
        return (total_BN > 0).to(touched_BN.dtype)


def _of_all(wild_ND: Tensor, cells: int) -> Tensor:
    """The wild type as rows of so many cells `[B N, D]`."""
    return wild_ND.expand(cells, -1, -1).reshape(-1, wild_ND.shape[1])


def _reached(touched_BN: Tensor, keep_F: Tensor) -> _Reached:
    row_R = touched_BN.flatten().nonzero()[:, 0]
    return _Reached(row_R, row_R % touched_BN.shape[1], keep_F.index_select(0, row_R))


class _Edges(nn.Module):
    """One network: for every gene whom it hears.

    Args:
        graph: of the model.
        loops: with exactly one edge of every gene to itself.
    """

    def __init__(self, graph: SharedGraph, *, loops: bool) -> None:
        super().__init__()
        genes = torch.arange(graph.num_nodes)
        source, target = graph.indices.long(), genes.repeat_interleave(graph.indptr.diff())
        if loops:
            looped = LoopedEdges(graph)
            source, target = looped.source, looped.target
        bounds = torch.bincount(target, minlength=graph.num_nodes).cumsum(0)
        self.register_buffer("source", source.to(torch.int32))
        self.register_buffer("target", target.to(torch.int32))
        self.register_buffer("ptr", torch.cat([bounds.new_zeros(1), bounds]))
        self.source: Tensor
        self.target: Tensor
        self.ptr: Tensor

    def spread(self, x_BN: Tensor) -> Tensor:
        """The sum of the sources of every gene `[B, N]`."""
        message_BE = x_BN.index_select(1, self.source)
        return torch.zeros_like(x_BN).index_add(1, self.target.long(), message_BE)

    def into(self, reached: _Reached) -> tuple[Tensor, Tensor]:
        """Which row of `reached` each edge leads to, and its source among the B N rows `[M]`."""
        start_R = self.ptr.index_select(0, reached.gene_R)
        degree_R = self.ptr.index_select(0, reached.gene_R + 1) - start_R
        every_R = torch.arange(degree_R.shape[0], device=degree_R.device)
        owner_M = torch.repeat_interleave(every_R, degree_R)
        before_R = degree_R.cumsum(0) - degree_R
        edge_M = torch.arange(owner_M.shape[0], device=owner_M.device)
        edge_M = edge_M + (start_R - before_R).index_select(0, owner_M)
        source_M = self.source.index_select(0, edge_M).long()
        cell_R = reached.row_R - reached.gene_R
        return owner_M, source_M + cell_R.index_select(0, owner_M)


class _Layer(nn.Module):
    """One layer of the encoder on rows that were reached."""

    def __init__(self, layer: EncoderLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, cells: _Cells, reached: _Reached, networks: nn.ModuleList) -> Tensor:
        """`[R, D]` from the rows of all cells before the layer."""
        layer, convs = self.layer, self.layer.convs
        conv = _gin if isinstance(convs, SharedGINs) else _gat
        outs = [conv(convs, g, cells, reached, edges) for g, edges in enumerate(networks)]  # type: ignore[arg-type]
        out_RD = _mixed(layer, torch.stack(outs))
        if layer.aggregation.norm is not None:
            out_RD = layer.aggregation.norm(out_RD)
        out_RD = out_RD if layer.signed else out_RD.relu()
        return out_RD + cells.x_FD.index_select(0, reached.row_R) if layer.residual else out_RD


def _mixed(layer: EncoderLayer, outs_GRD: Tensor) -> Tensor:
    mixer = layer.aggregation.mixer
    if isinstance(mixer, NetworkSum):
        return outs_GRD.sum(0)
    if isinstance(mixer, NetworkMean):
        return outs_GRD.mean(0)
    mixed: Tensor = mixer._mix(outs_GRD)[0]  # type: ignore[operator]
    return mixed


def _gin(
    convs: SharedGINs, network: int, cells: _Cells, reached: _Reached, edges: _Edges
) -> Tensor:
    """W2 relu(norm(W1 ((1 + eps) x + sum of the kept neighbours) + b1)) + b2."""
    owner_M, source_M = edges.into(reached)
    kept_M1 = cells.keep_F.index_select(0, source_M)[:, None]
    own_RD = cells.x_FD.index_select(0, reached.row_R)
    heard_MD = cells.x_FD.index_select(0, source_M) * kept_M1
    total_RD = torch.zeros_like(own_RD).index_add(0, owner_M, heard_MD) * reached.keep_R[:, None]
    total_RD = own_RD * (1 + convs.eps[network]) + total_RD
    hidden = total_RD @ convs.first_weight[network] + convs.first_bias[network]
    norm = convs.norm_weight[network], convs.norm_bias[network]
    hidden = layer_norm(hidden, hidden.shape[-1:], *norm).relu()
    return hidden @ convs.second_weight[network] + convs.second_bias[network]


def _gat(
    convs: SharedGATs, network: int, cells: _Cells, reached: _Reached, edges: _Edges
) -> Tensor:
    """Attention to the kept neighbours and to itself; a deleted gene hears only itself."""
    owner_M, source_M = edges.into(reached)
    target_M = reached.row_R.index_select(0, owner_M)
    keep_M = cells.keep_F.index_select(0, source_M) * cells.keep_F.index_select(0, target_M)
    heard_M = (source_M == target_M) | (keep_M > 0)
    left_FK = cells.x_FD @ convs.left_weight[network] + convs.left_bias[network]
    own_RD = cells.x_FD.index_select(0, reached.row_R)
    right_RK = own_RD @ convs.right_weight[network] + convs.right_bias[network]
    attention_HC = convs.attention[network]
    left_MHC = left_FK.index_select(0, source_M).view(-1, *attention_HC.shape)
    right_MHC = right_RK.index_select(0, owner_M).view(-1, *attention_HC.shape)
    score_MH = (leaky_relu(left_MHC + right_MHC, _SLOPE) * attention_HC).sum(2)
    score_MH = torch.where(heard_M[:, None], score_MH, _NEVER)
    weight_MH = segment_softmax(score_MH, owner_M, own_RD.shape[0])
    out_RK = torch.zeros_like(right_RK).index_add(
        0, owner_M, (left_MHC * weight_MH[:, :, None]).flatten(1)
    )
    return out_RK + convs.bias[network]
