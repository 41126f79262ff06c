"""What one forward pass costs, counted on meta tensors: nothing is computed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from graphwright.errors import DataError
from graphwright.tasks.nas.tracing.trace_export import slow_attention

__all__ = ["count_flops", "count_params"]


def count_params(module: nn.Module) -> int:
    """Numbers in all parameters, shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_flops(module: nn.Module, example: Sequence[Tensor]) -> int | None:
    """Floating-point operations of `module(*example)`: 2 for each multiply-add.

    Convolutions, matrix products and attention count, as FlopCounterMode of torch has them. The
    first call of a process imports torch's compiler (about 3 s and 75 MB): shapes need it.

    Args:
        module: on the meta device, in evaluation mode.
        example: inputs on the meta device.

    Returns:
        None where the module needs values to go on, which the meta device has not.

    Raises:
        DataError: the module does not take inputs of these shapes.
    """
    counter = FlopCounterMode(display=False)
    try:
        with slow_attention(), torch.device("meta"), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with counter:
                module(*example)
    except NotImplementedError:
        return None
    except Exception as error:  # the user's own code
        if "meta" in str(error):
            return None
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in example)
        raise DataError(
            f"{type(module).__name__} does not take example inputs of shape {shapes}: "
            + str(error).strip().split("\n")[0],
            fix="give the shapes (and, as tensors, the dtypes) that its forward takes",
        ) from error
    return int(counter.get_total_flops())
