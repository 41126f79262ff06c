"""What the input side of the language task can be told. Frozen, keyword-only, no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

__all__ = [
    "BpeTokenizer",
    "BytesTokenizer",
    "DocstringsSource",
    "Gpt2Tokenizer",
    "LanguageData",
    "TextSource",
    "TokenizerConfig",
]

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class DocstringsSource:
    """Documentation strings of the Python standard library that is running; whole modules are
    held out for validation and test."""

    kind: Literal["docstrings"] = "docstrings"
    max_bytes: Annotated[int, Field(ge=20_000)] = 600_000
    """The modules are taken in an order drawn from `seed` until there is so much text."""
    seed: Count = 0


@dataclass(frozen=True, kw_only=True)
class TextSource:
    """Text files in UTF-8 (any bytes for the tokenizer `bytes`)."""

    kind: Literal["text"] = "text"
    path: str
    """A folder with train.txt, valid.txt and test.txt, or one file: its last lines are then held
    out."""
    train: str = "train.txt"
    valid: str = "valid.txt"
    test: str = "test.txt"
    """Names in the folder."""
    val_share: Share = 0.05
    test_share: Share = 0.05
    """Of one file's bytes."""


@dataclass(frozen=True, kw_only=True)
class BytesTokenizer:
    """Every byte is a token."""

    kind: Literal["bytes"] = "bytes"


@dataclass(frozen=True, kw_only=True)
class BpeTokenizer:
    """Byte-level byte-pair encoding (Sennrich et al., 2016), learnt on the training text."""

    kind: Literal["bpe"] = "bpe"
    vocab_size: Annotated[int, Field(ge=257, le=200_000)] = 4096


@dataclass(frozen=True, kw_only=True)
class Gpt2Tokenizer:
    """The 50,257 byte pairs of GPT-2 (Radford et al., 2019), from a file of ranks in the format
    of tiktoken."""

    kind: Literal["gpt2"] = "gpt2"
    path: str = "gpt2.tiktoken"


TokenizerConfig = BytesTokenizer | BpeTokenizer | Gpt2Tokenizer


@dataclass(frozen=True, kw_only=True)
class LanguageData:
    """Text, how it becomes tokens, and how tokens become windows."""

    source: Annotated[DocstringsSource | TextSource, Field(discriminator="kind")] = field(
        default_factory=DocstringsSource
    )
    tokenizer: Annotated[TokenizerConfig, Field(discriminator="kind")] = field(
        default_factory=BpeTokenizer
    )
    scheme: Literal["stream", "per_line_128"] = "stream"
    """stream: windows over the whole text, every token is predicted. per_line_128: each line on
    its own, cut off after 128 tokens and padded; only to compare with results obtained so."""
    length: Annotated[int, Field(ge=2, le=65_536)] = 128
    """Tokens that are predicted in a window of the stream."""
    epoch_windows: Count = 0
    """Training windows of an epoch, of an endless shuffled sequence in which each stands once
    before any stands twice; so validations can be closer together than a large text is long.
    0: all of them."""
    train_tokens: Count = 0
    """At most so many tokens of the training text, from its beginning; 0: all of it."""
    eval_stride: Count = 0
    """Of validation and test: windows overlap, and only so many of their last targets count, each
    after at least `length - eval_stride` tokens of context. 0: windows do not overlap."""
