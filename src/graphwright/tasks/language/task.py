"""The language task: what the floor asks of it.

Legend: B = windows of a batch, L = positions, S = samples of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from graphwright.data.source import IndexArray, SampleSource
from graphwright.data.splits import split_digest
from graphwright.tasks.language.config import LanguageConfig
from graphwright.tasks.language.evaluation import evaluate_text, totals
from graphwright.tasks.language.models.analysis import edge_weight_metrics
from graphwright.tasks.language.models.model import LanguageModel, token_losses
from graphwright.tasks.language.onnx import onnx_form
from graphwright.tasks.language.proof import expert_matrices, proof_of_causality
from graphwright.tasks.language.raw_input import input_form, read_lines, read_text
from graphwright.tasks.language.store import Loaded, open_or_build
from graphwright.tasks.language.token_windows import (
    LINE_LENGTH,
    TokenBatch,
    TokenWindows,
    line_windows,
    stream_windows,
    windows_of_epoch,
)
from graphwright.tasks.language.vocabularies import vocabulary_from_json
from graphwright.training.export_form import OnnxForm
from graphwright.training.task import (
    Columns,
    Evaluation,
    Infer,
    InputForm,
    RawInput,
    Stage,
    StepOutput,
    Task,
    TaskData,
)

__all__ = ["TASK", "LanguageTask"]


class LanguageTask(Task[LanguageConfig, Loaded]):
    """Predicts the next token."""

    monitor = "val_bits_per_byte"

    def load(self) -> Loaded:
        """See `Task.load`."""
        return open_or_build(self.config.data, self.data_root)

    def split(self, loaded: Loaded) -> TaskData:
        """Windows of the three texts; the vocabulary was fitted on the training text."""
        sources: dict[str, SampleSource] = {
            name: self._windows(loaded, name) for name in loaded.tokens
        }
        return TaskData(
            sources=sources,
            state={"tokenizer": loaded.vocabulary.to_json(), "length": self._length},
            digest=loaded.digest,
            split_digest=split_digest({name: np.arange(len(s)) for name, s in sources.items()}),
            summary={**loaded.summary, "windows": {n: len(s) for n, s in sources.items()}},
        )

    def build_model(self, state: Mapping[str, Any]) -> nn.Module:
        """See `Task.build_model`."""
        vocabulary = vocabulary_from_json(state["tokenizer"])
        return LanguageModel(self.config.model, vocabulary.size, state["length"])

    def step(self, model: LanguageModel, batch: TokenBatch, stage: Stage) -> StepOutput:
        """Mean nats of a token that counts; in training also the routers' load-balance loss."""
        nats_BL, balance = token_losses(model, batch.tokens)
        count = int(batch.mask.sum())
        nats = (nats_BL * batch.mask).sum() / count
        metrics = {"balance": balance.detach()} if self.config.model.top_k else {}
        if stage == "train":
            loss = nats + self.config.model.balance_weight * balance
            return StepOutput(loss, metrics, count)
        samples = {
            "nats": batch.sums(nats_BL.detach()),
            "tokens": batch.mask.sum(1),
            "bytes": batch.bytes,
        }
        metrics |= edge_weight_metrics(model)
        return StepOutput(nats, metrics, count, samples)

    def epoch_samples(self, data: TaskData) -> Callable[[int], IndexArray] | None:
        """Windows of each epoch, where `data.epoch_windows` is not all of them."""
        count = self.config.data.epoch_windows
        if not count:
            return None
        return windows_of_epoch(len(data.sources["train"]), count, seed=self.config.seed)

    def validation_metrics(self, samples: Columns) -> dict[str, float]:
        """Bits per byte and token perplexity of the whole validation text."""
        return totals(samples)

    def predict(self, model: LanguageModel, batch: TokenBatch) -> dict[str, Tensor]:
        """`nats`, `tokens` and `bytes` of every sample, and `bits_per_byte`."""
        nats_BL, _ = token_losses(model, batch.tokens)
        nats_S = batch.sums(nats_BL)
        zero_S = batch.bytes.new_zeros(batch.num_samples)
        tokens_S = zero_S.index_add(0, batch.sample, batch.mask.sum(1))
        bytes_S = zero_S.index_add(0, batch.sample, batch.bytes)
        return {
            "nats": nats_S,
            "tokens": tokens_S,
            "bytes": bytes_S,
            "bits_per_byte": nats_S / math.log(2) / bytes_S,
        }

    def evaluate(self, infer: Infer, data: TaskData, split: str) -> Evaluation:
        """See `evaluation.evaluate_text`."""
        return evaluate_text(infer, data, split, self.config)

    def read_input(self, raw: Path | Sequence[str], state: Mapping[str, Any]) -> RawInput:
        """A text file or texts; every line is a sample, scored after the lines before it."""
        return read_lines(raw, state, self.limits)

    def input_form(self, state: Mapping[str, Any]) -> InputForm:
        """See `raw_input.input_form`."""
        return input_form()

    def read_labelled(self, path: Path, state: Mapping[str, Any]) -> TaskData:
        """A text file as the "test" source: a text is its own answer."""
        return read_text(path, state, self.config)

    def proof(self, model: LanguageModel, data: TaskData) -> dict[str, Any]:
        """No position sees a later one, and who listens to whom, on the trained weights."""
        found: dict[str, Any] = {"checks": {"causality": proof_of_causality(model, data)}}
        matrices = expert_matrices(model, data)
        return {**found, "matrices": matrices} if matrices else found

    def onnx_form(self, model: LanguageModel, state: Mapping[str, Any]) -> OnnxForm:
        """See `onnx.onnx_form`."""
        return onnx_form(model, state)

    def counts(self, batch: TokenBatch) -> dict[str, int]:
        """Windows, and tokens that are predicted: no padding, no context."""
        return {"samples": batch.num_samples, "tokens": int(batch.mask.sum())}

    @property
    def _length(self) -> int:
        return LINE_LENGTH if self.config.data.scheme == "per_line_128" else self.config.data.length

    def _windows(self, loaded: Loaded, split: str) -> TokenWindows:
        tokens, vocabulary = loaded.tokens[split], loaded.vocabulary
        if split == "train" and self.config.data.train_tokens:
            tokens = tokens.first(self.config.data.train_tokens)
        if self.config.data.scheme == "per_line_128":
            return line_windows(tokens, vocabulary)
        stride = 0 if split == "train" else self.config.data.eval_stride
        return stream_windows(tokens, vocabulary, self._length, stride=stride)


TASK = LanguageTask
