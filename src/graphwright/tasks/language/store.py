"""Text becomes tokens once, in memory-mapped arrays that are found again by their digest."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.config import io
from graphwright.data.build_once import build_once
from graphwright.errors import DataError
from graphwright.runs.files import read_json, storage_errors, write_json_atomic
from graphwright.tasks.language.corpus import SPLITS, Corpus, Part, open_corpus
from graphwright.tasks.language.data_config import Gpt2Tokenizer, LanguageData
from graphwright.tasks.language.vocabularies import (
    Vocabulary,
    fit_vocabulary,
    vocabulary_from_json,
)

__all__ = ["Loaded", "Tokens", "describe", "open_or_build"]

# part of the digest: another way of encoding must not meet an old store
VERSION = 2


@dataclass(frozen=True)
class Tokens:
    """The tokens of a text.

    Attributes:
        ids: uint16 or int32 [T], perhaps memory-mapped.
        line_ptr: where each line begins in `ids` [lines + 1].
        blank: lines of white space alone [lines].
    """

    ids: NDArray[Any]
    line_ptr: NDArray[np.int64]
    blank: NDArray[np.bool_]

    def first(self, count: int) -> Tokens:
        """The beginning of the text: whole lines with at most `count` tokens, one line at least."""
        lines = max(int(np.searchsorted(self.line_ptr, count, side="right")) - 1, 1)
        lines = min(lines, len(self.blank))
        line_ptr = self.line_ptr[: lines + 1]
        return Tokens(self.ids[: line_ptr[-1]], line_ptr, self.blank[:lines])

    @classmethod
    def of_lines(cls, lines: Sequence[bytes], vocabulary: Vocabulary, where: object) -> Tokens:
        """The tokens of some lines with their ends; see `Vocabulary.encode_lines`."""
        encoded = vocabulary.encode_lines(lines, where=where)
        line_ptr = np.cumsum([0, *map(len, encoded)])
        blank = np.array([not line.strip() for line in lines], np.bool_)
        return cls(np.concatenate([np.zeros(0, np.int64), *encoded]), line_ptr, blank)


@dataclass(frozen=True)
class Loaded:
    """A prepared corpus.

    Attributes:
        tokens: of each split.
        vocabulary: what they are tokens of.
        digest: SHA-256 of the text and of the vocabulary.
        folder: where it lies.
        summary: bytes, lines and tokens of each split.
    """

    tokens: dict[str, Tokens]
    vocabulary: Vocabulary
    digest: str
    folder: Path
    summary: dict[str, Any]


def open_or_build(data: LanguageData, data_root: Path) -> Loaded:
    """The tokens of a configuration; encoded only the first time. The length and scheme of
    windows make no difference here.

    Args:
        data: source and tokenizer.
        data_root: stores lie in `<data_root>/language/<digest>/`.

    Raises:
        DataError: the text is missing, empty, or not UTF-8 where it must be.
        RunError: the data root cannot be written.
    """
    corpus = open_corpus(data.source)
    folder = data_root / "language" / _key(data, corpus)[:16]
    build_once(folder, lambda: _build(data, corpus, folder))
    return _open(folder)


def describe(folder: Path) -> dict[str, Any]:
    """What `data inspect` shows of a store, whose lengths are checked for that.

    Raises:
        DataError: a damaged store.
    """
    loaded = _open(folder)
    size = sum(file.stat().st_size for file in (folder / "store").iterdir())
    return {**loaded.summary, "digest": loaded.digest, "bytes": size}


def _key(data: LanguageData, corpus: Corpus) -> str:
    tokenizer = io.to_dict(data.tokenizer)
    if isinstance(data.tokenizer, Gpt2Tokenizer):
        path = Path(data.tokenizer.path)
        # a missing file is told by the vocabulary itself, with the key that names it
        content = path.read_bytes() if path.is_file() else b""
        tokenizer["path"] = hashlib.sha256(content).hexdigest()
    text = json.dumps([VERSION, tokenizer, corpus.digest], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _build(data: LanguageData, corpus: Corpus, folder: Path) -> None:
    vocabulary = fit_vocabulary(data.tokenizer, corpus.parts["train"].lines())
    building = folder / "building"
    with storage_errors(folder):
        shutil.rmtree(building, ignore_errors=True)  # of a build that was killed
        building.mkdir()
        counts = {s: _write(building, s, corpus.parts[s], vocabulary) for s in SPLITS}
        tokenizer = vocabulary.to_json()
        write_json_atomic(building / "tokenizer.json", tokenizer)
        known = json.dumps([corpus.digest, tokenizer], sort_keys=True)
        summary = {
            "task": "language",  # who can read this store
            "origin": corpus.origin,
            "tokenizer": f"{vocabulary.kind}, {vocabulary.size} ids",
            "dtype": _dtype(vocabulary).str,
            "digest": hashlib.sha256(known.encode()).hexdigest(),
            "splits": counts,
        }
        write_json_atomic(building / "schema.json", summary)
        building.rename(folder / "store")


def _write(folder: Path, split: str, part: Part, vocabulary: Vocabulary) -> dict[str, int]:
    lengths: list[int] = []
    blank: list[bool] = []
    size = expected = tokens = 0
    with (folder / f"{split}.tokens").open("wb") as stream:
        for lines in part.blocks():
            encoded = vocabulary.encode_lines(lines, first=len(lengths) + 1, where=part.path)
            block = np.concatenate(encoded)
            stream.write(block.astype(_dtype(vocabulary)).tobytes())
            tokens += len(block)
            size += int(vocabulary.bytes_per_token[block].sum())
            expected += sum(map(len, lines))
            lengths += map(len, encoded)
            blank += (not line.strip() for line in lines)
    if size != expected:  # bits per byte rest on it
        raise DataError(
            f"the tokens stand for {size} bytes of {expected}",
            where=part.path or split,
            fix="this tokenizer loses text; take data.tokenizer=bytes",
        )
    np.save(folder / f"{split}.lines.npy", np.cumsum([0, *lengths]), allow_pickle=False)
    np.save(folder / f"{split}.blank.npy", np.array(blank, np.bool_), allow_pickle=False)
    return {"bytes": size, "lines": len(lengths), "tokens": tokens}


def _dtype(vocabulary: Vocabulary) -> np.dtype[Any]:
    return np.dtype("<u2" if vocabulary.size <= 1 << 16 else "<i4")


def _open(folder: Path) -> Loaded:
    store = folder / "store"
    summary = read_json(store / "schema.json")
    tokens = {}
    for split in SPLITS:
        path = store / f"{split}.tokens"
        ids = np.memmap(path, np.dtype(summary["dtype"]), mode="r")
        if len(ids) != summary["splits"][split]["tokens"]:
            raise DataError(
                f"{path.name} has {len(ids)} tokens instead of "
                f"{summary['splits'][split]['tokens']}",
                where=store,
                fix=f"delete {folder}; it is made again",
            )
        lines, blank = (
            np.load(store / f"{split}.{name}.npy", allow_pickle=False)
            for name in ("lines", "blank")
        )
        tokens[split] = Tokens(ids, lines, blank)
    return Loaded(
        tokens=tokens,
        vocabulary=vocabulary_from_json(read_json(store / "tokenizer.json")),
        digest=summary["digest"],
        folder=folder,
        summary={key: summary[key] for key in ("origin", "tokenizer", "splits")},
    )
