"""What is shown of the trained weights: that no prediction knows what it predicts, and who listens
to whom."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphwright.tasks.language.models.analysis import analyze_expert_communication
from graphwright.tasks.language.models.model import LanguageModel
from graphwright.tasks.language.token_windows import TokenBatch
from graphwright.training.task import TaskData

__all__ = ["expert_matrices", "proof_of_causality"]

_ROWS = 4
_BOUND = 1e-3  # of normalised hidden numbers in float32; a token that is another moves them by ~ 1
_NOTES = {"heard": "what row hears of column", "adjacency": "learnt adjacency"}


@torch.no_grad()
def proof_of_causality(model: LanguageModel, data: TaskData) -> dict[str, Any]:
    """Change every token of the second half of some test windows, and see what moves.

    Returns:
        The largest change of a hidden number before the changed tokens (it must be rounding), the
        least at a position from there on (it must not be), and whether the bound lies between.
    """
    tokens = _some_tokens(model, data)
    changed = _with_other_second_half(tokens, model.embedding.num_embeddings)
    model.eval()
    moved_BL = (model(tokens)[0] - model(changed)[0]).abs().amax(-1)
    half = tokens.shape[1] // 2
    earlier, later = float(moved_BL[:, :half].max()), float(moved_BL[:, half:].min())
    return {
        "holds": earlier < _BOUND < later,
        "bound": _BOUND,
        "largest change before": earlier,
        "least change from there on": later,
        "windows": len(tokens),
    }


def expert_matrices(model: LanguageModel, data: TaskData) -> list[dict[str, Any]]:
    """Who listens to whom, for the report: the operator of every convolution of every layer, and
    the learnt adjacency where there is one, as a title, names of rows and columns, and values.

    Gates that depend on the text are averaged over some test windows.
    """
    found = []
    for layer, entry in enumerate(analyze_expert_communication(model, _some_tokens(model, data))):
        kinds = {"heard": entry["operators"], "adjacency": entry.get("adjacency", [])}
        for kind, convolutions in kinds.items():
            for number, values in enumerate(convolutions):
                names = [f"e{expert}" for expert in range(len(values))]
                found.append(
                    {
                        "title": f"Layer {layer}, convolution {number}",
                        "note": _NOTES[kind],
                        "rows": names,
                        "columns": names,
                        "values": values,
                    }
                )
    return found


def _some_tokens(model: LanguageModel, data: TaskData) -> Tensor:
    source = data.sources["test"]
    batch = source.batch(np.arange(min(_ROWS, len(source))))
    assert isinstance(batch, TokenBatch)
    return batch.tokens[:, :-1].to(model.embedding.weight.device)


def _with_other_second_half(tokens_BT: Tensor, vocab_size: int) -> Tensor:
    changed = tokens_BT.clone()
    half = tokens_BT.shape[1] // 2
    changed[:, half:] = (changed[:, half:] + vocab_size // 2) % vocab_size
    return changed
