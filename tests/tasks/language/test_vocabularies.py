"""Tokenizers lose no byte, and say what a token stands for."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphwright.errors import DataError
from graphwright.tasks.language.data_config import BpeTokenizer, BytesTokenizer, Gpt2Tokenizer
from graphwright.tasks.language.vocabularies import (
    BytesVocabulary,
    Gpt2Vocabulary,
    Vocabulary,
    fit_vocabulary,
    vocabulary_from_json,
)

TEXT = [b"the cat sat on the mat\n", "déjà vu — naïve café\n".encode(), b"the end of the text\n"]
RANKS = Path(__file__).parents[4] / "shared/data/language/gpt2.tiktoken"


def small_ranks() -> str:
    """All bytes and three pairs."""
    pieces = [bytes([byte]) for byte in range(256)] + [b"th", b"the", b" t"]
    return "\n".join(f"{base64.b64encode(piece).decode()} {i}" for i, piece in enumerate(pieces))


@pytest.fixture(scope="module", params=["bytes", "bpe", "gpt2"])
def vocabulary(request: pytest.FixtureRequest) -> Vocabulary:
    if request.param == "bytes":
        return fit_vocabulary(BytesTokenizer(), [])
    if request.param == "bpe":
        return fit_vocabulary(BpeTokenizer(vocab_size=300), TEXT)
    return Gpt2Vocabulary(small_ranks())


@given(text=st.text(max_size=60))
def test_text_comes_back_byte_for_byte(vocabulary: Vocabulary, text: str) -> None:
    raw = text.encode()
    tokens = vocabulary.encode(raw)
    assert vocabulary.decode(tokens) == raw
    assert vocabulary.bytes_per_token[tokens].sum() == len(raw)
    assert not (tokens == vocabulary.separator).any()


def test_json_holds_all_of_it(vocabulary: Vocabulary) -> None:
    again = vocabulary_from_json(vocabulary.to_json())
    raw = b"".join(TEXT)
    assert again.size == vocabulary.size
    np.testing.assert_array_equal(again.encode(raw), vocabulary.encode(raw))
    np.testing.assert_array_equal(again.bytes_per_token, vocabulary.bytes_per_token)


def test_pairs_are_learnt_from_the_text_and_the_size_is_kept() -> None:
    learnt = fit_vocabulary(BpeTokenizer(vocab_size=300), TEXT)
    assert 257 < learnt.size <= 300
    assert len(learnt.encode(b"the cat")) < 7
    again = fit_vocabulary(BpeTokenizer(vocab_size=300), TEXT)
    assert again.to_json() == learnt.to_json()


def test_bytes_read_what_is_no_text() -> None:
    raw = bytes(range(256))
    assert BytesVocabulary().decode(BytesVocabulary().encode(raw)) == raw


def test_what_is_not_utf8_is_told_with_its_line() -> None:
    learnt = fit_vocabulary(BpeTokenizer(vocab_size=300), TEXT)
    with pytest.raises(DataError, match="0xff") as error:
        learnt.encode_lines([b"good\n", b"ab\xff\n"], first=41, where="a.txt")
    assert error.value.where == "a.txt, line 42, byte 3"
    assert "data.tokenizer=bytes" in str(error.value)


@pytest.mark.parametrize("content", ["", "YQ== 0", "no ranks", "YQ== 1 2\n"])
def test_a_file_that_has_no_ranks(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ranks.tiktoken"
    path.write_text(content)
    with pytest.raises(DataError, match="no ranks of byte pairs"):
        fit_vocabulary(Gpt2Tokenizer(path=str(path)), [])
    with pytest.raises(DataError, match="no ranks of byte pairs"):
        fit_vocabulary(Gpt2Tokenizer(path=str(tmp_path / "missing")), [])


@pytest.mark.real_data
def test_gpt2_gives_the_published_tokens() -> None:
    if not RANKS.exists():
        pytest.skip("needs ../shared/data/language/gpt2.tiktoken")
    gpt2 = fit_vocabulary(Gpt2Tokenizer(path=str(RANKS)), [])
    assert gpt2.size == 50_257
    # the well-known ids of this sentence
    assert gpt2.encode(b"Hello world").tolist() == [15496, 995]
