"""What every regime of data has in common: a source of samples that are fetched by the batch.

Graphs, sets of deleted genes and windows of tokens all satisfy these two protocols, so that the
loader, the splits and the training loop know none of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphwright.errors import DataError

__all__ = ["Batch", "IndexArray", "SampleSource", "Subset", "TensorBatch", "as_index"]

IndexArray = npt.NDArray[np.int64]


@runtime_checkable
class Batch(Protocol):
    """Several samples as one bundle of tensors."""

    @property
    def num_samples(self) -> int:
        """Number of samples B."""
        ...

    @property
    def index(self) -> Tensor:
        """Place of each sample in the source it was fetched from, int64 [B]."""
        ...

    def to(
        self,
        device: torch.device | str | None,
        *,
        dtype: torch.dtype | None = None,
        non_blocking: bool = False,
    ) -> Self:
        """The same batch on a device; `dtype` changes floating-point tensors only."""
        ...

    def pin_memory(self) -> Self:
        """The same batch in page-locked memory, for non-blocking copies to a device."""
        ...


class TensorBatch(ABC):
    """What a `Batch` that is a bundle of tensors needs to be moved."""

    @abstractmethod
    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same batch with every tensor changed."""

    def to(
        self,
        device: torch.device | str | None = None,
        *,
        dtype: torch.dtype | None = None,
        non_blocking: bool = False,
    ) -> Self:
        """The same batch on `device`; floating-point fields as `dtype` where one is given."""

        def move(tensor: Tensor) -> Tensor:
            kind = dtype if tensor.is_floating_point() else None
            return tensor.to(device=device, dtype=kind, non_blocking=non_blocking)

        return self._map(move)

    def pin_memory(self) -> Self:
        """The same batch in page-locked host memory (needs CUDA)."""
        return self._map(Tensor.pin_memory)


@runtime_checkable
class SampleSource(Protocol):
    """A fixed number of samples that are fetched by the batch."""

    def __len__(self) -> int: ...

    def batch(self, index: IndexArray) -> Batch:
        """The samples at `index`, int64 [B], in that order; repeats are allowed."""
        ...

    def sizes(self) -> npt.NDArray[np.int64]:
        """Cost of each sample [len], in the source's own unit, for batches bounded by size."""
        ...


def as_index(index: npt.ArrayLike | Tensor, length: int, *, where: object = None) -> IndexArray:
    """`index` as contiguous int64 [B], every entry in 0..length-1.

    Raises:
        DataError: not a vector of whole numbers, or an entry out of range.
    """
    found = np.asarray(index)
    if found.size == 0:
        return np.zeros(0, np.int64)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise DataError(
            f"an index must be a vector of whole numbers, got {found.dtype} of shape {found.shape}",
            where=where,
        )
    rows = np.ascontiguousarray(found, dtype=np.int64)
    # Negative numbers are huge when read as unsigned: one pass checks both ends.
    if int(rows.view(np.uint64).max()) >= length:
        bad = rows[(rows < 0) | (rows >= length)][0]
        raise DataError(f"index {bad} is outside 0..{length - 1}", where=where)
    return rows


class Subset:
    """Some samples of a source, in a given order: itself a source.

    Batches keep the indices of the parent in `batch.index`, so that predictions can be traced.

    Args:
        source: where the samples come from.
        indices: places in `source` [n]; any order.

    Raises:
        DataError: an index outside the source.
    """

    def __init__(self, source: SampleSource, indices: Sequence[int] | IndexArray | Tensor) -> None:
        self.source = source
        self.indices = as_index(indices, len(source), where=type(source).__name__)

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, index: IndexArray) -> Batch:
        """The samples at places `index` of this subset."""
        return self.source.batch(self.indices[as_index(index, len(self))])

    def sizes(self) -> npt.NDArray[np.int64]:
        """Cost of each sample of this subset [n]."""
        return self.source.sizes()[self.indices]
