"""The tracer of torch.fx, with leaves of our own, and transformers that it can follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.fx import Tracer

from graphwright.tasks.nas.tracing.module_leaves import leaf_class

__all__ = ["SymbolicTracer"]

Forward = Callable[..., Any]


class SymbolicTracer(Tracer):
    """Modules of torch.nn are leaves; transformers are opened.

    Attributes:
        failed: path and class of the innermost module that could not be traced, or "".
    """

    def __init__(self, root: nn.Module) -> None:
        super().__init__(param_shapes_constant=True)
        self.failed = ""
        self._buffers = {id(buffer): name for name, buffer in root.named_buffers()}

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Buffers are symbols too: torch's own option for it cannot go with constant shapes."""
        name = self._buffers.get(id(attr_val))
        if name is None:
            return super().getattr(attr, attr_val, parameter_proxy_cache)
        if name not in parameter_proxy_cache:
            parameter_proxy_cache[name] = self.create_proxy("get_attr", name, (), {})
        return parameter_proxy_cache[name]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return leaf_class(m) is not None

    def call_module(
        self, m: nn.Module, forward: Forward, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        own = _TRACEABLE.get(type(m).forward)
        try:
            called = forward if own is None else own.__get__(m)
            return super().call_module(m, called, args, kwargs)
        except Exception:
            self.failed = self.failed or f"{self.path_of_module(m)} ({type(m).__name__})"
            raise


def _encoder(
    self: Any,
    src: Any,
    mask: Any = None,
    src_key_padding_mask: Any = None,
    is_causal: bool | None = None,
) -> Any:
    """`nn.TransformerEncoder.forward` without its checks of shapes and its fast path."""
    for layer in self.layers:
        src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask)
    return src if self.norm is None else self.norm(src)


def _encoder_layer(
    self: Any,
    src: Any,
    src_mask: Any = None,
    src_key_padding_mask: Any = None,
    is_causal: bool = False,
) -> Any:
    """`nn.TransformerEncoderLayer.forward` without its checks and its fast path."""
    if self.norm_first:
        src = src + self._sa_block(self.norm1(src), src_mask, src_key_padding_mask)
        return src + self._ff_block(self.norm2(src))
    src = self.norm1(src + self._sa_block(src, src_mask, src_key_padding_mask))
    return self.norm2(src + self._ff_block(src))


def _decoder(self: Any, tgt: Any, memory: Any, *masks: Any, **named: Any) -> Any:
    """`nn.TransformerDecoder.forward` without its checks of shapes."""
    named.pop("tgt_is_causal", None)  # a hint for kernels
    named.pop("memory_is_causal", None)
    for layer in self.layers:
        tgt = layer(tgt, memory, *masks[:4], **named)
    return tgt if self.norm is None else self.norm(tgt)


def _transformer(
    self: Any,
    src: Any,
    tgt: Any,
    src_mask: Any = None,
    tgt_mask: Any = None,
    memory_mask: Any = None,
    src_key_padding_mask: Any = None,
    tgt_key_padding_mask: Any = None,
    memory_key_padding_mask: Any = None,
    **hints: Any,
) -> Any:
    """`nn.Transformer.forward` without its checks of shapes."""
    memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask)
    return self.decoder(
        tgt,
        memory,
        tgt_mask=tgt_mask,
        memory_mask=memory_mask,
        tgt_key_padding_mask=tgt_key_padding_mask,
        memory_key_padding_mask=memory_key_padding_mask,
    )


_TRACEABLE: dict[Any, Any] = {
    nn.TransformerEncoder.forward: _encoder,
    nn.TransformerEncoderLayer.forward: _encoder_layer,
    nn.TransformerDecoder.forward: _decoder,
    nn.Transformer.forward: _transformer,
}
