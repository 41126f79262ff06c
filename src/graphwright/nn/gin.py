"""Graph isomorphism network: Xu et al., "How Powerful are Graph Neural Networks?", ICLR 2019,
https://arxiv.org/abs/1810.00826 (eq. 4.1, with epsilon 0), for C copies at once.

`StackedGINEncoder` is several of them with batch normalisation (Ioffe & Szegedy, arXiv 1502.03167)
in one operator with a hand-written backward: on graphs of ten nodes plain layers spend most of the
time on starting operators.

Legend: L = layers, C = copies, N = nodes, D = features in, K = features out.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from graphwright.nn.across_ranks import batch_norm, is_shared
from graphwright.nn.dag import StackedGraphs
from graphwright.nn.edges import bag_sum
from graphwright.nn.stacked import StackedLinear

__all__ = ["StackedGIN", "StackedGINEncoder"]


class StackedGIN(nn.Module):
    """out_i = W2 relu(W1 (x_i + sum of the neighbours x_j) + b1) + b2.

    Args:
        copies: C.
        in_dim: features in.
        out_dim: features out, and in between.
    """

    def __init__(self, copies: int, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.first = StackedLinear(copies, in_dim, out_dim)
        self.second = StackedLinear(copies, out_dim, out_dim)

    def forward(self, x: Tensor, graphs: StackedGraphs) -> Tensor:
        """`[C, N, in_dim]`, or `[N, in_dim]` that all copies share, to `[C, N, out_dim]`."""
        out: Tensor = self.second(self.first(graphs.sum_with_self(x)).relu())
        return out


class StackedGINEncoder(nn.Module):
    """L x [GIN, batch normalisation, perhaps relu]. There is no b2: the normalisation removes it.

    Args:
        copies: C.
        in_dim: D.
        out_dim: K, of every layer.
        num_layers: L.
        relu: behind every normalisation.
        momentum: weight of the newest batch in the running averages.
        eps: added to the variance.

    Attributes:
        first: `[C, D, K]`, the first linear map; inner: `[2 L - 1, C, K, K]`, all others.
        bias: `[L, C, 1, K]`, b1.
        weight, shift: `[L, C, K]`, of the normalisation.
        mean, variance: `[L, C, K]`, running averages, used outside of training.
    """

    def __init__(
        self,
        copies: int,
        in_dim: int,
        out_dim: int,
        num_layers: int,
        *,
        relu: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.relu, self.momentum, self.eps = relu, momentum, eps
        first, inner = 1 / math.sqrt(in_dim), 1 / math.sqrt(out_dim)
        bounds = torch.tensor([first] + [inner] * (num_layers - 1)).view(-1, 1, 1, 1)
        maps = (2 * num_layers - 1, copies, out_dim, out_dim)
        shape = (num_layers, copies, out_dim)
        self.first = nn.Parameter(torch.empty(copies, in_dim, out_dim).uniform_(-first, first))
        self.inner = nn.Parameter(torch.empty(maps).uniform_(-inner, inner))
        bias = torch.empty(num_layers, copies, 1, out_dim).uniform_(-1, 1)
        self.bias = nn.Parameter(bias * bounds)
        self.weight = nn.Parameter(torch.ones(shape))
        self.shift = nn.Parameter(torch.zeros(shape))
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))
        self.mean: Tensor
        self.variance: Tensor

    def forward(self, x: Tensor, graphs: StackedGraphs) -> Tensor:
        """`[C, N, D]`, or `[N, D]` that all copies share, to `[C, N, K]`."""
        return self._encode(x, graphs, pool=False)

    def pooled(self, x: Tensor, graphs: StackedGraphs) -> Tensor:
        """The mean over the nodes of each graph of what `forward` gives: `[C, B, K]`."""
        return self._encode(x, graphs, pool=True)

    def _encode(self, x: Tensor, graphs: StackedGraphs, *, pool: bool) -> Tensor:
        if not torch.compiler.is_compiling() and graphs.num_nodes > 1:
            if self.training and not is_shared():
                return self._fused(x, graphs, pool=pool)
            if not torch.is_grad_enabled():
                out_NF = self._infer(x, graphs)
                out_NF = graphs.mean_of_rows(out_NF) if pool else out_NF
                return out_NF.view(len(out_NF), graphs.copies, -1).transpose(0, 1)
        out_CNK = self._plainly(x, graphs)
        return graphs.pool_mean(out_CNK) if pool else out_CNK

    def _fused(self, x: Tensor, graphs: StackedGraphs, *, pool: bool) -> Tensor:
        total_CND = graphs.sum_with_self(x)
        weights = (self.first, self.inner, self.bias, self.weight, self.shift)
        settings = _Settings(graphs, self.relu, pool, self.momentum, self.eps)
        out: Tensor = _GINEncoder.apply(  # type: ignore[no-untyped-call]
            total_CND, *weights, self.mean, self.variance, settings
        )
        return out

    def _infer(self, x: Tensor, graphs: StackedGraphs) -> Tensor:
        """`[N, C K]`; the normalisation goes into the second linear map of each layer."""
        scale = self.weight * (self.variance + self.eps).rsqrt()
        shift, maps = self.shift - self.mean * scale, [self.first, *self.inner.unbind()]
        total_CND, out_NF = graphs.sum_with_self(x), x
        for layer, bias_C1K in enumerate(self.bias):
            if layer:
                total_CND = _sum_with_self(out_NF, graphs)
            hidden_CNK = torch.baddbmm(bias_C1K, total_CND, maps[2 * layer]).relu_()
            second_CKK = maps[2 * layer + 1] * scale[layer][:, None]
            out_NCK = hidden_CNK.new_empty(graphs.num_nodes, graphs.copies, len(second_CKK[0]))
            torch.bmm(hidden_CNK, second_CKK, out=out_NCK.transpose(0, 1))
            out_NCK.add_(shift[layer])
            out_NF = (out_NCK.relu_() if self.relu else out_NCK).view(graphs.num_nodes, -1)
        return out_NF

    def _plainly(self, x: Tensor, graphs: StackedGraphs) -> Tensor:
        """Operator by operator: for `torch.compile`, for gradients outside of training, and for
        batches that several processes share."""
        maps = [self.first, *self.inner.unbind()]
        for layer, bias_C1K in enumerate(self.bias):
            total_CND = graphs.sum_with_self(x)
            hidden_CNK = torch.baddbmm(bias_C1K, total_CND, maps[2 * layer]).relu()
            x = torch.bmm(hidden_CNK, maps[2 * layer + 1])
            averages = self.mean[layer].view(-1), self.variance[layer].view(-1)
            scale, shift = self.weight[layer].view(-1), self.shift[layer].view(-1)
            rows_NF = x.transpose(0, 1).reshape(x.shape[1], -1)
            rows_NF = batch_norm(
                rows_NF, *averages, scale, shift, self.training, self.momentum, self.eps
            )
            x = graphs.from_rows(rows_NF.relu() if self.relu else rows_NF)
        return x


def _sum_with_self(x_NF: Tensor, graphs: StackedGraphs) -> Tensor:
    """Each node and the neighbours that send to it, of every copy `[C, N, D]`; no gradient."""
    edges, rows = graphs.rows, x_NF.view(graphs.rows.num_nodes, -1)
    return graphs.from_rows(bag_sum(rows, edges.source, edges.target_ptr).add_(rows))


class _Settings(NamedTuple):
    graphs: StackedGraphs
    relu: bool
    pool: bool
    momentum: float
    eps: float


class _GINEncoder(torch.autograd.Function):
    """From the first sum over neighbours on, with values as in `_plainly`.

    Inside, features lie in memory as `[N, C, K]`: rows for the reductions and the normalisation.
    """

    @staticmethod
    def forward(
        ctx: Any,
        total_CND: Tensor,
        first_CDK: Tensor,
        inner: Tensor,
        bias: Tensor,
        weight: Tensor,
        shift: Tensor,
        mean: Tensor,
        variance: Tensor,
        settings: _Settings,
    ) -> Tensor:
        graphs, maps, kept = settings.graphs, (first_CDK, *inner.unbind()), list[Any]()
        (copies, nodes, _), dim = total_CND.shape, inner.shape[3]
        norms = (part.flatten(1).unbind() for part in (weight, shift, mean, variance))
        layers = zip(bias.unbind(), maps[::2], maps[1::2], *norms, strict=True)
        for bias_C1K, first, second, scale_F, shift_F, mean_F, variance_F in layers:
            if kept:
                total_CND = _sum_with_self(kept[-1][-1], graphs)
            hidden_CNK = torch.baddbmm(bias_C1K, total_CND, first).relu_()
            mixed_NCK = hidden_CNK.new_empty(nodes, copies, dim)
            torch.bmm(hidden_CNK, second, out=mixed_NCK.transpose(0, 1))
            mixed_NF = mixed_NCK.view(nodes, -1)
            out_NF, batch_mean_F, inverse_F = torch.native_batch_norm(
                mixed_NF, scale_F, shift_F, mean_F, variance_F, True, *settings[3:]
            )
            out_NF = out_NF.relu_() if settings.relu else out_NF
            kept.append((total_CND, hidden_CNK, mixed_NF, scale_F, batch_mean_F, inverse_F, out_NF))
        # an output must not be kept beside the graph that it belongs to: a copy
        out_NF = graphs.mean_of_rows(out_NF) if settings.pool else out_NF.clone()
        ctx.save_for_backward(first_CDK, inner)
        ctx.kept, ctx.settings = kept, settings
        return out_NF.view(-1, copies, dim).transpose(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        first_CDK, inner = ctx.saved_tensors
        settings, kept, maps = ctx.settings, ctx.kept, (first_CDK, *inner.unbind())
        graphs, edges = settings.graphs, settings.graphs.rows
        (copies, _, dim), nodes = grad.shape, graphs.num_nodes
        grad_first, grad_inner = torch.empty_like(first_CDK), torch.empty_like(inner)
        grad_maps = (grad_first, *grad_inner.unbind())
        grad_bias = inner.new_empty(len(kept), copies, 1, dim)
        grad_biases, norms, grad_total = grad_bias.unbind(), list[tuple[Tensor, Tensor]](), None
        threshold, batch_norm = _ATEN.threshold_backward, _ATEN.native_batch_norm_backward
        grad_NF = grad.transpose(0, 1).reshape(grad.shape[1], -1)
        if settings.pool:
            grad_NF = graphs.spread_over_rows(grad_NF)
        for layer in reversed(range(len(kept))):
            total_CND, hidden_CNK, mixed_NF, scale_F, mean_F, inverse_F, out_NF = kept[layer]
            if settings.relu:
                grad_NF = threshold(grad_NF, out_NF, 0)
            grad_NF, *pair = batch_norm(
                grad_NF, mixed_NF, scale_F, None, None, mean_F, inverse_F, True, 0.0, _ALL
            )
            norms.append(tuple(pair))
            grad_CNK = grad_NF.view(nodes, copies, dim).transpose(0, 1)
            torch.bmm(hidden_CNK.mT, grad_CNK, out=grad_maps[2 * layer + 1])
            back_CNK = threshold(torch.bmm(grad_CNK, maps[2 * layer + 1].mT), hidden_CNK, 0)
            torch.bmm(total_CND.mT, back_CNK, out=grad_maps[2 * layer])
            torch.sum(back_CNK, 1, keepdim=True, out=grad_biases[layer])
            if layer:
                sent_NCK = inner.new_empty(nodes, copies, dim)
                torch.bmm(back_CNK, maps[2 * layer].mT, out=sent_NCK.transpose(0, 1))
                rows = sent_NCK.view(edges.num_nodes, -1)
                sent = bag_sum(rows, edges.target_by_source, edges.source_ptr)
                grad_NF = sent.add_(rows).view(nodes, -1)
            elif ctx.needs_input_grad[0]:
                grad_total = torch.bmm(back_CNK, first_CDK.mT)
        scales, shifts = (torch.stack(parts[::-1]) for parts in zip(*norms, strict=True))
        shape = (len(kept), copies, dim)
        grads = (grad_total, grad_first, grad_inner, grad_bias)
        return *grads, scales.view(shape), shifts.view(shape), None, None, None


_ATEN, _ALL = torch.ops.aten, [True, True, True]
