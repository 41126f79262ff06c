"""Text becomes tokens once, whole, and every token is a target exactly once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphwright.errors import DataError
from graphwright.tasks.language.corpus import open_corpus
from graphwright.tasks.language.data_config import (
    BpeTokenizer,
    BytesTokenizer,
    DocstringsSource,
    LanguageData,
    TextSource,
)
from graphwright.tasks.language.store import Tokens, open_or_build
from graphwright.tasks.language.token_windows import LinesInContext, line_windows, stream_windows
from graphwright.tasks.language.vocabularies import BytesVocabulary

BYTES = BytesVocabulary()
LINES = [f"line {i} says something of {i * i}\n".encode() for i in range(400)]


@pytest.fixture
def data(tmp_path: Path) -> LanguageData:
    path = tmp_path / "text.txt"
    path.write_bytes(b"".join(LINES))
    return LanguageData(source=TextSource(path=str(path)), tokenizer=BpeTokenizer(vocab_size=300))


def all_targets(windows) -> np.ndarray:
    batch = windows.batch(np.arange(len(windows)))
    return batch.tokens[:, 1:][batch.mask].numpy()


def test_the_parts_of_a_file_are_the_file(data: LanguageData, tmp_path: Path) -> None:
    loaded = open_or_build(data, tmp_path / "data")
    texts = [loaded.vocabulary.decode(loaded.tokens[s].ids) for s in ("train", "val", "test")]
    assert b"".join(texts) == b"".join(LINES)
    assert all(text.endswith(b"\n") for text in texts)
    assert len(texts[1]) == pytest.approx(0.05 * sum(map(len, LINES)), rel=0.2)


def test_the_second_time_nothing_is_encoded(
    data: LanguageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_or_build(data, tmp_path / "data")
    monkeypatch.setattr("graphwright.tasks.language.store._build", None)
    again = open_or_build(replace(data, length=32, scheme="per_line_128"), tmp_path / "data")
    assert again.digest == first.digest
    assert again.folder == first.folder
    assert isinstance(again.tokens["train"].ids, np.memmap)


def test_another_text_or_tokenizer_is_another_store(data: LanguageData, tmp_path: Path) -> None:
    first = open_or_build(data, tmp_path / "data")
    other = open_or_build(replace(data, tokenizer=BytesTokenizer()), tmp_path / "data")
    path = Path(data.source.path)
    path.write_bytes(path.read_bytes() + b"one more\n")
    longer = open_or_build(data, tmp_path / "data")
    assert len({first.digest, other.digest, longer.digest}) == 3


def test_a_cut_off_store_is_told(data: LanguageData, tmp_path: Path) -> None:
    folder = open_or_build(data, tmp_path / "data").folder
    path = folder / "store/val.tokens"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DataError, match=r"val\.tokens has \d+ tokens instead of"):
        open_or_build(data, tmp_path / "data")


def test_missing_empty_and_tiny_texts(tmp_path: Path) -> None:
    for content, message in ((None, "no such text"), (b"", "empty"), (b"one line", "nothing is")):
        path = tmp_path / "a.txt"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            open_corpus(TextSource(path=str(path)))
    with pytest.raises(DataError, match="no such text"):
        open_corpus(TextSource(path=str(tmp_path)))


def test_bytes_that_are_no_text_are_told_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"".join(LINES[:100]) + b"\xfe\n" + b"".join(LINES[100:]))
    source = TextSource(path=str(path))
    with pytest.raises(DataError, match="not UTF-8"):
        open_or_build(LanguageData(source=source), tmp_path / "data")
    loaded = open_or_build(LanguageData(source=source, tokenizer=BytesTokenizer()), tmp_path / "d")
    assert loaded.summary["splits"]["train"]["tokens"] > 0


def test_documentation_strings_are_the_same_every_time() -> None:
    source = DocstringsSource(max_bytes=40_000)
    first, again = open_corpus(source), open_corpus(source)
    assert first.digest == again.digest
    assert first.digest != open_corpus(replace(source, seed=1)).digest
    assert all(len(part.text) > 500 for part in first.parts.values())


@given(
    size=st.integers(1, 60), length=st.integers(2, 17), stride=st.integers(0, 17), data=st.data()
)
def test_every_token_is_a_target_once(size: int, length: int, stride: int, data) -> None:
    ids = np.array(data.draw(st.lists(st.integers(0, 255), min_size=size, max_size=size)))
    tokens = Tokens(ids, np.array([0, size]), np.zeros(1, np.bool_))
    windows = stream_windows(tokens, BYTES, length, stride=min(stride, length))
    np.testing.assert_array_equal(all_targets(windows), ids)


def test_a_window_sees_what_stands_before_its_targets() -> None:
    tokens = Tokens(np.arange(10), np.array([0, 10]), np.zeros(1, np.bool_))
    batch = stream_windows(tokens, BYTES, 4, stride=2).batch(np.array([3, 0]))
    assert batch.tokens.tolist() == [[3, 4, 5, 6, 7], [256, 0, 1, 256, 256]]
    assert batch.mask.tolist() == [[False, False, True, True], [True, True, False, False]]


def test_lines_are_cut_off_padded_and_kept_apart() -> None:
    lines = [b"ab\n", b" \n", b"x" * 300 + b"\n", b"\n", b"end"]
    tokens = Tokens.of_lines(lines, BYTES, None)
    windows = line_windows(tokens, BYTES)
    batch = windows.batch(np.arange(len(windows)))
    assert batch.mask.sum(1).tolist() == [3, 128, 3]  # blank lines are left out
    assert batch.tokens[:, 0].tolist() == [256, 256, 256]
    assert bytes(batch.tokens[2, 1:4].tolist()) == b"end"


@given(length=st.integers(2, 9), data=st.data())
def test_every_line_is_scored_whole_and_in_its_context(length: int, data) -> None:
    texts = data.draw(st.lists(st.binary(max_size=25).map(lambda b: b.replace(b"\n", b"x"))))
    lines = [text + b"\n" for text in texts] + [b"the end"]
    tokens = Tokens.of_lines(lines, BYTES, None)
    source = LinesInContext(tokens, BYTES, length)
    order = data.draw(st.permutations(range(len(lines))))
    batch = source.batch(np.array(order))
    assert batch.num_samples == len(lines)
    for place, line in enumerate(order):
        mine = batch.sample == place
        targets = batch.tokens[mine, 1:][batch.mask[mine]].tolist()
        assert bytes(targets) == lines[line]
        assert batch.bytes[mine].sum() == len(lines[line])
    ones = batch.sums(torch.ones_like(batch.mask, dtype=torch.float32))
    assert ones.tolist() == [len(lines[line]) for line in order]
    context = (batch.tokens[:, :-1] < 256).sum(1)
    assert (context[batch.sample == order.index(len(lines) - 1)] >= 1).all() or len(lines) == 1


def test_the_beginning_of_a_text_ends_with_a_line() -> None:
    tokens = Tokens.of_lines([b"abc\n", b"\n", b"defgh\n"], BYTES, None)
    assert bytes(tokens.first(6).ids.tolist()) == b"abc\n\n"
    assert tokens.first(6).line_ptr.tolist() == [0, 4, 5]
    assert bytes(tokens.first(1).ids.tolist()) == b"abc\n"
    assert len(tokens.first(99).ids) == 11
