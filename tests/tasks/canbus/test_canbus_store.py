"""Captures on disk: built once, found again, nothing across captures, copies read once."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from canbus_frames import capture, random_frames, real_capture
from canbus_reference import reference_graph
from reference_reader import read_slowly

from graphwright.errors import DataError
from graphwright.tasks.canbus.ahead import ahead
from graphwright.tasks.canbus.data_config import (
    CanbusData,
    EventConfig,
    FolderSource,
    SplitConfig,
    TrafficSource,
    WindowConfig,
)
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.splitting import split_windows
from graphwright.tasks.canbus.store import Loaded, open_or_build, open_store
from graphwright.tasks.canbus.store_build import build_store
from graphwright.tasks.canbus.window_stats import STATISTICS
from graphwright.tasks.canbus.windows import window_graphs

WINDOW = WindowConfig(size=50, stride=25)
FUZZED = "set_03/train_02_with_attacks/fuzzing-3.csv.gz"


def write_csv(frames: Frames, path: Path, extra: str = "") -> None:
    """A capture as can-train-and-test writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["timestamp,arbitration_id,data_field,attack"]
    for i in range(len(frames)):
        name = f"{frames.id[i]:08X}" if frames.extended[i] else f"{frames.id[i]:03X}"
        data = frames.payload[i].tobytes()[: frames.length[i]].hex().upper()
        lines.append(f"{frames.time[i]:.6f},{name},{data},{frames.attack[i]}")
    text = "\n".join(lines) + "\n" + extra
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        path.write_text(text, encoding="ascii")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Five captures, one of them a copy; the names are those of nobody's data set."""
    folder = tmp_path / "somewhere" / "set"
    one = random_frames(330, 1)
    write_csv(one, folder / "train_01_quiet/idle-1.csv")
    write_csv(one, folder / "train_02_loud/idle-1.csv.gz")
    write_csv(random_frames(280, 2), folder / "train_02_loud/brake lock-1.csv", "12,zz,00,0\n")
    write_csv(random_frames(120, 3), folder / "test_01_same/brake lock-2.csv.gz")
    write_csv(random_frames(40, 4), folder / "test_09_other/never-seen.csv")
    return folder


def data_of(folder: Path, **options: Any) -> CanbusData:
    return CanbusData(source=FolderSource(path=str(folder)), window=WINDOW, **options)


def in_memory(folder: Path, captures: list[Any], **options: Any) -> Loaded:
    given = {"window": WINDOW, "fields": 8, "deduplicate": True, "strict": False}
    build_store(captures, folder, **{**given, **options})
    return open_store(folder)


def test_every_field_is_that_of_the_windows(tmp_path: Path) -> None:
    parts = {"a-1": random_frames(330, 1), "b-1": random_frames(200, 2)}
    loaded = in_memory(tmp_path, [capture("train_1", n, f) for n, f in parts.items()])
    batch = loaded.store.batch(np.arange(len(loaded.store)))
    all_graphs = [window_graphs(frames, WINDOW) for frames in parts.values()]
    for field, name in (("id", "node_id"), ("x", "node_x")):
        expected = np.concatenate([getattr(g, name) for g in all_graphs])
        np.testing.assert_array_equal(batch.nodes[field].numpy(), expected)
    np.testing.assert_array_equal(
        batch.edges["edge_x"].numpy(), np.concatenate([g.edge_x for g in all_graphs])
    )
    for field, name in (
        *(("position", "start"), ("start_time", "start_time"), ("end_time", "end_time")),
        *(("attack_frames", "attack_frames"), ("stats", "stats")),
    ):
        expected = np.concatenate([getattr(g, name) for g in all_graphs])
        np.testing.assert_array_equal(batch.graphs[field].numpy(), expected)
    assert batch.graphs["capture"].tolist() == [0] * len(all_graphs[0]) + [1] * len(all_graphs[1])
    assert (batch.graphs["label"] == (batch.graphs["attack_frames"] > 0)).all()
    first = loaded.store.graph(0)
    np.testing.assert_array_equal(
        first.edge_index.numpy(), all_graphs[0].edge_index[:, : all_graphs[0].edge_counts[0]]
    )
    assert loaded.store.schema.index_dtype == "uint8"
    loaded.store.verify()


