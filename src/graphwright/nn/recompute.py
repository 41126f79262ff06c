"""Inner values that the backward pass computes again, where keeping them costs more.

`torch.utils.checkpoint` does the same for any function; its first call imports the compiler (5 s on
the machine this was measured on), and it watches every tensor that is saved inside.

Legend: G = networks, R = rows (a gene in a cell), D = features, K = options that are weighed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["in_blocks", "recomputed"]

Function = Callable[..., tuple[Tensor, ...]]

# rows at a time, on a CPU (inner values of one mixer then fit its cache) and elsewhere
_CPU_BLOCK, _BLOCK = 1024, 1 << 16


def in_blocks(
    function: Function, outputs: Iterable[Tensor], parameters: Sequence[Tensor], *, again: bool
) -> tuple[Tensor, Tensor]:
    """A function of rows, `[G, R, D]` to `[R, D]` and `[R, K]`, on tensors of more dimensions.

    Args:
        function: see above.
        outputs: G tensors `[..., D]`.
        parameters: what the function uses that needs a gradient.
        again: for the backward pass, keep only the input and treat rows in blocks.

    Returns:
        `[..., D]` and `[..., K]`.
    """
    x_GRD = torch.stack(list(outputs))
    shape, x_GRD = x_GRD.shape[1:], x_GRD.flatten(1, -2)
    size = _CPU_BLOCK if x_GRD.device.type == "cpu" else _BLOCK
    if torch.is_grad_enabled() and not again:
        out_RD, weight_RK = function(x_GRD)
    else:
        blocks = torch.split(x_GRD, size, dim=1)
        mixed = [recomputed(function, [block], parameters) for block in blocks]
        out_RD, weight_RK = (torch.cat(parts) for parts in zip(*mixed, strict=True))
    return out_RD.view(shape), weight_RK.view(*shape[:-1], -1)


def recomputed(
    function: Function, inputs: Sequence[Tensor], parameters: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """function(*inputs), of which only the inputs are kept.

    Args:
        function: a pure one: no dropout, no state that it changes. It gives a tuple of tensors.
        inputs: its arguments.
        parameters: what else it uses that needs a gradient.
    """
    if not torch.is_grad_enabled():
        return function(*inputs)
    out: tuple[Tensor, ...] = _Recomputed.apply(  # type: ignore[no-untyped-call]
        function, len(inputs), *inputs, *parameters
    )
    return out


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Function, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.function, ctx.count = function, count
        kind = tensors[0].device.type
        ctx.precision = kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        return function(*tensors[:count])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad[2:]
        inputs = [
            tensor.detach().requires_grad_(need)
            for tensor, need in zip(ctx.saved_tensors[: ctx.count], needed, strict=False)
        ]
        kind, dtype, enabled = ctx.precision
        with torch.enable_grad(), torch.autocast(kind, dtype=dtype, enabled=enabled):
            outs = ctx.function(*inputs)
        known = [(out, grad) for out, grad in zip(outs, grads, strict=True) if grad is not None]
        everything = [*inputs, *ctx.saved_tensors[ctx.count :]]
        wanted = [tensor for tensor, need in zip(everything, needed, strict=True) if need]
        given = iter(
            torch.autograd.grad(
                [out for out, _ in known], wanted, [grad for _, grad in known], allow_unused=True
            )
        )
        return None, None, *(next(given) if need else None for need in needed)
