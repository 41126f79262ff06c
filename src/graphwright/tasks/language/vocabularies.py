"""Tokenizers behind one interface: bytes, byte pairs learnt on the spot, and GPT-2's.

All of them are byte-level: the bytes of a text's tokens, joined, are the text. So a number of bits
for each token is a number of bits for each byte, exactly.
"""

from __future__ import annotations

import base64
import binascii
import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError, MissingExtraError
from graphwright.tasks.language.data_config import (
    BpeTokenizer,
    BytesTokenizer,
    Gpt2Tokenizer,
    TokenizerConfig,
)

__all__ = [
    "BpeVocabulary",
    "BytesVocabulary",
    "Gpt2Vocabulary",
    "Vocabulary",
    "fit_vocabulary",
    "vocabulary_from_json",
]

# Radford et al., 2019: contractions, words, numbers, other signs, white space
_GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


class Vocabulary(ABC):
    """Text to tokens and back.

    The last id, `separator`, is no text: it stands where a document begins.
    """

    kind: str

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of ids V, the separator among them."""

    @property
    def separator(self) -> int:
        """Id of the beginning of a document."""
        return self.size - 1

    @abstractmethod
    def encode_lines(
        self, lines: Sequence[bytes], *, first: int = 1, where: object = None
    ) -> list[NDArray[np.int64]]:
        """Tokens of each line; a line keeps its end.

        Args:
            lines: the text.
            first: number of its first line, for errors.
            where: the file, for errors.

        Raises:
            DataError: a line is not UTF-8 and the tokenizer needs it.
        """

    @abstractmethod
    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; none for the separator."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Everything that `vocabulary_from_json` needs."""

    def encode(self, text: bytes) -> NDArray[np.int64]:
        """Tokens of a text, encoded line by line [T]."""
        lines = self.encode_lines(io.BytesIO(text).readlines())
        return np.concatenate(lines) if lines else np.zeros(0, np.int64)

    def decode(self, tokens: Iterable[int]) -> bytes:
        """The text of some tokens; separators are left out."""
        return b"".join(self.token_bytes(int(token)) for token in tokens)

    @cached_property
    def bytes_per_token(self) -> NDArray[np.int64]:
        """Length in bytes of every id [V]."""
        return np.array([len(self.token_bytes(i)) for i in range(self.size)], np.int64)


class BytesVocabulary(Vocabulary):
    """256 bytes."""

    kind = "bytes"

    @property
    def size(self) -> int:
        """See `Vocabulary.size`."""
        return 257

    def encode_lines(
        self, lines: Sequence[bytes], *, first: int = 1, where: object = None
    ) -> list[NDArray[np.int64]]:
        """See `Vocabulary.encode_lines`; any bytes will do."""
        return [np.frombuffer(line, np.uint8).astype(np.int64) for line in lines]

    def token_bytes(self, token: int) -> bytes:
        """See `Vocabulary.token_bytes`."""
        return bytes([token]) if token < 256 else b""

    def to_json(self) -> dict[str, Any]:
        """See `Vocabulary.to_json`."""
        return {"kind": self.kind}


class BpeVocabulary(Vocabulary):
    """Byte pairs learnt by the library `tokenizers`.

    Args:
        definition: the library's own JSON.
    """

    kind = "bpe"

    def __init__(self, definition: str) -> None:
        self.definition = definition
        self._tokenizer = _tokenizers().Tokenizer.from_str(definition)

    @classmethod
    def fit(cls, lines: Iterable[bytes], vocab_size: int) -> BpeVocabulary:
        """Learn at most `vocab_size` - 1 tokens, all 256 bytes among them."""
        library = _tokenizers()
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=vocab_size - 1,
            show_progress=False,
            initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
        )
        texts = (_text(line, i, None) for i, line in enumerate(lines, 1))
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer.to_str())

    @property
    def size(self) -> int:
        """See `Vocabulary.size`."""
        return int(self._tokenizer.get_vocab_size()) + 1

    def encode_lines(
        self, lines: Sequence[bytes], *, first: int = 1, where: object = None
    ) -> list[NDArray[np.int64]]:
        """See `Vocabulary.encode_lines`."""
        texts = [_text(line, i, where) for i, line in enumerate(lines, first)]
        encodings = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        return [np.array(encoding.ids, np.int64) for encoding in encodings]

    def token_bytes(self, token: int) -> bytes:
        """See `Vocabulary.token_bytes`."""
        return self._pieces[token]

    def to_json(self) -> dict[str, Any]:
        """See `Vocabulary.to_json`."""
        return {"kind": self.kind, "definition": self.definition}

    @cached_property
    def _pieces(self) -> list[bytes]:
        signs = _byte_signs()
        names = (self._tokenizer.id_to_token(i) for i in range(self.size - 1))
        return [bytes(signs[sign] for sign in name) for name in names] + [b""]


