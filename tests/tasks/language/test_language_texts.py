"""Several texts at once: each is scored as if it were alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphwright.data.limits import InputLimits, LimitError
from graphwright.errors import DataError
from graphwright.tasks.language.raw_input import input_form, read_lines

STATE = {"tokenizer": {"kind": "bytes"}, "length": 8}
TEXTS = ["Return the name of it.\n\nOr not\n", "short", "Open a file and a stream.\nClose it.\n"]


def test_texts_do_not_see_each_other(tmp_path: Path) -> None:
    together = read_lines(TEXTS, STATE)
    batch = together.source.batch(np.arange(len(together.names)))
    start = 0
    for i, text in enumerate(TEXTS):
        path = tmp_path / f"{i}.txt"
        path.write_text(text)
        alone = read_lines(path, STATE)
        found = alone.source.batch(np.arange(len(alone.names)))
        rows = slice(start, start + len(found.tokens))  # type: ignore[attr-defined]
        start = rows.stop
        for name in ("tokens", "mask", "bytes"):
            np.testing.assert_array_equal(getattr(batch, name)[rows], getattr(found, name))
    assert start == len(batch.tokens)  # type: ignore[attr-defined]
    assert together.names[:4] == [f"texts[0] line {n}" for n in (1, 2, 3)] + ["texts[1] line 1"]


def test_limits() -> None:
    with pytest.raises(LimitError, match="6 lines"):
        read_lines(TEXTS, STATE, InputLimits(samples=5, size=100))
    with pytest.raises(LimitError, match="26 bytes"):
        read_lines(TEXTS, STATE, InputLimits(samples=6, size=25))
    assert len(read_lines(TEXTS, STATE, InputLimits(samples=6, size=26)).names) == 6


@pytest.mark.parametrize("value", [None, {"texts": []}, {"texts": [""]}, {"texts": [1]}])
def test_no_texts(value: Any) -> None:
    from_json = input_form().from_json
    assert from_json is not None
    with pytest.raises(DataError, match="text"):
        from_json(value)
