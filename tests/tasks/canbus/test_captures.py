"""Captures in folders: names, sources that were never seen, repetitions."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from graphwright.errors import DataError
from graphwright.tasks.canbus import captures
from graphwright.tasks.canbus.captures import find_captures

HEADER = b"timestamp,arbitration_id,data_field,attack\n"


def put(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = HEADER + b"%d.0,123,00,0\n" % value
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def test_layout_of_another_source(tmp_path: Path) -> None:
    put(tmp_path / "fleet/sub/test_01_lorries/brake hack_7.csv", 1)
    put(tmp_path / "fleet/train_01_attack_free/calm-12.csv.gz", 2)
    put(tmp_path / "fleet/.hidden/x.csv", 3)
    (tmp_path / "fleet/README.md").write_text("no capture")
    found = find_captures(tmp_path, datasets=["fleet"])
    assert [(c.folder, c.name, c.attack) for c in found.kept] == [
        ("train_01_attack_free", "calm-12", "calm"),
        ("test_01_lorries", "brake hack_7", "brake hack"),
    ]
    assert found.dropped == ()
    wanted = find_captures(tmp_path, folders=["test_01_lorries"])
    assert [c.name for c in wanted.kept] == ["brake hack_7"]


def test_one_file_is_a_capture_too(tmp_path: Path) -> None:
    put(tmp_path / "drive.log", 1)
    (found,) = find_captures(tmp_path / "drive.log").kept
    assert (found.name, found.attack, found.folder) == ("drive", "drive", tmp_path.name)


def test_repetitions_are_dropped_in_favour_of_training(tmp_path: Path) -> None:
    put(tmp_path / "a/test_01/same-1.csv", 1)
    put(tmp_path / "a/train_02/same-3.csv.gz", 1)  # packed otherwise, the same content
    put(tmp_path / "b/train_01/other-3.csv", 1)
    put(tmp_path / "b/test_01/mine-1.csv", 2)
    found = find_captures(tmp_path)
    assert [c.name for c in found.kept] == ["other-3", "mine-1"]
    assert [(d.capture.name, d.kept.name) for d in found.dropped] == [
        ("same-3", "other-3"),
        ("same-1", "other-3"),
    ]
    assert found.report()[1] == (
        "a/test_01/same-1.csv has the content of b/train_01/other-3.csv: dropped"
    )


def test_hashes_are_kept_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a/train_01/one-1.csv", 1)
    first = find_captures(tmp_path / "a", cache=tmp_path / "cache").kept
    hashed: list[Path] = []

    def watched(path: Path) -> str:
        hashed.append(path)
        return "0" * 64

    monkeypatch.setattr(captures, "content_hash", watched)
    assert find_captures(tmp_path / "a", cache=tmp_path / "cache").kept == first
    assert hashed == []
    put(tmp_path / "a/train_01/one-1.csv", 1_000)
    find_captures(tmp_path / "a", cache=tmp_path / "cache")
    assert hashed == [tmp_path / "a/train_01/one-1.csv"]
    (tmp_path / "cache/canbus_hashes.json").write_text("{not json")
    find_captures(tmp_path / "a", cache=tmp_path / "cache")
    assert len(hashed) == 2


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "set_01").mkdir()
    with pytest.raises(DataError, match="does not exist"):
        find_captures(tmp_path / "nowhere")
    with pytest.raises(DataError, match="did you mean set_01"):
        find_captures(tmp_path, datasets=["set01"])
    with pytest.raises(DataError, match="no capture"):
        find_captures(tmp_path)


REAL = Path(__file__).parents[4] / "shared/data/canbus/can-train-and-test"


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.exists(), reason="the captures are not on this machine")
def test_real_folders_repeat_three_captures() -> None:
    found = find_captures(REAL)
    assert len(found.kept) == 19
    assert sorted(d.capture.name for d in found.dropped) == [
        "accessory-3",
        "accessory-3",
        "accessory-4",
    ]
    assert {d.kept.folder for d in found.dropped} == {"train_01_attack_free"}
