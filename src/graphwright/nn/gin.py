"""Graph isomorphism network: Xu et al., "How Powerful are Graph Neural Networks?", ICLR 2019,
https://arxiv.org/abs/1810.00826 (eq. 4.1, with epsilon 0), for C copies at once.

`StackedGINEncoder` is several of them with batch normalisation (Ioffe & Szegedy, arXiv 1502.03167)
in one operator with a hand-written backward: on graphs of ten nodes plain layers spend most of the
time on starting operators.

Legend: L = layers, C = copies, N = nodes, D = features in, K = features out.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from graphwright.nn.dag import StackedGraphs
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
        out: Tensor = self.second(self.first(x + graphs.propagate(x)).relu())
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
        bias: `[L, C, 1, K]`, b1. weight, shift: of the normalisation.
        mean, variance: running averages, used outside of training.
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
        shape = (num_layers, copies, 1, out_dim)
        maps = (2 * num_layers - 1, copies, out_dim, out_dim)
        self.first = nn.Parameter(torch.empty(copies, in_dim, out_dim).uniform_(-first, first))
        self.inner = nn.Parameter(torch.empty(maps).uniform_(-inner, inner))
        self.bias = nn.Parameter(torch.empty(shape).uniform_(-1, 1) * bounds)
        self.weight = nn.Parameter(torch.ones(shape))
        self.shift = nn.Parameter(torch.zeros(shape))
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))
        self.mean: Tensor
        self.variance: Tensor

    def forward(self, x: Tensor, graphs: StackedGraphs) -> Tensor:
        """`[C, N, D]`, or `[N, D]` that all copies share, to `[C, N, K]`."""
        plain = torch.compiler.is_compiling() or (x.dim() == 2 and x.requires_grad)
        if plain or not self.training:
            return self._plainly(x, graphs)
        weights = (self.first, self.inner, self.bias, self.weight, self.shift)
        out: Tensor
        out, sums, squares = _GINEncoder.apply(  # type: ignore[no-untyped-call]
            x, *weights, graphs, self.eps, self.relu
        )
        self._follow(sums, squares, graphs.num_nodes)
        return out

    def _plainly(self, x: Tensor, graphs: StackedGraphs) -> Tensor:
        """Operator by operator: outside of training, and for `torch.compile`."""
        maps = [self.first, *self.inner.unbind()]
        sums, squares, rows = [], [], graphs.num_nodes
        for layer, bias_C1K in enumerate(self.bias):
            total_CND = x + graphs.propagate(x)
            hidden_CNK = torch.baddbmm(bias_C1K, total_CND, maps[2 * layer]).relu()
            x = torch.bmm(hidden_CNK, maps[2 * layer + 1])
            mean_C1K, variance_C1K = self.mean[layer], self.variance[layer]
            if self.training:
                variance_C1K, mean_C1K = torch.var_mean(x, 1, correction=0, keepdim=True)
                sums.append(mean_C1K.detach() * rows)
                squares.append(variance_C1K.detach() * rows)
            scale_C1K = self.weight[layer] * (variance_C1K + self.eps).rsqrt()
            x = torch.addcmul(self.shift[layer] - mean_C1K * scale_C1K, x, scale_C1K)
            x = x.relu() if self.relu else x
        if self.training:
            self._follow(torch.stack(sums), torch.stack(squares), rows)
        return x

    def _follow(self, sums: Tensor, squares: Tensor, rows: int) -> None:
        """Move the running averages; that of the variance is of the unbiased one, as in torch."""
        keep = 1 - self.momentum
        with torch.no_grad():
            self.mean.mul_(keep).add_(sums, alpha=self.momentum / rows)
            self.variance.mul_(keep).add_(squares, alpha=self.momentum / max(rows - 1, 1))


class _GINEncoder(torch.autograd.Function):
    """Values as in `_plainly`; also the sums over the rows, and the squares of what is centred."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        first_CDK: Tensor,
        inner: Tensor,
        bias: Tensor,
        weight: Tensor,
        shift: Tensor,
        graphs: StackedGraphs,
        eps: float,
        relu: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        maps, kept, rows = (first_CDK, *inner.unbind()), [], graphs.num_nodes
        sums, squares = torch.empty_like(bias), torch.empty_like(bias)
        eps_111 = bias.new_full((1, 1, 1), eps)
        layers = (bias.unbind(), weight.unbind(), shift.unbind(), sums.unbind(), squares.unbind())
        for layer, (bias_C1K, weight_C1K, shift_C1K, sum_C1K, square_C1K) in enumerate(
            zip(*layers, strict=True)
        ):
            total_CND = graphs.sum_with_self(x)
            hidden_CNK = torch.baddbmm(bias_C1K, total_CND, maps[2 * layer]).relu_()
            centred_CNK = torch.bmm(hidden_CNK, maps[2 * layer + 1])
            # sums over the middle dimension: torch's `var_mean` takes ten times as long there
            torch.sum(centred_CNK, 1, keepdim=True, out=sum_C1K)
            centred_CNK.sub_(sum_C1K, alpha=1 / rows)
            torch.sum(centred_CNK * centred_CNK, 1, keepdim=True, out=square_C1K)
            inverse_C1K = torch.add(eps_111, square_C1K, alpha=1 / rows).rsqrt_()
            scale_C1K = inverse_C1K * weight_C1K
            x = torch.addcmul(shift_C1K, centred_CNK, scale_C1K)
            x = x.relu_() if relu else x
            kept.append((total_CND, hidden_CNK, centred_CNK, inverse_C1K, scale_C1K, x))
        # the output itself must not be kept beside the graph that it belongs to
        kept[-1] = (*kept[-1][:-1], None)
        ctx.save_for_backward(first_CDK, inner, x)
        ctx.kept, ctx.graphs, ctx.relu = kept, graphs, relu
        ctx.mark_non_differentiable(sums, squares)
        ctx.set_materialize_grads(False)
        return x, sums, squares

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        first_CDK, inner, out_CNK = ctx.saved_tensors
        graphs, kept, maps = ctx.graphs, ctx.kept, (first_CDK, *inner.unbind())
        share, layers = 1 / graphs.num_nodes, len(kept)
        grad_first, grad_inner = torch.empty_like(first_CDK), torch.empty_like(inner)
        small = inner.new_empty(3, layers, *kept[0][3].shape)
        grad_maps = (grad_first, *grad_inner.unbind())
        grad_bias, grad_weight, grad_shift = (part.unbind() for part in small.unbind())
        threshold, grad_x = torch.ops.aten.threshold_backward, None
        for layer in reversed(range(layers)):
            total_CND, hidden_CNK, centred_CNK, inverse_C1K, scale_C1K, x_CNK = kept[layer]
            if ctx.relu:
                grad = threshold(grad, out_CNK if x_CNK is None else x_CNK, 0)
            along_C1K, sum_C1K = grad_weight[layer], grad_shift[layer]
            torch.sum(grad * centred_CNK, 1, keepdim=True, out=along_C1K).mul_(inverse_C1K)
            torch.sum(grad, 1, keepdim=True, out=sum_C1K)
            # without what moves the batch's mean and variance
            free_CNK = torch.addcmul(grad, centred_CNK, along_C1K * inverse_C1K, value=-share)
            free_CNK.sub_(sum_C1K, alpha=share).mul_(scale_C1K)
            torch.bmm(hidden_CNK.mT, free_CNK, out=grad_maps[2 * layer + 1])
            back_CNK = threshold(torch.bmm(free_CNK, maps[2 * layer + 1].mT), hidden_CNK, 0)
            torch.bmm(total_CND.mT, back_CNK, out=grad_maps[2 * layer])
            torch.sum(back_CNK, 1, keepdim=True, out=grad_bias[layer])
            if layer or ctx.needs_input_grad[0]:
                grad_total = torch.bmm(back_CNK, maps[2 * layer].mT)
                grad = grad_x = graphs.sum_receivers(grad_total).add_(grad_total)
        grad_x = grad_x if ctx.needs_input_grad[0] else None
        ctx.kept = None
        return grad_x, grad_first, grad_inner, *small.unbind(), None, None, None
