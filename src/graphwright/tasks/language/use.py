"""What is done with a trained language model beyond the floor's commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from graphwright.errors import ConfigError
from graphwright.tasks.language.models.analysis import analyze_expert_communication
from graphwright.tasks.language.models.generate import Sampling, generate
from graphwright.tasks.language.models.model import LanguageModel
from graphwright.tasks.language.raw_input import read_text
from graphwright.tasks.language.vocabularies import vocabulary_from_json

__all__ = ["communication", "generate_text"]

_WINDOWS = 32  # of a text that gates are averaged over


def generate_text(
    bundle: Any,
    prompt: bytes,
    *,
    tokens: int = 100,
    temperature: float = 0.8,
    top_k: int = 40,
    seed: int = 0,
    cache: bool = True,
) -> Iterator[bytes]:
    """The text that follows a prompt, token by token.

    Args:
        bundle: a trained language model (`load_run`).
        prompt: what it begins with; may be empty.
        tokens: how many to add.
        temperature: see `Sampling`.
        top_k: see `Sampling`.
        seed: see `Sampling`.
        cache: see `generate`.

    Raises:
        ConfigError: a model of another task.
        DataError: the prompt is not UTF-8 where the tokenizer needs it.
    """
    model = _language_model(bundle)
    vocabulary = vocabulary_from_json(bundle.state["tokenizer"])
    start = [vocabulary.separator, *vocabulary.encode(prompt).tolist()]
    sampling = Sampling(temperature=temperature, top_k=top_k, seed=seed)
    ids = generate(
        model.eval(), start, tokens, sampling, forbidden=[vocabulary.separator], cache=cache
    )
    return (vocabulary.token_bytes(token) for token in ids)


def communication(bundle: Any, text: Path | None = None) -> list[dict[str, Any]]:
    """Who listens to whom in a trained model; see `analyze_expert_communication`.

    Raises:
        ConfigError: a model of another task.
        DataError: the text cannot be read.
    """
    model = _language_model(bundle)
    if text is None:
        return analyze_expert_communication(model)
    windows = read_text(text, bundle.state, bundle.task.config).sources["test"]
    batch: Any = windows.batch(np.arange(min(_WINDOWS, len(windows))))
    device = model.embedding.weight.device
    return analyze_expert_communication(model, batch.tokens[:, :-1].to(device))


def _language_model(bundle: Any) -> LanguageModel:
    if not isinstance(bundle.model, LanguageModel):
        raise ConfigError(
            f"a model of the task {bundle.task.config.task} writes no text",
            fix="name a run of the task language",
        )
    return bundle.model
