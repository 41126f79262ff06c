"""Gene sets as batches: a few integers each, whatever the networks.

A sample is its genes and its label. The networks are the model's: nothing of them is in a batch.

Legend: P = deleted genes of all sets, S = sets of the source, B = sets of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphwright.data.gather import gather_rows, plan_gather
from graphwright.data.source import IndexArray, TensorBatch, as_index
from graphwright.errors import DataError

__all__ = ["GeneSetBatch", "GeneSets"]


@dataclass(frozen=True, eq=False)
class GeneSetBatch(TensorBatch):
    """B sets of deleted genes, side by side.

    Attributes:
        gene_index: int64 [P]; places in the wild type's order of genes, never offset.
        gene_ptr: int64 [B+1]; set b is gene_index[gene_ptr[b]:gene_ptr[b+1]].
        graphs: fields of the sets, each [B, …]: "label", where the source has one.
        index: int64 [B]; place of each set in the source it came from.
    """

    gene_index: Tensor
    gene_ptr: Tensor
    index: Tensor
    graphs: dict[str, Tensor] = field(default_factory=dict)

    @property
    def num_samples(self) -> int:
        """B."""
        return self.index.shape[0]

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.gene_index.device

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """One batch of several, sets in their order, without fields; `index` counts from 0."""
        sizes = torch.cat([part.gene_ptr.diff() for part in parts])
        return cls(
            gene_index=torch.cat([part.gene_index for part in parts]),
            gene_ptr=torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]),
            index=torch.arange(len(sizes), device=sizes.device),
        )

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        return type(self)(
            gene_index=change(self.gene_index),
            gene_ptr=change(self.gene_ptr),
            index=change(self.index),
            graphs={name: change(tensor) for name, tensor in self.graphs.items()},
        )


class GeneSets:
    """A `SampleSource` of gene sets.

    Args:
        gene_index: whole numbers [P], genes of set 0, then of set 1, …
        gene_ptr: [S+1], where each set begins.
        fields: what else is known of each set, [S, …] by name: "label" (standardised or raw, as
            the model is to learn it). Floating-point fields become float32, others stay.

    Raises:
        DataError: arrays that do not fit together.
    """

    def __init__(
        self,
        gene_index: npt.NDArray[Any],
        gene_ptr: npt.NDArray[Any],
        fields: Mapping[str, npt.ArrayLike] | None = None,
    ) -> None:
        self._genes = np.ascontiguousarray(gene_index)
        self._ptr = np.ascontiguousarray(gene_ptr, dtype=np.int64)
        ends = self._ptr[[0, -1]].tolist() if self._ptr.ndim == 1 and self._ptr.size else None
        if ends != [0, len(self._genes)] or (np.diff(self._ptr) < 0).any():
            raise DataError(
                f"the pointer of {len(self._genes)} genes must ascend from 0 to that number"
            )
        self._fields = {name: _field(values) for name, values in (fields or {}).items()}
        for name, values in self._fields.items():
            if values.ndim == 0 or len(values) != len(self):
                raise DataError(f"{name} has the shape {values.shape}, there are {len(self)} sets")

    def __len__(self) -> int:
        return len(self._ptr) - 1

    def sizes(self) -> IndexArray:
        """Genes of each set, int64 [S]: its cost in a batch."""
        return np.diff(self._ptr)

    def batch(self, index: IndexArray) -> GeneSetBatch:
        """The sets at `index` [B], in that order; repeats are allowed.

        One gather for the genes and one for each field; no object per set.

        Raises:
            DataError: an index outside the source.
        """
        rows = as_index(index, len(self), where=type(self).__name__)
        gather = plan_gather(self._ptr, rows)
        genes = gather_rows(self._genes, gather).astype(np.int64, copy=False)
        return GeneSetBatch(
            gene_index=torch.from_numpy(genes),
            gene_ptr=torch.from_numpy(gather.ptr),
            index=torch.from_numpy(rows.copy()),
            graphs={
                name: torch.from_numpy(values.take(rows, axis=0))
                for name, values in self._fields.items()
            },
        )


def _field(values: npt.ArrayLike) -> npt.NDArray[Any]:
    found = np.asarray(values)
    kind = np.float32 if found.dtype.kind == "f" else found.dtype
    return np.ascontiguousarray(found, dtype=kind)
