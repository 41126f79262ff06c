"""What a user hands to a trained predictor: a table, an ONNX file, a function, or texts."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.data.limits import InputLimits
from graphwright.errors import ConfigError, DataError
from graphwright.tasks.nas.config import NasConfig
from graphwright.tasks.nas.data_config import TableSource
from graphwright.tasks.nas.loaded import Loaded, from_archs, from_texts
from graphwright.tasks.nas.spaces import get_search_space
from graphwright.tasks.nas.store import open_or_build, table_source
from graphwright.tasks.nas.table import header, read_table
from graphwright.tasks.nas.table_columns import find_columns
from graphwright.training.task import InputForm

__all__ = [
    "everyone",
    "given_names",
    "input_form",
    "read_architectures",
    "read_labelled_table",
    "rejected_rows",
]

_TABLES = (".csv", ".csv.gz", ".parquet")
_TRACED = ("module", "onnx")  # no space of texts


def input_form(state: Mapping[str, Any]) -> InputForm:
    """Files that a service takes, and `{"architectures": [text, …]}` where the space has texts.

    No Parquet: how much it unpacks to is known only afterwards. Where models are functions no table
    either: it would name functions to call, or files to open.
    """
    if state["space"] in _TRACED:
        return InputForm(suffixes=(".onnx",), files="one network as ONNX")
    try:
        texts = get_search_space(state["space"]).sample(2, np.random.default_rng(0))
    except ConfigError:  # a space that can only be read
        texts = []
    return InputForm(
        suffixes=(".csv", ".csv.gz"),
        files=f"a table with a column of architectures of {state['space']}",
        json=f"architectures: a list of texts as {state['space']} writes them",
        example={"architectures": texts} if texts else None,
        from_json=_texts_of,
    )


def _texts_of(value: Any) -> list[str]:
    texts = value.get("architectures") if isinstance(value, dict) else None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts) or not texts:
        raise DataError(
            "there is no list of texts", where="architectures", fix='{"architectures": ["…", …]}'
        )
    return texts


def read_architectures(
    raw: Path | Sequence[str],
    config: NasConfig,
    state: Mapping[str, Any],
    folder: Path,
    limits: InputLimits | None = None,
) -> Loaded:
    """Architectures without labels, in the form that the model was trained on.

    Args:
        raw: a table (.csv, .csv.gz, .parquet), an .onnx file, `package.module:function`, or texts
            in the words of the model's space.
        config: of the model.
        state: of the model: its space and the features that it needs.
        folder: where a table is prepared.
        limits: of a stranger's input: then nothing is called or opened that it names.

    Raises:
        LimitError: more than `limits`.
        DataError: nothing of the kind, or not one architecture can be read.
    """
    if not isinstance(raw, Path):
        if limits is not None:
            limits.check_samples(len(raw), "architectures")
        loaded = from_texts(list(raw), state["space"])
    elif str(raw).endswith(_TABLES):
        loaded = _table(raw, config, state, folder, limits)
    elif raw.suffix == ".onnx":
        from graphwright.tasks.nas.tracing.from_onnx import from_onnx

        loaded = from_archs([from_onnx(raw)], [str(raw)], kind="onnx")
    elif ":" in str(raw) and limits is None:
        loaded = _function(str(raw))
    else:
        raise DataError(
            "this is no table, ONNX file or function",
            where=raw,
            fix=f"give {', '.join(_TABLES)}, .onnx or package.module:function",
        )
    if not len(loaded):
        raise DataError("not one architecture can be read", where=raw, fix=str(loaded.rejected))
    return loaded


def read_labelled_table(path: Path, config: NasConfig, data_root: Path) -> Loaded:
    """Another table with the configuration's metrics."""
    return open_or_build(replace(config.data, source=_source(path, config)), data_root)


def given_names(loaded: Loaded, raw: Path | Sequence[str], config: NasConfig) -> list[str]:
    """What the user calls each architecture: its own words, and not a canonical text."""
    rows = loaded.store.column("row").numpy().tolist()
    if not isinstance(raw, Path):
        return [raw[row] for row in rows]
    if not str(raw).endswith(_TABLES):
        return loaded.names(everyone(loaded))
    source = replace(_source(raw, config), metrics=(), features=(), repeats=(), group="")
    columns = find_columns(source, header(raw))
    found = {
        row: text
        for piece in read_table(raw, columns)
        for row, text in zip(piece.row.tolist(), piece.texts, strict=True)
    }
    return [found[row] for row in rows]


def everyone(loaded: Loaded) -> NDArray[np.int64]:
    """Places of all architectures."""
    return np.arange(len(loaded))


def rejected_rows(loaded: Loaded) -> list[tuple[str, str]]:
    """(where, reason) of what could not be read."""
    if loaded.folder is None:
        return [(f"row {row}", reason) for row, reason in loaded.bad]
    with (loaded.folder / "rejected.csv").open(newline="") as file:
        return [(row["where"], row["reason"]) for row in csv.DictReader(file)]


def _table(
    path: Path,
    config: NasConfig,
    state: Mapping[str, Any],
    folder: Path,
    limits: InputLimits | None,
) -> Loaded:
    # what this table has not is computed where the space can (`features.computed_features`)
    there = header(path)
    features = tuple(name for name in state.get("table_features", ()) if name in there)
    bare = replace(_source(path, config), metrics=(), repeats=(), group="", features=features)
    if limits is not None:
        limits.check_samples(_count_lines(path) - 1, "rows")
        if state["space"] in _TRACED:
            raise DataError("a table of functions or files is not taken here", where=path)
        bare = replace(bare, format=state["space"])  # `auto` might find functions to call in it
    return open_or_build(replace(config.data, source=bare), folder)


def _count_lines(path: Path) -> int:
    """Of what can be unpacked; damage is the reader's to tell."""
    count, opened = 0, gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as stream, suppress(OSError, EOFError, zlib.error):
        while chunk := stream.read(1 << 20):
            count += chunk.count(b"\n")
    return count


def _source(path: Path, config: NasConfig) -> TableSource:
    """As the training table was read; its column is looked for where this table has another."""
    source = replace(table_source(config.data), path=str(path), limit=0)
    return source if set(source.arch) <= set(header(path)) else replace(source, arch=())


def _function(text: str) -> Loaded:
    from graphwright.tasks.nas.tracing.builders import resolve_builder
    from graphwright.tasks.nas.tracing.from_module import from_module

    arch = from_module(resolve_builder(text, {}))
    return from_archs([arch], [text])
