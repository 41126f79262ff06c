"""A user's own text, for a trained model."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from graphwright.data.limits import InputLimits
from graphwright.errors import DataError
from graphwright.tasks.language.config import LanguageConfig
from graphwright.tasks.language.store import Tokens
from graphwright.tasks.language.token_windows import LinesInContext, line_windows, stream_windows
from graphwright.tasks.language.vocabularies import Vocabulary, vocabulary_from_json
from graphwright.training.task import InputForm, RawInput, TaskData

__all__ = ["input_form", "read_lines", "read_text"]


def input_form() -> InputForm:
    """Files that a service takes, and `{"texts": [text, …]}`."""
    return InputForm(
        files="text; every line is scored after the lines before it",
        json="texts: a list of texts that do not see each other; a row for each line",
        example={"texts": ["Return the name.\n", "Open a file.\nReturn a stream.\n"]},
        from_json=_texts_of,
    )


def read_lines(
    raw: Path | Sequence[str], state: Mapping[str, Any], limits: InputLimits | None = None
) -> RawInput:
    """Every line as a sample that is scored after the lines before it.

    Args:
        raw: a file, or several texts, each on its own.
        state: of the trained model.
        limits: of lines, and of bytes of one of them.

    Raises:
        LimitError: more than `limits`.
        DataError: no such file, an empty one, or not UTF-8 where the tokenizer needs it.
    """
    texts = [_lines(raw)] if isinstance(raw, Path) else [_lines_of(text) for text in raw]
    if limits is not None:
        limits.check_samples(sum(map(len, texts)), "lines")
        longest = max((len(line) for lines in texts for line in lines), default=0)
        limits.check_size(longest, "bytes", "the longest line")
    vocabulary = _vocabulary(tuple(state["tokenizer"].items()))
    where = raw if isinstance(raw, Path) else "texts"
    tokens = Tokens.of_lines([line for lines in texts for line in lines], vocabulary, where)
    text_of_line = np.repeat(np.arange(len(texts)), [len(lines) for lines in texts])
    source = LinesInContext(tokens, vocabulary, state["length"], text_of_line)
    return RawInput(source=source, names=_names(texts, of_file=where is raw), rejected=[])


def _names(texts: Sequence[Sequence[bytes]], *, of_file: bool) -> list[str]:
    return [
        f"line {number}" if of_file else f"texts[{i}] line {number}"
        for i, lines in enumerate(texts)
        for number in range(1, len(lines) + 1)
    ]


def _texts_of(value: Any) -> list[str]:
    texts = value.get("texts") if isinstance(value, dict) else None
    if not isinstance(texts, list) or not texts:
        raise DataError("there is no list of texts", where="texts", fix='{"texts": ["…", …]}')
    for i, text in enumerate(texts):
        if not isinstance(text, str) or not text:
            raise DataError("this is no text, or an empty one", where=f"texts[{i}]")
    return texts


def _lines_of(text: str) -> list[bytes]:
    return io.BytesIO(text.encode("utf-8", "surrogatepass")).readlines()


@lru_cache(maxsize=4)
def _vocabulary(state: tuple[tuple[str, str], ...]) -> Vocabulary:
    """Tens of thousands of tokens are not set up again for every text."""
    return vocabulary_from_json(dict(state))


def read_text(path: Path, state: Mapping[str, Any], config: LanguageConfig) -> TaskData:
    """A text as the "test" source, in windows as the model was trained on.

    Raises:
        DataError: as `read_lines`.
    """
    tokens, vocabulary = _tokens(path, state)
    if config.data.scheme == "per_line_128":
        windows = line_windows(tokens, vocabulary)
    else:
        stride = config.data.eval_stride
        windows = stream_windows(tokens, vocabulary, state["length"], stride=stride)
    summary = {"origin": str(path), "tokens": len(tokens.ids), "windows": len(windows)}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return TaskData({"test": windows}, dict(state), digest, "", summary)


def _tokens(path: Path, state: Mapping[str, Any]) -> tuple[Tokens, Vocabulary]:
    lines = _lines(path)
    vocabulary = vocabulary_from_json(state["tokenizer"])
    return Tokens.of_lines(lines, vocabulary, path), vocabulary


def _lines(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as stream:
            lines = stream.readlines()
    except OSError as error:
        raise DataError(
            f"the text cannot be read: {error.strerror}", where=path, fix="give a text file"
        ) from error
    if not lines:
        raise DataError("the text is empty", where=path)
    return lines
