"""Names of genes and what is said of unknown ones."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.errors import DataError
from graphwright.tasks.genes.aliases import AliasTable, GeneNames, nearest
from graphwright.tasks.genes.edit_distance import NearestNames

GENES = ("YAL001C", "YAL002W", "YBR003C", "YHL015W")


def edits(one: str, other: str) -> int:
    """Levenshtein's distance as in the textbooks."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


WORD = st.text("ABC-", max_size=7)


@given(st.lists(WORD, min_size=1, max_size=8), WORD)
@settings(deadline=None, max_examples=80)
def test_distances_are_levenshteins(names: list[str], asked: str) -> None:
    found = NearestNames(names).distances(asked)
    assert found.tolist() == [edits(asked, name) for name in names]


def test_nearest_names() -> None:
    assert nearest("YAL001W", GENES, n=2) == ["YAL001C", "YAL002W"]
    assert nearest("yhl015w-a", GENES, n=1) == ["YHL015W"]
    assert nearest("X", [], n=3) == []
    assert nearest("", ["", "A"], n=1) == [""]


def test_thousands_of_unknown_names_are_quick() -> None:
    rng = np.random.default_rng(0)
    letters = np.array(list("YABCDELRW0123456789"))
    names = ["".join(row) for row in letters[rng.integers(0, len(letters), (6400, 9))]]
    near = NearestNames(names)
    start = time.process_time()
    for name in names[:50]:
        near(name + "X")
    # difflib takes 50 ms or more for each
    assert time.process_time() - start < 50 * 0.02


def test_systematic_standard_and_ambiguous() -> None:
    table = AliasTable.from_pairs(
        [("TFC3", "YAL001C"), ("VPS8", "YAL002W"), ("DUP", "YAL001C"), ("DUP", "YBR003C")]
    )
    names = GeneNames(GENES, table, ("-PH",))
    assert [names.find(text) for text in ("YAL002W", "TFC3", " tfc3 ", "yal001c")] == [1, 0, 0, 0]
    assert names.find("YBR003C-PH") == 2
    assert names.find("DUP") == "'DUP' is ambiguous: YAL001C or YBR003C"
    assert str(names.find("VPS88")).startswith("unknown gene 'VPS88', nearest: VPS8,")
    assert names.place("VPS88") is None
    # a systematic name is itself, also where a table calls another gene so
    other = GeneNames(GENES, AliasTable.from_pairs([("YAL001C", "YBR003C")]))
    assert other.find("YAL001C") == 0
    # a name of a gene that is not there is unknown
    assert isinstance(GeneNames(GENES, AliasTable({"FOO": "YZZ999W"})).find("FOO"), str)
    assert AliasTable.from_json(table.to_json()) == table


def test_tables_of_names(tmp_path: Path) -> None:
    path = tmp_path / "names.tsv"
    path.write_text("systematic\tstandard\tother\nYAL001C\tTFC3\tTSV115|FUN24\nYAL002W\t\tFUN24\n")
    table = AliasTable.read(path)
    assert table.systematic == {"TFC3": "YAL001C", "TSV115": "YAL001C"}
    assert table.ambiguous == {"FUN24": ("YAL001C", "YAL002W")}
    path.write_text("a\tb\n1\t2\t3\n")
    with pytest.raises(DataError, match="3 values instead of 2"):
        AliasTable.read(path)
    path.write_text("a\nx\n")
    with pytest.raises(DataError, match="two columns"):
        AliasTable.read(path)
    with pytest.raises(DataError, match="no such table"):
        AliasTable.read(tmp_path / "none.tsv")
