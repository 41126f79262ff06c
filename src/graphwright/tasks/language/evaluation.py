"""How good a language model is, beside models that need no training.

Legend: T = tokens, V = vocabulary.
"""

from __future__ import annotations

import lzma
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.language.config import LanguageConfig
from graphwright.tasks.language.ngrams import Ngrams
from graphwright.tasks.language.token_windows import TokenWindows
from graphwright.tasks.language.vocabularies import vocabulary_from_json
from graphwright.training.task import Columns, Evaluation, Infer, TaskData

__all__ = ["evaluate_text", "totals"]

_NOTE = (
    "Bits per byte can be compared across tokenizers; perplexity is of a token and cannot. "
    "Unigrams and bigrams are counted on the training text (bigrams with Kneser-Ney discount); "
    "zlib and lzma compress this text alone."
)


def totals(columns: Columns) -> dict[str, float]:
    """Bits per byte and perplexity of a whole text, from sums over its samples.

    Args:
        columns: `nats`, `tokens` and `bytes`, one row a sample.
    """
    nats, tokens = float(columns["nats"].sum()), int(columns["tokens"].sum())
    size = int(columns["bytes"].sum())
    return {
        "bits_per_byte": nats / math.log(2) / size,
        "perplexity": math.exp(min(nats / tokens, 700.0)),  # beyond it a float has no number
    }


def evaluate_text(infer: Infer, data: TaskData, split: str, config: LanguageConfig) -> Evaluation:
    """Bits per byte and perplexity of a split (and, for the test split, of validation), beside
    counts of the training text and general compressors.

    Args:
        infer: the trained model over a source.
        data: its sources; without "train" there are no counted models.
        split: which one.
        config: for the model's name.
    """
    source = data.sources[split]
    assert isinstance(source, TokenWindows)
    columns = infer(source)
    metrics = {**totals(columns), "nats_per_token": _mean_nats(columns)}
    if split == "test" and "val" in data.sources:
        held = totals(infer(data.sources["val"]))
        metrics |= {f"validation_{name}": value for name, value in held.items()}
    rows = [[config.model.name, metrics["bits_per_byte"], metrics["perplexity"]]]
    rows += _baselines(data, source)
    report = {
        "task": config.task,
        "split": split,
        "primary": "bits_per_byte",
        "main": ["bits_per_byte", "validation_bits_per_byte", "perplexity"],
        "higher_is_better": False,
        "metrics": metrics,
        "tables": [
            {
                "title": f"Text of the {split} split",
                "note": _NOTE,
                "columns": ["model", "bits per byte", "token perplexity"],
                "rows": rows,
                "highlight": config.model.name,
            }
        ],
    }
    return Evaluation(report, {"id": np.arange(len(source)).astype(str), **columns})


def _mean_nats(columns: Columns) -> float:
    return float(columns["nats"].sum() / columns["tokens"].sum())


def _baselines(data: TaskData, source: TokenWindows) -> list[list[Any]]:
    vocabulary = vocabulary_from_json(data.state["tokenizer"])
    ids = np.asarray(source.ids)
    text = vocabulary.decode(ids)
    rows: list[list[Any]] = []
    train = data.sources.get("train")
    if isinstance(train, TokenWindows):
        counted = Ngrams.count(np.asarray(train.ids), vocabulary.size)
        for name, nats_T in (
            ("unigrams", counted.unigram_nats(ids)),
            ("bigrams", counted.bigram_nats(ids, vocabulary.separator)),
        ):
            rows.append([name, *_row(nats_T, len(text))])
    rows.append(["lzma", 8 * len(lzma.compress(text, preset=9)) / len(text), None])
    rows.append(["zlib", 8 * len(zlib.compress(text, 9)) / len(text), None])
    return rows


def _row(nats_T: NDArray[np.float64], size: int) -> tuple[float, float]:
    columns: Mapping[str, Any] = {
        "nats": nats_T,
        "tokens": np.array([len(nats_T)]),
        "bytes": np.array([size]),
    }
    found = totals(dict(columns))
    return found["bits_per_byte"], found["perplexity"]
