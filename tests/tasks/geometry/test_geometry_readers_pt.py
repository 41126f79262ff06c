"""Structures from a folder of the old per-graph files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.geometry.readers import read_structures
from graphwright.tasks.geometry.structures import StructureTable


class Custom:
    """Something that cannot be loaded without unpickling."""


def graph(n: int = 4, **changes: Any) -> dict[str, Any]:
    torch.manual_seed(n)
    content = {
        "node_features": torch.randn(n, 3),
        "edge_index": torch.tensor([[0, 1], [1, 0]]),
        "edge_attr": torch.randn(2, 5),
        "target": torch.tensor([1.0, 2.0, 3.0]),
    }
    return {name: value for name, value in (content | changes).items() if value is not None}


def save(folder: Path, **contents: Any) -> Path:
    for name, content in contents.items():
        torch.save(content, folder / f"{name}.pt")
    return folder


def read(folder: Path, target: str | None = "center_of_mass", **options: Any) -> StructureTable:
    options.setdefault("rejects", Rejects(None, strict=True))
    return read_structures(folder, target=target, **options)


def test_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    first, second = graph(4), graph(6)
    table = read(save(tmp_path, b=second, a=first))
    assert table.names.tolist() == ["a", "b"]
    assert table.counts.tolist() == [4, 6]
    assert torch.equal(torch.from_numpy(table.pos[4:]).float(), second["node_features"])
    assert table.target is not None
    assert table.target.tolist() == [[1, 2, 3]] * 2
    assert table.target_is_position


def test_the_key_of_the_target(tmp_path: Path) -> None:
    folder = save(tmp_path, a=graph(dipole=torch.ones(3)))
    table = read(folder, "dipole")
    assert not table.target_is_position
    assert read(folder, "target").target_is_position
    assert not read(folder, "target", target_kind="vector").target_is_position
    assert read(folder, None).target is None


def test_bad_files_are_named_with_their_reason(tmp_path: Path) -> None:
    save(
        tmp_path,
        good=graph(),
        custom=graph(extra=Custom()),
        flat=graph(node_features=torch.randn(4)),
        wide=graph(node_features=torch.randn(4, 5)),
        few=graph(1, edge_index=None, edge_attr=None),
        holes=graph(node_features=torch.full((2, 3), float("nan"))),
        edges=graph(edge_index=torch.tensor([[0, 9], [1, 0]])),
        sides=graph(edge_index=torch.tensor([0, 1])),
        rows=graph(edge_attr=torch.randn(3, 5)),
        answer=graph(target=None),
        length=graph(target=torch.ones(2)),
        listed=graph(target=[1.0, 2.0, 3.0]),
        tensor=torch.ones(3),
    )
    (tmp_path / "cut.pt").write_bytes((tmp_path / "good.pt").read_bytes()[:200])
    (tmp_path / "empty.pt").write_bytes(b"")
    rejects = Rejects(None)
    assert read(tmp_path, rejects=rejects).names.tolist() == ["good"]
    reasons = rejects.by_reason()
    assert rejects.count == 14
    for reason in (
        "it holds Python objects; only plain tensors are loaded",
        "positions: shape 4, expected nx3",
        "positions: shape 4x5, expected nx3",
        "fewer than 2 points",
        "non-finite position",
        "edge_index: points to a node that does not exist",
        "edge_index: shape 2, expected 2xE",
        "edge_attr: not one row per edge",
        "no 'target'",
        "target: shape 2, expected 3",
        "'target' is a list, not a tensor",
        "a Tensor, expected a dict of tensors",
        "damaged or not a .pt file (EOFError)",
    ):
        assert reasons.get(reason) == 1, (reason, reasons)


def test_strict_stops(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only plain tensors"):
        read(save(tmp_path, a=graph(extra=Custom())))


def test_a_folder_without_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.pt file"):
        read(tmp_path)


def test_a_folder_of_bad_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no usable structure: no 'target'"):
        read(save(tmp_path, a=graph(target=None)), rejects=Rejects(None))
