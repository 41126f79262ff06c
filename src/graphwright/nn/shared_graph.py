"""Neighbour sums on one graph that every sample of a batch shares, with nodes deleted per sample.

A batch of B samples is features `x [N, B, D]` and a mask `keep [N, B]`, never a copy of the edges.
With m the mask, `perturbed_sum` is (A (m x)) m: exactly the sum over the neighbours on B graphs in
which every edge that touches a deleted node is dropped.

On a CPU a sum-mode `embedding_bag` over the rows of A is the fastest kernel (6,400 nodes, 209,000
edges, one thread: 0.36 ms for 64 columns against 1.23 ms of `torch.mm` with a CSR tensor, 26
against 68 ms for 2,048); other devices take the CSR product.

Legend: N = nodes, E = edges, B = samples, P = deleted nodes of a batch, D = features,
F = features of all samples.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["SharedGraph", "keep_mask", "perturbed_sum"]


class SharedGraph(nn.Module):
    """The adjacency A of N nodes in rows: row i lists the sources whose messages flow into i.

    Args:
        num_nodes: N.
        num_edges: E, below 2**31.
        symmetric: A equals its transpose, which is then not stored.

    Attributes:
        indptr: `[N + 1]` int64, the bounds of the rows.
        indices: `[E]` int32, the sources.
        back_indptr, back_indices: the same of the transpose; None where symmetric.

    The buffers are empty (no edges) until a `state_dict` fills them or `from_csr` makes the graph.
    """

    def __init__(self, num_nodes: int, num_edges: int, *, symmetric: bool) -> None:
        super().__init__()
        self.symmetric = symmetric
        self.indptr: Tensor
        self.indices: Tensor
        self.back_indptr: Tensor | None
        self.back_indices: Tensor | None
        for prefix in ("", "back_"):
            absent = prefix == "back_" and symmetric
            indptr = torch.zeros(num_nodes + 1, dtype=torch.int64)
            indices = torch.zeros(num_edges, dtype=torch.int32)
            self.register_buffer(f"{prefix}indptr", None if absent else indptr)
            self.register_buffer(f"{prefix}indices", None if absent else indices)

    @classmethod
    def from_csr(cls, indptr: Tensor, indices: Tensor) -> SharedGraph:
        """From the rows of A; finds out whether it is symmetric.

        Args:
            indptr: `[N + 1]` integers that ascend from 0 to E.
            indices: `[E]` integers in `[0, N)`; in any order within a row.

        Raises:
            ValueError: the arrays are no CSR matrix.
        """
        indptr, indices = indptr.to(torch.int64), indices.to(torch.int32)
        _check_csr(indptr, indices)
        back_indptr, back_indices = _transpose(indptr, indices)
        rows = _transpose(back_indptr, back_indices)  # A with its rows sorted
        symmetric = bool(torch.equal(rows[0], back_indptr) and torch.equal(rows[1], back_indices))
        graph = cls(len(indptr) - 1, len(indices), symmetric=symmetric)
        graph.indptr.copy_(indptr)
        graph.indices.copy_(indices)
        if graph.back_indptr is not None and graph.back_indices is not None:
            graph.back_indptr.copy_(back_indptr)
            graph.back_indices.copy_(back_indices)
        return graph

    @property
    def num_nodes(self) -> int:
        """N."""
        return len(self.indptr) - 1

    @property
    def num_edges(self) -> int:
        """E."""
        return len(self.indices)

    @property
    def target_indptr(self) -> Tensor:
        """`[N + 1]`, the bounds of the rows of the transpose."""
        return self.indptr if self.back_indptr is None else self.back_indptr

    @property
    def target_indices(self) -> Tensor:
        """`[E]`: row j of the transpose lists the targets of node j."""
        return self.indices if self.back_indices is None else self.back_indices

    def forward(self, x_NF: Tensor) -> Tensor:
        """A x `[N, F]`, exact, with the gradient of x; it has no second derivative."""
        out: Tensor = _Sum.apply(x_NF, self)  # type: ignore[no-untyped-call]
        return out

    def sum_sources(self, x_NF: Tensor) -> Tensor:
        """A x without a gradient."""
        return _row_sums(self.indptr, self.indices, x_NF)

    def sum_targets(self, x_NF: Tensor) -> Tensor:
        """The transpose of A times x, without a gradient."""
        return _row_sums(self.target_indptr, self.target_indices, x_NF)

    def extra_repr(self) -> str:
        """The sizes, for `print(model)`."""
        return f"nodes={self.num_nodes}, edges={self.num_edges}, symmetric={self.symmetric}"


def keep_mask(
    gene_index: Tensor, gene_ptr: Tensor, num_genes: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """`[N, B]`, 0 where a node is deleted in a sample and 1 elsewhere.

    Args:
        gene_index: `[P]` int64, the deleted nodes of all samples, one sample after the other.
        gene_ptr: `[B + 1]` int64, the bounds of the samples.
        num_genes: N.
        dtype: of the mask.
    """
    samples = torch.arange(len(gene_ptr) - 1, device=gene_ptr.device)
    sample_P = torch.repeat_interleave(samples, gene_ptr.diff(), output_size=len(gene_index))
    keep_NB = torch.ones(num_genes, len(samples), dtype=dtype, device=gene_index.device)
    keep_NB[gene_index, sample_P] = 0
    return keep_NB


def perturbed_sum(graph: SharedGraph, x_NBD: Tensor, keep_NB: Tensor | None) -> Tensor:
    """(A (m x)) m `[N, B, D]`: sums over the kept neighbours, zero at deleted nodes.

    Args:
        graph: A.
        x_NBD: features of every sample.
        keep_NB: m, from `keep_mask`; None: nothing is deleted.
    """
    if keep_NB is None:
        out: Tensor = graph(x_NBD.flatten(1)).view_as(x_NBD)
        return out
    keep_NB1 = keep_NB[:, :, None].to(x_NBD.dtype)
    total: Tensor = graph((x_NBD * keep_NB1).flatten(1)).view_as(x_NBD) * keep_NB1
    return total


def _row_sums(indptr: Tensor, indices: Tensor, x_NF: Tensor) -> Tensor:
    """For every row of a CSR matrix, the sum of the rows of x that it lists."""
    if indices.numel() == 0 or x_NF.numel() == 0:
        return x_NF.new_zeros(len(indptr) - 1, *x_NF.shape[1:])
    if x_NF.device.type != "cpu":
        ones = x_NF.new_ones(1).expand(len(indices))
        shape = (len(indptr) - 1, len(x_NF))
        matrix = torch.sparse_csr_tensor(indptr, indices.long(), ones.contiguous(), shape)
        return torch.mm(matrix, x_NF)
    # bounds and indices of one width: the short bounds are the cheap ones to convert
    bounds = indptr.to(indices.dtype)
    out: Tensor = torch.embedding_bag(x_NF, indices, bounds, mode=0, include_last_offset=True)[0]
    return out


def _transpose(indptr: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
    """The CSR arrays of the transpose; its rows are sorted."""
    num_nodes = len(indptr) - 1
    rows = torch.arange(num_nodes, dtype=torch.int32, device=indices.device)
    rows = torch.repeat_interleave(rows, indptr.diff(), output_size=len(indices))
    back = torch.zeros_like(indptr)
    torch.cumsum(torch.bincount(indices, minlength=num_nodes), 0, out=back[1:])
    return back, rows[indices.argsort(stable=True)]


def _check_csr(indptr: Tensor, indices: Tensor) -> None:
    num_nodes, num_edges = len(indptr) - 1, len(indices)
    if num_nodes < 1 or int(indptr[0]) != 0 or int(indptr[-1]) != num_edges:
        raise ValueError(f"indptr must go from 0 to {num_edges}, the number of indices")
    if bool((indptr.diff() < 0).any()):
        raise ValueError("indptr must not descend")
    if num_edges and not 0 <= int(indices.min()) <= int(indices.max()) < num_nodes:
        raise ValueError(f"indices must lie in [0, {num_nodes})")


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, graph: SharedGraph) -> Tensor:
        ctx.graph = graph
        return graph.sum_sources(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        graph: SharedGraph = ctx.graph
        return graph.sum_targets(grad.contiguous()), None
