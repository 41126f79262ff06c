"""A language model as an ONNX file: tokens in, log probabilities of the next token out.

Inside: everything between token ids and a normalised distribution, for any number of texts and
positions. Outside: the tokenizer, which lies in `state`. The file keeps no keys and values between
calls, so that generating a token costs a pass over the whole text.

With routing the model moves rows between experts; here every expert works on every token and the
chosen ones are taken, which gives the same numbers at more work.

Legend: B = texts, L = positions, E = experts, K = experts of a token, D = width, V = vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from graphwright.nn.routing import Router
from graphwright.tasks.language.models.model import CoupledLayer, LanguageModel
from graphwright.tasks.language.models.positions import Rotation
from graphwright.tasks.language.token_windows import TokenBatch
from graphwright.training.export_form import OnnxForm, Port

__all__ = ["TokensToLogProbabilities", "onnx_form"]

_SIZES = ((3, 6), (1, 1), (1, 2), (1, 9), (7, 4), (2, 16))  # texts, positions; the first is traced


class TokensToLogProbabilities(nn.Module):
    """A trained model without a cache.

    Args:
        model: in evaluation mode.
    """

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens_BL: Tensor) -> tuple[Tensor]:
        """log p of every token as the next one `[B, L, V]`, nats."""
        model, length = self.model, tokens_BL.shape[1]
        x_BLD, rotation = model.embedding(tokens_BL), None
        if model.positions is not None:
            x_BLD = x_BLD + model.positions.weight[:length]
        else:
            head_dim = model.config.embed_dim // model.config.num_heads
            rotation = Rotation(0, length, head_dim, x_BLD)
        for layer in model.layers:
            x_BLD = _through(layer, x_BLD, rotation)
        return (model.logits(model.norm(x_BLD)).log_softmax(2),)


def _through(layer: nn.Module, x_BLD: Tensor, rotation: Rotation | None) -> Tensor:
    if not isinstance(layer, CoupledLayer) or layer.router is None:
        out: Tensor = layer(x_BLD, rotation)[0]
        return out
    chosen_BLK, weight_BLK = _route(layer.router, x_BLD)
    made_BLED = layer.experts(x_BLD, rotation)
    place_BLKD = chosen_BLK[..., None].expand(-1, -1, -1, x_BLD.shape[2])
    made_BLKD = made_BLED.gather(2, place_BLKD) * weight_BLK[..., None]
    routed: Tensor = x_BLD + layer.coupler(made_BLKD, chosen_BLK)
    return routed


def _route(router: Router, x_BLD: Tensor) -> tuple[Tensor, Tensor]:
    """Experts of each token and their weights, as `Router` chooses them `[B, L, K]`."""
    probability_BLE = router.logits(layer_norm(x_BLD, x_BLD.shape[2:])).softmax(2)
    weight_BLK, chosen_BLK = probability_BLE.topk(router.top_k, dim=2)
    if router.renormalize:
        weight_BLK = weight_BLK / weight_BLK.sum(2, keepdim=True)
    return chosen_BLK, weight_BLK


def onnx_form(model: LanguageModel, state: Mapping[str, Any]) -> OnnxForm:
    """See `Task.onnx_form`."""
    size, most = model.embedding.num_embeddings, state["length"]
    bound = f"at most {most} positions" if model.positions is not None else "any length"
    return OnnxForm(
        module=TokensToLogProbabilities(model),
        inputs=(
            Port(
                name="tokens",
                dtype="int64",
                shape=("B", "L"),
                meaning=f"token ids, {bound}; trained on {most} positions",
            ),
        ),
        outputs=(
            Port(
                name="log_probability",
                dtype="float32",
                shape=("B", "L", size),
                unit="nats",
                meaning="of each token of the vocabulary, to follow the tokens up to a position",
            ),
        ),
        tensors=lambda batch: (_tokens(batch),),
        expected=lambda batch: (_expected(model, _tokens(batch)),),
        examples=_examples(size, most if model.positions is not None else 0),
        state=dict(state),
        preprocessing=(
            "tokens: state.tokenizer, as graphwright.tasks.language.vocabularies reads it; a text "
            "begins with the separator",
            "texts of one call have one length; what is padded behind a text does not change it",
        ),
    )


def _tokens(batch: Tensor | TokenBatch) -> Tensor:
    """What is read of a batch of windows: all but the last target."""
    return batch if isinstance(batch, Tensor) else batch.tokens[:, :-1]


@torch.inference_mode()
def _expected(model: LanguageModel, tokens_BL: Tensor) -> Tensor:
    """By the model's own forward pass."""
    return model.logits(model(tokens_BL)[0]).log_softmax(2)


def _examples(size: int, most: int) -> list[Tensor]:
    rng = np.random.default_rng(0)
    shapes = [(texts, min(length, most or length)) for texts, length in _SIZES]
    return [torch.from_numpy(rng.integers(0, size, shape)) for shape in shapes]
