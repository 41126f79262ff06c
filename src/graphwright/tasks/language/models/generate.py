"""Text that goes on, token by token.

Legend: B = rows (1 here), T = tokens so far, V = vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from graphwright.tasks.language.models.model import KVCache, LanguageModel

__all__ = ["Sampling", "generate"]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is drawn.

    Attributes:
        temperature: logits are divided by it; 0 takes the likeliest.
        top_k: only so many of the likeliest are drawn from; 0: all.
        seed: of the draws.
    """

    temperature: float = 1.0
    top_k: int = 0
    seed: int = 0


@torch.no_grad()
def generate(
    model: LanguageModel,
    prompt: Sequence[int],
    steps: int,
    sampling: Sampling,
    *,
    forbidden: Sequence[int] = (),
    cache: bool = True,
) -> Iterator[int]:
    """The next `steps` tokens, one by one.

    The model sees at most as many tokens as a training window has. When that is full, the older
    half is forgotten and the rest is read again, with and without cache alike: both draw the same.

    Args:
        model: in eval mode.
        prompt: tokens so far, at least one (the separator begins a document).
        steps: how many to add.
        sampling: how each is drawn.
        forbidden: ids that are never drawn.
        cache: keep keys and values instead of reading the context again for each token.

    Raises:
        ValueError: the prompt is empty.
    """
    if not prompt:
        raise ValueError("a prompt has at least one token, if only the separator")
    weight = model.embedding.weight
    draws = torch.Generator().manual_seed(sampling.seed)
    context = torch.tensor(_recent(prompt, model.length), device=weight.device)[None]
    kept: KVCache | None = None
    for _ in range(steps):
        if context.shape[1] > model.length:
            context, kept = context[:, -_half(model.length) :], None
        if cache and kept is None:
            kept = model.new_cache(1, model.length)
        unread = context[:, kept[0].used :] if kept else context
        hidden, _ = model(unread, kept)
        logits_V = model.logits(hidden[:, -1])[0].double().cpu()
        logits_V[list(forbidden)] = -torch.inf
        token = _draw(logits_V, sampling, draws)
        yield token
        context = torch.cat([context, context.new_tensor([[token]])], 1)


def _draw(logits_V: Tensor, sampling: Sampling, draws: torch.Generator) -> int:
    if sampling.temperature == 0:
        return int(logits_V.argmax())
    if 0 < sampling.top_k < len(logits_V):
        least = logits_V.topk(sampling.top_k).values[-1]
        logits_V = logits_V.masked_fill(logits_V < least, -torch.inf)
    chances = (logits_V / sampling.temperature).softmax(0)
    return int(torch.multinomial(chances, 1, generator=draws))


def _recent(prompt: Sequence[int], length: int) -> list[int]:
    return list(prompt if len(prompt) <= length else prompt[-_half(length) :])


def _half(length: int) -> int:
    return max(length // 2, 1)