def test_the_table_of_captures(tmp_path: Path) -> None:
    frames = random_frames(110, 9)
    loaded = in_memory(tmp_path, [capture("train_1", "rpm up-12", frames, piece=13)])
    (info,) = loaded.captures
    assert (info.folder, info.name, info.attack) == ("train_1", "rpm up-12", "rpm up")
    assert (info.frames, info.windows, info.unused_frames) == (110, 3, 10)
    assert info.attack_frames == frames.attack.sum()
    assert info.ids == len(set(zip(frames.id.tolist(), frames.extended.tolist(), strict=True)))
    assert info.duration_s == pytest.approx(frames.time.max() - frames.time.min())
    assert info.frames_per_s == pytest.approx(110 / info.duration_s)
    assert info.backward_times == (np.diff(frames.time) < 0).sum() > 0
    assert info.rejected == 1
    assert loaded.rejected == {"count": 1, "reasons": {"for the test": 1}}
    assert "rpm up-12,line 1,for the test" in (tmp_path / "rejected.csv").read_text()
    assert len(loaded.node_names) == 10
    assert loaded.store.attributes["statistics"] == list(STATISTICS)
    json.dumps(loaded.store.attributes)


def test_no_window_reaches_across_captures(tmp_path: Path) -> None:
    parts = [replace(random_frames(74, i), id=np.full(74, i, np.uint32)) for i in range(3)]
    parts = [replace(f, extended=np.zeros(74, np.bool_)) for f in parts]
    loaded = in_memory(tmp_path, [capture("train", f"c-{i}", f) for i, f in enumerate(parts)])
    assert len(loaded.store) == 3
    assert loaded.store.node_counts().tolist() == [1, 1, 1]
    assert [info.unused_frames for info in loaded.captures] == [24, 24, 24]


def test_a_folder_from_elsewhere(dataset: Path, tmp_path: Path) -> None:
    loaded = open_or_build(data_of(dataset), tmp_path / "data")
    assert loaded.folders() == ("test_01_same", "test_09_other", "train_01_quiet", "train_02_loud")
    by_name = {f"{info.folder}/{info.name}": info for info in loaded.captures}
    assert len(by_name) == 4
    assert by_name["train_01_quiet/idle-1"].also == ("train_02_loud/idle-1",)
    assert by_name["test_09_other/never-seen"].windows == 0
    assert by_name["train_02_loud/brake lock-1"].rejected == 1
    assert loaded.rejected["count"] == 1
    assert len(loaded.dropped) == 1
    assert "train_02_loud/idle-1 has the content of train_01_quiet/idle-1" in loaded.dropped[0]


def test_a_folder_of_several_sets_is_read_whole(tmp_path: Path) -> None:
    for number, place in enumerate(("a/train_01/x-1", "b/train_01/x-1", "b/test_01/deep/y-1")):
        write_csv(random_frames(110, number), tmp_path / f"sets/{place}.csv")
    write_csv(random_frames(110, 0), tmp_path / "sets/b/train_02/x-3.csv.gz")
    loaded = open_or_build(data_of(tmp_path / "sets"), tmp_path / "data")
    assert [(info.folder, info.name, info.attack) for info in loaded.captures] == [
        ("deep", "b/test_01/y-1", "y"),
        ("train_01", "a/x-1", "x"),
        ("train_01", "b/x-1", "x"),
    ]
    assert loaded.dropped == ("train_02/b/x-3 has the content of train_01/a/x-1",)


