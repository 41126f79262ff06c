"""The deleted genes of a batch as one padded table, made once a step.

Legend: B = gene sets, P = deleted genes of all sets, S = size of the largest set, N = genes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from graphwright.errors import DataError

__all__ = ["GeneSetsOf", "PaddedSets"]


class GeneSetsOf(Protocol):
    """What the model reads of a batch: `gene_index [P]` and `gene_ptr [B+1]`, both int64."""

    @property
    def gene_index(self) -> Tensor: ...

    @property
    def gene_ptr(self) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class PaddedSets:
    """B sets of any size >= 1, side by side.

    Attributes:
        gene_P: the deleted genes, set after set; ids of the wild type, never offset.
        owner_P: the set of each.
        place_BS: where in `gene_P` each slot of the table is filled from.
        present_BS: which slots are genes; the others are padding, and hold some gene of no meaning.
        size_B: genes of each set.
    """

    gene_P: Tensor
    owner_P: Tensor
    place_BS: Tensor
    present_BS: Tensor
    size_B: Tensor

    @classmethod
    def of(cls, batch: GeneSetsOf) -> Self:
        """The table of a batch.

        Raises:
            DataError: an empty set.
        """
        gene_P, ptr = batch.gene_index, batch.gene_ptr
        size_B = ptr.diff()
        smallest, largest = torch.stack(size_B.aminmax()).tolist()
        if smallest < 1:
            raise DataError(
                f"set {int(size_B.argmin())} of the batch holds no gene", fix="leave empty rows out"
            )
        slot_S = torch.arange(largest, device=ptr.device)
        sets_B = torch.arange(len(size_B), device=ptr.device)
        return cls(
            gene_P=gene_P,
            owner_P=torch.repeat_interleave(sets_B, size_B, output_size=len(gene_P)),
            place_BS=(ptr[:-1, None] + slot_S).clamp_(max=len(gene_P) - 1),
            present_BS=slot_S < size_B[:, None],
            size_B=size_B,
        )

    def __len__(self) -> int:
        return len(self.size_B)

    def pad(self, x_PD: Tensor) -> Tensor:
        """`[B, S, D]` from one row for each deleted gene."""
        return x_PD.index_select(0, self.place_BS.flatten()).view(*self.place_BS.shape, -1)

    def mean(self, x_BS: Tensor) -> Tensor:
        """The mean over each set `[B]`, padding left out."""
        return torch.where(self.present_BS, x_BS, 0).sum(1) / self.size_B
