"""L layers, each one convolution per network and an aggregator over the networks.

The wild type is encoded once for a whole batch. The cells go along with it as `PerturbedCells`,
which knows the genes that a deletion has reached: the others are the wild type's, so that the first
layer (and each one as long as few are reached) computes only those. With no cells at all the wild
type goes alone.

Legend: L = layers, G = networks, N = genes, B = cells, R = rows of genes that were reached, D =
features, K = options that an aggregator weighs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from graphwright.nn.recompute import recomputed
from graphwright.nn.shared_cells import PerturbedCells
from graphwright.nn.shared_gat import SharedGATs
from graphwright.nn.shared_gin import SharedGINs
from graphwright.nn.shared_graph import SharedGraph
from graphwright.tasks.genes.model_configs import GeneInteractionConfig
from graphwright.tasks.genes.models.aggregators import Aggregation, NetworkMean, NetworkSum
from graphwright.tasks.genes.models.reached import reached_rows

__all__ = ["Encoder", "EncoderLayer", "LayerWeights"]


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """How one layer weighed its options.

    Attributes:
        wild_NK: of every gene of the wild type; a row sums to 1.
        cells_BK: mean over the genes that each cell has kept.
    """

    wild_NK: Tensor
    cells_BK: Tensor


T = TypeVar("T")
Layer = tuple[PerturbedCells, LayerWeights | None]


class EncoderLayer(nn.Module):
    """relu(norm(aggregator(convolutions of x))), plus x where `residual`; no ReLU where `signed`.

    Args:
        config: of the model.
        networks: G.
    """

    def __init__(self, config: GeneInteractionConfig, networks: int) -> None:
        super().__init__()
        dim, again = config.hidden_dim, config.recompute
        self.convs: SharedGINs | SharedGATs
        if config.conv == "gin":
            self.convs = SharedGINs(networks, dim, dim, recompute=again)
        else:
            self.convs = SharedGATs(networks, dim, dim, config.conv_heads, recompute=again)
        self.aggregation = Aggregation.of(config, networks)
        self.residual, self.recompute = config.residual, again
        self.signed = config.signed
        # a norm over everything makes all rows of a cell differ from the wild type's
        self.whole_batch = config.norm == "compat"

    def forward(self, graphs: Sequence[SharedGraph], cells: PerturbedCells) -> Layer:
        """The wild type and every cell, and the weights of an aggregator that weighs."""
        if self.whole_batch:
            return self._everything(graphs, cells)
        if isinstance(self.aggregation.mixer, NetworkSum | NetworkMean):
            return self._summed(graphs, cells), None
        return self._weighed(graphs, cells)

    def _summed(self, graphs: Sequence[SharedGraph], cells: PerturbedCells) -> PerturbedCells:
        """The convolutions add up by themselves."""
        mean = isinstance(self.aggregation.mixer, NetworkMean)
        with torch.autocast(cells.wild_ND.device.type, enabled=False):
            total = self.convs.aggregate(graphs, cells, "mean" if mean else "sum")
        norm = self.aggregation.norm
        return self._finish(cells, total, nn.Identity() if norm is None else norm)

    def _weighed(self, graphs: Sequence[SharedGraph], cells: PerturbedCells) -> Layer:
        """The aggregator on the wild type's rows and, below them, on the cells' own."""
        rows: tuple[Tensor, Tensor] | None = None
        outs, out, genes = list[Tensor](), cells, len(cells.wild_ND)
        for out in _full_precision(self.convs.each(graphs, cells), cells.wild_ND.device.type):
            if not outs:  # the same for every network
                rows = reached_rows(out)
            own_RD = out.x_BND.flatten(0, 1) if rows is None else out.x_BND[rows]
            outs.append(torch.cat([out.wild_ND, own_RD]))
        mixed, weight = self.aggregation(outs)
        wild_ND, own_RD = torch.split(mixed, [genes, len(mixed) - genes])
        mixed_cells = replace(out, wild_ND=wild_ND, cells_BND=_spread(wild_ND, own_RD, rows, cells))
        wild_NK, own_RK = torch.split(weight, [genes, len(mixed) - genes])
        every_BNK = _spread(wild_NK, own_RK, rows, cells)
        weights = LayerWeights(wild_NK, _kept_mean(every_BNK, cells))
        return self._finish(cells, mixed_cells, nn.Identity()), weights

    def _everything(self, graphs: Sequence[SharedGraph], cells: PerturbedCells) -> Layer:
        """The aggregator on whole cells at once, for a norm that looks at all of them."""
        kind = cells.wild_ND.device.type
        alone = _full_precision(self.convs(graphs, cells.wild_ND[:, None]), kind)
        wild_ND, wild_NK = self.aggregation(out_N1D[:, 0] for out_N1D in alone)
        inside = _full_precision(self.convs(graphs, cells.x_NBD, cells.keep_NB), kind)
        out_NBD, weight_NBK = self.aggregation(inside)
        everywhere_BN = torch.ones_like(cells.touched_BN)
        out_BND = out_NBD.transpose(0, 1)
        out = replace(cells, wild_ND=wild_ND, cells_BND=out_BND, touched_BN=everywhere_BN)
        weights = None
        if wild_NK is not None:
            weights = LayerWeights(wild_NK, _kept_mean(weight_NBK.transpose(0, 1), cells))
        return self._finish(cells, out, nn.Identity()), weights

    def _finish(
        self, before: PerturbedCells, after: PerturbedCells, norm: nn.Module
    ) -> PerturbedCells:
        def end(before: Tensor, after: Tensor) -> tuple[Tensor]:
            # the stream keeps its precision under autocast: convolutions sum over hubs
            out = (norm(after) if self.signed else norm(after).relu()).to(before.dtype)
            return (before + out if self.residual else out,)

        parts = [(before.wild_ND, after.wild_ND), (before.x_BND, after.x_BND)]
        if self.recompute:
            (wild_ND,), (out_BND,) = (recomputed(end, p, list(norm.parameters())) for p in parts)
        else:
            (wild_ND,), (out_BND,) = (end(*part) for part in parts)
        return replace(after, wild_ND=wild_ND, cells_BND=out_BND)


class Encoder(nn.Module):
    """The layers, one after the other.

    Args:
        config: of the model.
        networks: G.
    """

    def __init__(self, config: GeneInteractionConfig, networks: int) -> None:
        super().__init__()
        layers = (EncoderLayer(config, networks) for _ in range(config.num_layers))
        self.layers = nn.ModuleList(layers)

    def forward(
        self, graphs: Sequence[SharedGraph], cells: PerturbedCells
    ) -> tuple[PerturbedCells, list[LayerWeights]]:
        """The wild type and every cell, and the weights of every layer that weighs."""
        found = []
        for layer in self.layers:
            cells, weights = layer(graphs, cells)
            found.append(weights)
        return cells, [weights for weights in found if weights is not None]


def _full_precision(outs: Iterator[T], kind: str) -> Iterator[T]:
    """What an iterator makes step by step without autocast; who takes a step keeps it."""
    while True:
        with torch.autocast(kind, enabled=False):
            out = next(outs, None)
        if out is None:
            return
        yield out


def _spread(
    wild_NF: Tensor, own_RF: Tensor, rows: tuple[Tensor, Tensor] | None, cells: PerturbedCells
) -> Tensor:
    """`[B, N, F]`: own rows where they are, the wild type's elsewhere."""
    if rows is None:
        return torch.unflatten(own_RF, 0, (cells.num_cells, -1))
    return wild_NF.expand(cells.num_cells, -1, -1).index_put(rows, own_RF)


def _kept_mean(every_BNK: Tensor, cells: PerturbedCells) -> Tensor:
    keep_BN = cells.keep_NB.t().to(every_BNK.dtype)
    total_BK = torch.bmm(keep_BN[:, None], every_BNK)[:, 0]
    return total_BK / keep_BN.sum(1, keepdim=True)
