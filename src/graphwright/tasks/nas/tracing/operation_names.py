"""One name for one operation, however it is spelt: `x + y`, `torch.add`, `x.add_(y)`, `aten.add`.

"function:<name>" where torch or torch.nn.functional has a function of that name, "method:<name>"
where only tensors have it (view, contiguous…), "aten:<name>" where nobody writes it: what
torch.export finds.
"""

from __future__ import annotations

import torch
from torch.nn import functional

__all__ = ["function_type", "is_in_place", "plain_name", "type_of"]

_SPELLINGS = {
    "truediv": "div",
    "divide": "div",
    "true_divide": "div",
    "multiply": "mul",
    "subtract": "sub",
    "negative": "neg",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "invert": "bitwise_not",
    "concat": "cat",
    "concatenate": "cat",
    "__and__": "bitwise_and",
    "__or__": "bitwise_or",
    "unsafe_view": "view",
    "unsafe_chunk": "chunk",
    "unsafe_split": "split",
    "special_softmax": "softmax",
}
_IN_PLACE_OPERATORS = frozenset(
    {
        "iadd",
        "isub",
        "imul",
        "itruediv",
        "ifloordiv",
        "imod",
        "ipow",
        "imatmul",
        "iand",
        "ior",
        "ixor",
    }
)


def is_in_place(raw: str) -> bool:
    """Whether a name as torch has it (`add_`, `iadd`) changes its first argument."""
    return raw in _IN_PLACE_OPERATORS or (raw.endswith("_") and not raw.endswith("__"))


def plain_name(raw: str) -> str:
    """A name without its spelling: `add_`, `iadd`, `_softmax` -> `add`, `add`, `softmax`."""
    if raw in _IN_PLACE_OPERATORS:
        raw = raw[1:]
    if not raw.endswith("__"):
        raw = raw.strip("_")
    if raw.startswith("upsample_"):
        return "interpolate"
    return _SPELLINGS.get(raw, raw)


def function_type(name: str) -> str:
    """Type of a function that was called by itself."""
    return f"function:{name}"


def type_of(name: str) -> str:
    """Type of a method or an operator of torch, by its plain name."""
    if any(callable(getattr(room, name, None)) for room in (torch, functional)):
        return f"function:{name}"
    return f"method:{name}" if hasattr(torch.Tensor, name) else f"aten:{name}"
