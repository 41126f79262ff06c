"""The flat table of structures and the checks of its values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.geometry.structures import (
    StructureTable,
    center_of_mass,
    drop_bad_structures,
    find_faults,
    point_means,
)


def make_table(counts: list[int], seed: int = 0, **changes: object) -> StructureTable:
    rng = np.random.default_rng(seed)
    S, N = len(counts), sum(counts)
    values: dict[str, object] = {
        "offsets": np.concatenate([[0], np.cumsum(counts)]).astype(int),
        "pos": rng.normal(size=(N, 3)),
        "names": np.array([f"s{i}" for i in range(S)], dtype=np.str_),
        "z": rng.integers(1, 119, size=N),
        "features": rng.normal(size=(N, 2)),
        "target": rng.normal(size=(S, 3)),
        "group": np.arange(S) // 2,
    }
    return StructureTable(**{**values, **changes})  # type: ignore[arg-type]


counts_lists = st.lists(st.integers(0, 6), min_size=1, max_size=8)


@given(counts=counts_lists, data=st.data())
def test_select_takes_the_points_of_each_structure(counts: list[int], data: st.DataObject) -> None:
    table = make_table(counts)
    chosen = data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=10))
    part = table.select(np.array(chosen, dtype=int))
    assert len(part) == len(chosen)
    for at, i in enumerate(chosen):
        mine = slice(part.offsets[at], part.offsets[at + 1])
        theirs = slice(table.offsets[i], table.offsets[i + 1])
        assert np.array_equal(part.pos[mine], table.pos[theirs])
        assert part.z is not None
        assert table.z is not None
        assert np.array_equal(part.z[mine], table.z[theirs])
        assert part.names[at] == table.names[i]


@given(counts=counts_lists, cut=st.integers(0, 8))
def test_concat_undoes_select(counts: list[int], cut: int) -> None:
    table = make_table(counts)
    everything = np.arange(len(table))
    parts = [table.select(everything[:cut]), table.select(everything[cut:])]
    assert StructureTable.concat(parts).equals(table)


@given(counts=counts_lists, data=st.data())
def test_every_bad_structure_is_found_and_named(counts: list[int], data: st.DataObject) -> None:
    table = make_table(counts)
    flaws = ["pos", "z", "features", "target", None]
    bad: dict[int, str] = {}
    for i, count in enumerate(counts):
        flaw = data.draw(st.sampled_from(flaws))
        if count < 2:
            bad[i] = "fewer than 2 points"
        elif flaw is not None:
            row = i if flaw == "target" else table.offsets[i] + data.draw(st.integers(0, count - 1))
            getattr(table, flaw)[row] = 0 if flaw == "z" else np.nan
            bad[i] = {
                "pos": "non-finite position",
                "z": "unknown element",
                "features": "non-finite feature",
                "target": "non-finite target",
            }[flaw]
    rejects = Rejects(None)
    if len(bad) == len(counts):
        with pytest.raises(DataError, match="no usable structure"):
            drop_bad_structures(table, "file", rejects)
    else:
        kept = drop_bad_structures(table, "file", rejects)
        assert kept.names.tolist() == [f"s{i}" for i in range(len(counts)) if i not in bad]
    assert rejects.count == len(bad)
    reasons = rejects.by_reason()
    for reason in set(bad.values()):
        assert reasons[reason] == list(bad.values()).count(reason)


def test_a_structure_is_rejected_once_under_its_gravest_reason() -> None:
    table = make_table([1, 3])
    table.pos[0] = np.inf
    assert table.target is not None
    table.target[0] = np.nan
    rejects = Rejects(None)
    assert len(drop_bad_structures(table, "file", rejects)) == 1
    assert dict(rejects.by_reason()) == {"fewer than 2 points": 1}


def test_strict_stops_at_the_first_bad_structure() -> None:
    with pytest.raises(DataError, match="fewer than 2 points"):
        drop_bad_structures(make_table([3, 1]), "file", Rejects(None, strict=True))


def test_a_clean_table_is_returned_as_it_is() -> None:
    table = make_table([3, 2])
    assert drop_bad_structures(table, "file", Rejects(None)) is table
    assert not any(mask.any() for mask in find_faults(table).values())


def test_elements_that_are_none_become_zero() -> None:
    z = np.array([6.0, 6.5, np.nan, 119, -3, 1e9])
    table = make_table([6], z=z)
    assert table.z is not None
    assert table.z.tolist() == [6, 0, 0, 0, 0, 0]
    assert table.z.dtype == np.int16


def test_dtypes_are_converted() -> None:
    table = make_table([2], pos=np.zeros((2, 3), dtype=np.float32), group=np.array([1], np.uint8))
    assert table.pos.dtype == np.float64
    assert table.group is not None
    assert table.group.dtype == np.int64
    assert table.num_points == 2
    assert table.point_structure.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offsets": np.array([0, 3, 2, 4])}, r"not monotone from 0: offsets\[2\] is 2"),
        ({"offsets": np.array([1, 2, 3, 4])}, r"not monotone from 0: offsets\[0\] is 1"),
        ({"offsets": np.array([0, 2, 3, 5])}, "offsets end at 5, but there are 4 points"),
        ({"offsets": np.array([0.0, 2.0, 3.0, 4.0])}, "whole numbers"),
        ({"offsets": np.array([], dtype=int)}, "whole numbers"),
        ({"pos": np.zeros((4, 2))}, r"pos has shape \(4, 2\), expected \(4, 3\)"),
        ({"pos": np.zeros(12)}, "pos has shape"),
        ({"pos": np.array([["a"] * 3] * 4)}, "positions are not numbers"),
        ({"z": np.zeros(3, dtype=int)}, "z has shape"),
        ({"z": np.array(["C"] * 4)}, "atomic numbers must be whole numbers"),
        ({"features": np.zeros(4)}, "features has shape"),
        ({"target": np.zeros((3, 2))}, "target has shape"),
        ({"group": np.zeros(4, dtype=int)}, "group has shape"),
        ({"names": np.array(["a"])}, "names has shape"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_table([2, 1, 1], **changes)


def test_tables_that_differ_are_not_joined() -> None:
    table = make_table([2, 2])
    with pytest.raises(DataError, match="no structures to join"):
        StructureTable.concat([])
    with pytest.raises(DataError, match="some tables have z"):
        StructureTable.concat([table, make_table([2, 2], z=None)])
    with pytest.raises(DataError, match="differ in position_unit"):
        StructureTable.concat([table, make_table([2, 2], position_unit="angstrom")])
    with pytest.raises(DataError, match="shape of features"):
        StructureTable.concat([table, make_table([2, 2], features=np.zeros((4, 5)))])
    bare = make_table([2], z=None)
    assert StructureTable.concat([bare, bare]).z is None


def test_equals_sees_every_difference() -> None:
    table = make_table([2, 2])
    assert table.equals(make_table([2, 2]))
    assert not table.equals(make_table([2, 2], seed=1))
    assert not table.equals(make_table([2, 2], z=None))
    assert not table.equals(make_table([2, 2], target_unit="a.u."))


def test_means_and_centres_of_mass() -> None:
    pos = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 4, 0]])
    table = StructureTable(
        offsets=np.array([0, 2, 2, 4]),
        pos=pos,
        names=np.array(["CO", "none", "bad"]),
        z=np.array([6, 8, 1, 0]),
    )
    assert point_means(table.pos, table.offsets).tolist() == [[0.5, 0, 0], [0, 0, 0], [0, 3, 0]]
    com = center_of_mass(table)
    assert com[0] == pytest.approx([15.999 / (12.011 + 15.999), 0, 0])
    assert np.isnan(com[2]).all()


def test_centre_of_mass_needs_elements() -> None:
    with pytest.raises(DataError, match="needs the element of every point"):
        center_of_mass(make_table([2], z=None))
