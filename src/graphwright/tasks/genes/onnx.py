"""A model of gene interactions as an ONNX file: sets of genes in, interactions out.

The networks, what every layer makes of the wild type, and the scale of the labels are in the file;
a call brings a few integers. Deletions are computed exactly (`onnx_cells.py`), for any number of
sets of any size. Outside: names of genes to their places in `state.genes`.

Legend: N = genes, B = sets, S = genes of the largest set, G = networks, D = features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from graphwright.errors import ConfigError
from graphwright.tasks.genes.gene_source import GeneSetBatch
from graphwright.tasks.genes.models.gene_sets import PaddedSets
from graphwright.tasks.genes.models.pair_head import PairHead
from graphwright.tasks.genes.models.pool import AttentionPool
from graphwright.tasks.genes.onnx_cells import TracedCells, wild_types
from graphwright.tasks.genes.onnx_overlap import TracedOverlap, pairs_of
from graphwright.tasks.genes.scaled_model import ScaledModel
from graphwright.training.export_form import OnnxForm, Port, predicted_by

if TYPE_CHECKING:
    from graphwright.tasks.genes.task import GenesTask

__all__ = ["SetsToInteractions", "onnx_form"]

PADDING = -1
# genes of the sets of each example; the first is traced
_SIZES: tuple[tuple[int, ...], ...] = (
    (2, 3, 2),
    (2,),
    (3,),
    (1, 2),
    (2, 3, 3, 2, 2, 3),
    (2,) * 20,
)


class SetsToInteractions(nn.Module):
    """A trained model on a padded table of genes.

    Args:
        model: in evaluation mode, with its networks.
    """

    def __init__(self, model: ScaledModel) -> None:
        super().__init__()
        network = model.network
        self.network = network
        (self.mean,), (self.scale,) = model.scale.mean, model.scale.scale
        wild = wild_types(network)
        self.register_buffer("wild", wild[-1])
        self.wild: Tensor
        self.cells = None if network.pool is None else TracedCells(network, wild)
        self.overlap = None if network.overlap_head is None else TracedOverlap(network)

    def forward(self, gene_BS: Tensor) -> tuple[Tensor]:
        """Interactions `[B]` in the label's unit."""
        network, present_BS = self.network, gene_BS >= 0
        gene_BS = gene_BS.clamp(min=0)
        local_B1 = self._local(gene_BS, present_BS)
        score_B1, _ = network.combine(self._global(gene_BS, present_BS), local_B1)
        if self.overlap is not None:
            score_B1 = score_B1 + self.overlap(gene_BS, present_BS)
        if network.base is not None:
            effect_BS = torch.where(present_BS, network.base.effect[gene_BS], 0.0)
            score_B1 = score_B1 + network.base.intercept + effect_BS.sum(1, keepdim=True)
        return ((score_B1[:, 0].double() * self.scale + self.mean).float(),)

    def _local(self, gene_BS: Tensor, present_BS: Tensor) -> Tensor | None:
        head = self.network.local_head
        if head is None:
            return None
        sets = _padded(gene_BS, present_BS)
        gene_PD = self.wild.index_select(0, sets.gene_P)
        if isinstance(head, PairHead):
            return _pair_scores(head, torch.unflatten(gene_PD, 0, gene_BS.shape), present_BS)
        out: Tensor = head(gene_PD, sets)
        return out

    def _global(self, gene_BS: Tensor, present_BS: Tensor) -> Tensor | None:
        network = self.network
        if self.cells is None or network.pool is None or network.global_head is None:
            return None
        x_BND, keep_BN = self.cells(gene_BS, present_BS)
        change_BD = network.pool.wild_type(self.wild) - _pooled(network.pool, x_BND, keep_BN)
        out: Tensor = network.global_head(change_BD)
        return out


def _pooled(pool: AttentionPool, x_BND: Tensor, keep_BN: Tensor) -> Tensor:
    """`AttentionPool.perturbed`, of all rows: `[B, D]`."""
    score_BN = pool.gate(x_BND).squeeze(2).masked_fill(~keep_BN, -torch.inf)
    out: Tensor = pool.transform(torch.bmm(score_BN.softmax(1)[:, None], x_BND)[:, 0])
    return out


def _pair_scores(head: PairHead, gene_BSD: Tensor, present_BS: Tensor) -> Tensor:
    """`PairHead`, of all pairs of slots `[B, 1]`."""
    one, other = gene_BSD[:, :, None], gene_BSD[:, None]
    met = torch.cat([(one - other).square(), one * other], dim=3)
    score_BSS = head.out(head.hidden(met).relu()).squeeze(3)
    return torch.where(pairs_of(present_BS), score_BSS, 0.0).sum((1, 2))[:, None]


def _padded(gene_BS: Tensor, present_BS: Tensor) -> PaddedSets:
    """Every slot is a row of its own; what lies in the padding is never looked at."""
    sets, largest = gene_BS.shape
    every_P = torch.arange(sets * largest, device=gene_BS.device)
    return PaddedSets(
        gene_P=gene_BS.flatten(),
        owner_P=every_P // largest,
        place_BS=every_P.view(sets, largest),
        present_BS=present_BS,
        size_B=present_BS.sum(1),
    )


def onnx_form(task: GenesTask, model: ScaledModel, state: Mapping[str, Any]) -> OnnxForm:
    """See `Task.onnx_form`."""
    config = task.config.model
    if config.norm == "compat" and config.combination != "local":
        raise ConfigError(
            "a model with model.norm=compat answers differently for every batch that a set is in: "
            "it has no answer of its own that a file could give",
            where="model.norm",
            fix="--format bundle, or train with model.norm=node",
        )
    outputs = (
        Port(
            name="interaction",
            dtype="float32",
            shape=("B",),
            meaning="of each set, in the unit of the labels",
            # what a deletion changes may be next to nothing: it counts on the labels' own scale
            scale=model.scale.scale[0],
        ),
    )
    genes = len(state["genes"])
    return OnnxForm(
        module=SetsToInteractions(model),
        inputs=(
            Port(
                name="genes",
                dtype="int64",
                shape=("B", "S"),
                meaning=f"places of the deleted genes in state.genes; {PADDING} fills short rows",
            ),
        ),
        outputs=outputs,
        tensors=lambda batch: (_table(batch),),
        expected=predicted_by(task, model, outputs),
        examples=_examples(genes),
        state={key: value for key, value in state.items() if key != "storage"},
        preprocessing=(
            "names of genes through state.aliases and state.suffixes to places in state.genes",
            f"one row a set, at least one gene in each; {PADDING} behind the last",
        ),
    )


def _table(batch: GeneSetBatch) -> Tensor:
    """Sets side by side to a padded table `[B, S]`."""
    sizes = batch.gene_ptr.diff()
    slot_S = torch.arange(int(sizes.max()))
    table = torch.full((len(sizes), len(slot_S)), PADDING)
    table[slot_S < sizes[:, None]] = batch.gene_index
    return table


def _examples(genes: int) -> list[GeneSetBatch]:
    rng = np.random.default_rng(0)
    return [_example(sizes, genes, rng) for sizes in _SIZES]


def _example(sizes: tuple[int, ...], genes: int, rng: np.random.Generator) -> GeneSetBatch:
    drawn = [rng.choice(genes, min(size, genes - 1), replace=False) for size in sizes]
    ptr = np.cumsum([0, *map(len, drawn)])
    return GeneSetBatch(
        gene_index=torch.from_numpy(np.concatenate(drawn)),
        gene_ptr=torch.from_numpy(ptr),
        index=torch.arange(len(sizes)),
    )