def test_a_copy_of_a_training_capture_is_no_test(tmp_path: Path) -> None:
    frames = random_frames(100, 1)
    captures = [capture(f, "x-1", frames, sha256="same") for f in ("test_01", "train_01")]
    assert [i.folder for i in in_memory(tmp_path / "a", captures).captures] == ["train_01"]
    both = in_memory(tmp_path / "b", captures, deduplicate=False)
    assert [i.folder for i in both.captures] == ["test_01", "train_01"]


def test_it_is_built_once_for_all_splits(dataset: Path, tmp_path: Path) -> None:
    root, data = tmp_path / "data", data_of(dataset)
    first = open_or_build(data, root)
    stamp = (first.folder / "store/schema.json").stat().st_mtime_ns
    same = [
        replace(data, split=SplitConfig(by="capture", val=0.4)),
        replace(data, window=replace(WINDOW, id_free=True)),
    ]
    for other in same:
        again = open_or_build(other, root)
        assert again.folder == first.folder
        assert (again.folder / "store/schema.json").stat().st_mtime_ns == stamp
        assert again.store.digest == first.store.digest
    moved = dataset.parent / "moved"
    dataset.rename(moved)
    assert open_or_build(data_of(moved), root).folder == first.folder
    others = [
        replace(data_of(moved), window=replace(WINDOW, features="rich")),
        replace(data_of(moved), deduplicate=False),
    ]
    assert len({open_or_build(d, root).folder for d in (data_of(moved), *others)}) == 3
    write_csv(random_frames(60, 11), moved / "test_09_other/never-seen.csv")
    assert open_or_build(data_of(moved), root).folder != first.folder


def test_a_limit_takes_the_first_frames(dataset: Path, tmp_path: Path) -> None:
    source = FolderSource(path=str(dataset.parent), dataset="set", limit=60)
    loaded = open_or_build(CanbusData(source=source, window=WINDOW), tmp_path / "data")
    assert [info.frames for info in loaded.captures] == [60, 40, 60, 60]


def test_strict_stops_at_the_bad_row_and_leaves_no_store(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="rejected"):
        open_or_build(data_of(dataset, strict=True), tmp_path / "data")
    assert not list((tmp_path / "data").rglob("schema.json"))
    assert len(open_or_build(data_of(dataset), tmp_path / "data").store) > 0


def test_no_window_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no window of 50 frames in 1 captures \\(49 frames\\)"):
        in_memory(tmp_path, [capture("train_1", "a-1", random_frames(49))])


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        open_or_build(data_of(tmp_path / "nowhere"), tmp_path / "data")


