"""Which modules are one node of a graph, and which are opened."""

from __future__ import annotations

from torch import nn

__all__ = ["OPENED", "TUPLE_MODULES", "leaf_class"]

# These hold other modules; their parts are the nodes. torch.fx would close all of them but
# Sequential, and a whole encoder would be one node.
OPENED: tuple[type[nn.Module], ...] = (
    nn.Sequential,
    nn.ModuleList,
    nn.ModuleDict,
    nn.ParameterList,
    nn.ParameterDict,
    nn.Transformer,
    nn.TransformerEncoder,
    nn.TransformerEncoderLayer,
    nn.TransformerDecoder,
    nn.TransformerDecoderLayer,
)

# Their result is a tuple: taking it apart is not an operation of its own.
TUPLE_MODULES: tuple[type[nn.Module], ...] = (nn.RNNBase, nn.LSTMCell, nn.MultiheadAttention)

_ROOMS = ("torch.nn.modules.", "torch.nn.quantizable.", "torch.ao.nn.")


def leaf_class(module: nn.Module) -> type[nn.Module] | None:
    """The class of torch.nn that a module is one node of, or None if it is to be opened.

    A user's subclass that keeps the `forward` of, say, `nn.Conv2d` is a Conv2d; so is a
    parametrised one (weight norm). One that has its own `forward` is opened.
    """
    forward = type(module).forward
    for cls in type(module).__mro__:
        if cls in OPENED or cls is nn.Module:
            return None
        if cls.__module__.startswith(_ROOMS) and getattr(cls, "forward", None) is forward:
            return cls
    return None
