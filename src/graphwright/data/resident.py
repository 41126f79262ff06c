"""A packed data set that lives on a device: batches are gathered there."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphwright.data.batch import GraphBatch
from graphwright.data.packed import PackedGraphs
from graphwright.data.source import IndexArray, as_index
from graphwright.errors import DataError

__all__ = ["ResidentGraphs"]


class ResidentGraphs(PackedGraphs):
    """`PackedGraphs` with every numeric array on a device.

    The two pointer arrays stay on the host as well, so that the size of a batch is known without
    waiting for the device; one small copy a batch (3 x [B]) goes to it.

    Args:
        source: the graphs.
        device: where to.
    """

    def __init__(self, source: PackedGraphs, device: torch.device | str) -> None:
        super().__init__(source.schema, source._arrays, source.path)
        self.source = source
        self.device = torch.device(device)
        numeric = [field for field in source.fields if not field.is_text]
        self._columns = {f.name: source.column(f.name).to(self.device) for f in numeric}
        self._level = {f.name: f.level for f in numeric}
        ends = torch.from_numpy(np.array(self._arrays["edge_index"]))
        self._edge_ends = ends.to(self.device).T.contiguous()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.source, self.device)

    def column(self, name: str) -> Tensor:
        """All values of one field [rows, …], on the device."""
        if name in self._columns:
            return self._columns[name]
        return super().column(name)

    def resident(self, device: torch.device | str) -> PackedGraphs:
        """The same graphs on another device."""
        return self.source.resident(device)

    def batch(self, index: npt.ArrayLike | Tensor) -> GraphBatch:
        """The graphs at `index` [B] (on the host), in that order, gathered on the device."""
        if isinstance(index, Tensor) and index.device.type != "cpu":
            raise DataError("the index of a batch must be on the host")
        chosen = as_index(index, len(self), where=self.path)
        rows = torch.from_numpy(chosen.copy()).to(self.device, non_blocking=True)
        node_rows, node_ptr = self._rows(self._node_ptr, chosen)
        edge_rows, edge_ptr = self._rows(self._edge_ptr, chosen)
        counts = edge_ptr.diff()
        total = edge_rows.shape[0]
        offset = torch.repeat_interleave(node_ptr[:-1], counts, output_size=total)
        by_level = {"node": node_rows, "edge": edge_rows, "graph": rows}
        picked: dict[str, dict[str, Tensor]] = {"node": {}, "edge": {}, "graph": {}}
        for name, column in self._columns.items():
            level = self._level[name]
            picked[level][name] = column.index_select(0, by_level[level])
        return GraphBatch(
            edge_index=self._edge_ends.index_select(1, edge_rows) + offset,
            node_ptr=node_ptr,
            edge_ptr=edge_ptr,
            index=rows,
            num_nodes=node_rows.shape[0],
            nodes=picked["node"],
            edges=picked["edge"],
            graphs=picked["graph"],
        )

    def _rows(self, ptr: IndexArray, chosen: IndexArray) -> tuple[Tensor, Tensor]:
        """Rows to take [R] and the batch's own pointer [B+1], both on the device."""
        starts = ptr[chosen]
        own = np.zeros(len(chosen) + 1, np.int64)
        np.cumsum(ptr[chosen + 1] - starts, out=own[1:])
        total = int(own[-1])
        both = np.concatenate((own, starts - own[:-1]))
        sent = torch.from_numpy(both).to(self.device, non_blocking=True)
        own_ptr, shift = sent[: len(own)], sent[len(own) :]
        rows = torch.repeat_interleave(shift, own_ptr.diff(), output_size=total)
        return rows + torch.arange(total, device=self.device), own_ptr