class Gpt2Vocabulary(Vocabulary):
    """GPT-2's byte pairs, encoded by the library `tiktoken`.

    Args:
        ranks: lines of base64 bytes and rank.
    """

    kind = "gpt2"

    def __init__(self, ranks: str) -> None:
        self.ranks = ranks
        pairs = _ranks(ranks)
        self._pieces = [*sorted(pairs, key=pairs.__getitem__), b""]
        self._encoding = _tiktoken().Encoding(
            "gpt2", pat_str=_GPT2_PATTERN, mergeable_ranks=pairs, special_tokens={}
        )

    @classmethod
    def read(cls, path: Path) -> Gpt2Vocabulary:
        """From a file of ranks.

        Raises:
            DataError: there is no such file, or it holds something else.
        """
        try:
            return cls(path.read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            raise DataError(
                f"no ranks of byte pairs could be read: {error}",
                where=path,
                fix="set data.tokenizer.path to a file in tiktoken's format (gpt2.tiktoken)",
            ) from error

    @property
    def size(self) -> int:
        """See `Vocabulary.size`."""
        return len(self._pieces)

    def encode_lines(
        self, lines: Sequence[bytes], *, first: int = 1, where: object = None
    ) -> list[NDArray[np.int64]]:
        """See `Vocabulary.encode_lines`."""
        texts = [_text(line, i, where) for i, line in enumerate(lines, first)]
        encode = self._encoding.encode_ordinary
        return [np.array(encode(text), np.int64) for text in texts]

    def token_bytes(self, token: int) -> bytes:
        """See `Vocabulary.token_bytes`."""
        return self._pieces[token]

    def to_json(self) -> dict[str, Any]:
        """See `Vocabulary.to_json`."""
        return {"kind": self.kind, "ranks": self.ranks}


def fit_vocabulary(config: TokenizerConfig, lines: Iterable[bytes]) -> Vocabulary:
    """The vocabulary of a configuration; only BPE looks at the (training) lines.

    Raises:
        DataError: the text or the file of ranks cannot be read.
        MissingExtraError: the tokenizer's library is not installed.
    """
    if isinstance(config, BytesTokenizer):
        return BytesVocabulary()
    if isinstance(config, BpeTokenizer):
        return BpeVocabulary.fit(lines, config.vocab_size)
    assert isinstance(config, Gpt2Tokenizer)
    return Gpt2Vocabulary.read(Path(config.path))


def vocabulary_from_json(state: Mapping[str, Any]) -> Vocabulary:
    """What `Vocabulary.to_json` wrote."""
    if state["kind"] == "bytes":
        return BytesVocabulary()
    if state["kind"] == "bpe":
        return BpeVocabulary(state["definition"])
    return Gpt2Vocabulary(state["ranks"])


def _text(line: bytes, number: int, where: object) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"the text is not UTF-8: byte {line[error.start]:#04x}",
            where=f"{where or 'text'}, line {number}, byte {error.start + 1}",
            fix="convert it to UTF-8, or take data.tokenizer=bytes, which reads anything",
        ) from error


def _ranks(text: str) -> dict[bytes, int]:
    """Lines of "base64 rank"; ranks must be 0, 1, 2, …"""
    pairs: dict[bytes, int] = {}
    for number, line in enumerate(text.splitlines()):
        piece, _, rank = line.partition(" ")
        try:
            pairs[base64.b64decode(piece, validate=True)] = int(rank)
        except (binascii.Error, ValueError):
            raise ValueError(f"line {number + 1} is not 'base64 rank'") from None
    if sorted(pairs.values()) != list(range(len(pairs))) or len(pairs) < 256:
        raise ValueError("the ranks are not 0, 1, 2, … of at least 256 pieces")
    return pairs


def _byte_signs() -> dict[str, int]:
    """GPT-2's printable sign of each byte (Radford et al., 2019, `bytes_to_unicode`).

    Bytes that print stand for themselves; the others get the signs from 256 on, in order.
    """
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = [byte for byte in range(256) if byte not in printable]
    signs = {chr(byte): byte for byte in printable}
    return signs | {chr(256 + i): byte for i, byte in enumerate(hidden)}


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise MissingExtraError("tokenizers", "language", "learning byte pairs") from error
    return tokenizers


def _tiktoken() -> Any:
    try:
        import tiktoken
    except ImportError as error:
        raise MissingExtraError("tiktoken", "language", "GPT-2's byte pairs") from error
    return tiktoken
