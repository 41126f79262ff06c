"""What is shown on the trained weights: that no prediction knows what it predicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphwright.tasks.language.models.model import LanguageModel
from graphwright.tasks.language.token_windows import TokenBatch
from graphwright.training.task import TaskData

__all__ = ["proof_of_causality"]

_ROWS = 4
_BOUND = 1e-3  # nats in float32; a leak of one token's identity is worth whole nats


@torch.no_grad()
def proof_of_causality(model: LanguageModel, data: TaskData) -> dict[str, Any]:
    """Change every token of the second half of some test windows, and see what moves.

    Returns:
        `causality`: the largest change of a hidden number before the change (it must be rounding),
        the largest after it (it must not be), and whether the first is below the bound.
    """
    source = data.sources["test"]
    batch = source.batch(np.arange(min(_ROWS, len(source))))
    assert isinstance(batch, TokenBatch)
    tokens = batch.tokens.to(model.embedding.weight.device)
    changed = _with_other_second_half(tokens, model.embedding.num_embeddings)
    model.eval()
    moved_BL = (model(tokens)[0] - model(changed)[0]).abs().amax(-1)
    half = tokens.shape[1] // 2
    earlier, later = float(moved_BL[:, :half].max()), float(moved_BL[:, half:].min())
    return {
        "causality": {
            "bound": _BOUND,
            "largest change before": earlier,
            "least change from there on": later,
            "windows": len(tokens),
            "holds": earlier < _BOUND < later,
        }
    }


def _with_other_second_half(tokens_BT: Tensor, vocab_size: int) -> Tensor:
    changed = tokens_BT.clone()
    half = tokens_BT.shape[1] // 2
    changed[:, half:] = (changed[:, half:] + vocab_size // 2) % vocab_size
    return changed