def test_event_logs_keep_the_names_of_their_sources(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for folder in ("train_1", "test_1"):
        lines = ["time,source,flow,level,label"]
        lines += [
            f"{i},{rng.choice(['pump', 'tank', 'valve'])},{rng.normal():.3f},{i % 7},normal"
            for i in range(120)
        ]
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "day-1.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    source = FolderSource(path=str(tmp_path), events=EventConfig(fields=("flow", "level")))
    loaded = open_or_build(CanbusData(source=source, window=WINDOW), tmp_path / "data")
    assert sorted(loaded.sources) == ["pump", "tank", "valve"]
    assert loaded.store.column("x").shape[1] == 4
    assert sum(info.attack_frames for info in loaded.captures) == 0


def test_wide_windows_number_their_nodes_in_two_bytes(tmp_path: Path) -> None:
    wide = WindowConfig(size=600, stride=600)
    frames = replace(random_frames(600), id=np.arange(600, dtype=np.uint32))
    loaded = in_memory(tmp_path, [capture("train_1", "a-1", frames)], window=wide)
    assert loaded.store.schema.index_dtype == "int16"
    assert loaded.store.node_counts().tolist() == [600]


def test_ahead_keeps_order_passes_errors_on_and_stops() -> None:
    assert list(ahead(iter(range(50)), depth=2)) == list(range(50))

    def broken() -> Any:
        yield 1
        raise DataError("broken")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(DataError, match="broken"):
        next(items)
    made = []
    endless = ahead((made.append(i) or i for i in range(10**9)), depth=2)
    assert next(endless) == 0
    endless.close()
    assert len(made) < 10


def test_generated_traffic_needs_no_files(tmp_path: Path) -> None:
    data = CanbusData(source=TrafficSource(seconds=2.0))
    loaded = open_or_build(data, tmp_path)
    assert {info.folder.split("_")[0] for info in loaded.captures} == {"train", "test"}
    assert sum(info.attack_frames for info in loaded.captures) > 0
    assert sum(info.windows for info in loaded.captures) == len(loaded.store) > 100
    other = replace(data, source=TrafficSource(seconds=2.0, seed=1))
    assert open_or_build(other, tmp_path).store.digest != loaded.store.digest
    for by in ("capture", "time", "legacy_random"):
        splits = split_windows(loaded, SplitConfig(by=by, embargo_s=0.2), 0)
        assert all(len(rows) for rows in splits.values())


@pytest.mark.real_data
@pytest.mark.parametrize("features", ["basic", "rich"])
def test_what_is_prepared_is_what_a_slow_reference_finds(tmp_path: Path, features: Any) -> None:
    """Frames, attacks, ids, rejects, and graphs field by field, of a real capture with bad rows."""
    lines = gzip.decompress(real_capture(FUZZED).read_bytes()).splitlines(keepends=True)
    bad = [b"1.0,148,001122334455667788,1\n", b"spoilt\n"]
    lines = [lines[0], *lines[100_001:120_000], *bad, *lines[120_000:140_050]]
    path = tmp_path / "set/train_01/fuzzing-3.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(lines))
    expected, rejected = read_slowly(path, "can_train_and_test")
    window = WindowConfig(features=features)
    data = CanbusData(source=FolderSource(path=str(tmp_path / "set")), window=window)
    loaded = open_or_build(data, tmp_path / "data")
    (info,) = loaded.captures
    assert (info.frames, info.attack_frames) == (len(expected), int(expected.attack.sum()))
    assert info.attack_frames > 100
    assert info.ids == len(set(zip(expected.id.tolist(), expected.extended.tolist(), strict=True)))
    assert (info.windows, info.unused_frames) == divmod(len(expected), 100)
    with (loaded.folder / "rejected.csv").open(newline="") as file:
        found = [(int(row["where"].split()[1]), row["reason"]) for row in csv.DictReader(file)]
    assert found == rejected
    assert [line for line, _ in found] == [20_001, 20_002]
    for number in (0, 150, 199, 200, 201, 333, len(loaded.store) - 1):
        graph = loaded.store.graph(number)
        slow = reference_graph(expected, 100 * number, 100, features)
        assert graph.nodes["id"].tolist() == slow["node_id"]
        assert list(zip(*graph.edge_index.tolist(), strict=True)) == slow["edges"]
        fields = [(graph.nodes["x"], "node_x"), (graph.edges["edge_x"], "edge_x")]
        for values, name in [*fields, (graph.graphs["stats"], "stats")]:
            values = np.asarray(values).reshape(np.shape(slow[name]))
            np.testing.assert_allclose(values, np.float32(slow[name]), rtol=1e-6, atol=2e-6)
        for name in ("attack_frames", "start_time", "end_time"):
            assert float(graph.graphs[name]) == slow[name]
        assert int(graph.graphs["label"]) == (slow["attack_frames"] > 0)


@pytest.mark.real_data
def test_the_real_set_03(tmp_path: Path) -> None:
    path = real_capture("set_03")
    loaded = open_or_build(CanbusData(source=FolderSource(path=str(path), limit=5000)), tmp_path)
    assert len(loaded.captures) == 4
    assert [info.also for info in loaded.captures if info.also] == [
        ("train_02_with_attacks/accessory-3",)
    ]
    assert all(info.frames == 5000 and info.windows == 50 for info in loaded.captures)
    position = loaded.store.column("position").numpy()
    assert all(b > a or b == 0 for a, b in pairwise(position.tolist()))
