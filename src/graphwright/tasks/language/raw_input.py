"""A user's own text, for a trained model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphwright.errors import DataError
from graphwright.tasks.language.config import LanguageConfig
from graphwright.tasks.language.store import Tokens
from graphwright.tasks.language.token_windows import LinesInContext, line_windows, stream_windows
from graphwright.tasks.language.vocabularies import Vocabulary, vocabulary_from_json
from graphwright.training.task import RawInput, TaskData

__all__ = ["read_lines", "read_text"]


def read_lines(path: Path, state: Mapping[str, Any]) -> RawInput:
    """Every line as a sample that is scored after the lines before it.

    Args:
        path: the text.
        state: of the trained model.

    Raises:
        DataError: no such file, an empty one, or not UTF-8 where the tokenizer needs it.
    """
    tokens, vocabulary = _tokens(path, state)
    source = LinesInContext(tokens, vocabulary, state["length"])
    names = [f"line {number}" for number in range(1, len(source) + 1)]
    return RawInput(source=source, names=names, rejected=[])


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
    try:
        with path.open("rb") as stream:
            lines = stream.readlines()
    except OSError as error:
        raise DataError(
            f"the text cannot be read: {error.strerror}", where=path, fix="give a text file"
        ) from error
    if not lines:
        raise DataError("the text is empty", where=path)
    vocabulary = vocabulary_from_json(state["tokenizer"])
    return Tokens.of_lines(lines, vocabulary, path), vocabulary
