"""Stores of architectures: built in pieces, continued after a kill, no row lost silently."""

from __future__ import annotations

import csv
import logging
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphwright.errors import DataError
from graphwright.launch.datasets import describe_store
from graphwright.runs.files import read_json
from graphwright.tasks.nas import store_build
from graphwright.tasks.nas.config import NasConfig
from graphwright.tasks.nas.data_config import LabelsConfig, NasData, SentinelConfig, TableSource
from graphwright.tasks.nas.encoding import encode, fit_encoding
from graphwright.tasks.nas.loaded import Loaded
from graphwright.tasks.nas.recipes import DATA
from graphwright.tasks.nas.row_encoders import SpaceEncoder
from graphwright.tasks.nas.store import open_or_build
from graphwright.tasks.nas.store_build import StoreBuild

SHARED = Path(__file__).parents[4] / "shared" / "data" / "nas"


def write_table(path: Path, count: int = 3000, *, bad_every: int = 0) -> NasData:
    """Cells of NAS-Bench-201 with a metric, of which 13 % are sentinels, and a feature."""
    rng = np.random.default_rng(0)
    digits = rng.integers(0, 5, (count, 6))
    loss = rng.gamma(5, 0.2, count)
    loss[rng.random(count) < 0.13] = 1e6
    loss[::100] = 1e12
    lines = ["arch,loss,params,twin"]
    for row in range(count):
        arch = "".join(map(str, digits[row]))
        arch = "nonsense" if bad_every and row % bad_every == 0 else arch
        label = "diverged" if row % 100 == 1 else f"{loss[row]:.6g}"
        params = "" if row % 100 == 2 else str(row * 1000)
        lines.append(f"{arch},{label},{params},{row // 2}")
    path.write_text("\n".join(lines) + "\n")
    source = TableSource(
        path=str(path), arch=("arch",), metrics=("loss",), features=("params",), group="twin"
    )
    return NasData(source=source)


def test_a_table_becomes_a_store_that_says_what_it_holds(tmp_path: Path) -> None:
    data = write_table(tmp_path / "t.csv", bad_every=1000)
    loaded = open_or_build(data, tmp_path / "root")
    assert len(loaded) == 2997
    assert loaded.layout.space == "nasbench201"
    assert loaded.rejected["count"] == 3
    with (loaded.folder / "rejected.csv").open() as file:  # type: ignore[operator]
        rows = list(csv.DictReader(file))
    assert [row["where"] for row in rows] == ["line 2", "line 1002", "line 2002"]
    attributes = loaded.store.attributes
    assert attributes["metrics"]["loss"]["failures"] == 30
    assert attributes["metrics"]["loss"]["max"] == pytest.approx(1e12, rel=1e-6)
    assert attributes["features"]["params"]["missing"] == 30
    assert attributes["operations"]["input"] == 2997
    targets = loaded.targets(np.arange(2))
    assert np.isnan(targets[0, 0])
    assert loaded.store.column("row")[0] == 1
    assert loaded.store.column("group")[:3].tolist() == [0, 1, 1]
    described = describe_store(loaded.folder)  # type: ignore[arg-type]
    assert described["graphs"] == 2997
    assert described["attribute operations"]["output"] == 2997


def test_models_see_labels_without_the_failures(tmp_path: Path) -> None:
    loaded = open_or_build(write_table(tmp_path / "t.csv"), tmp_path / "root")
    options = NasConfig(data=NasData(labels=LabelsConfig(sentinel=SentinelConfig(factor=10))))
    train = np.arange(0, 3000, 5)
    state = fit_encoding(loaded, train, options)
    batch = encode(loaded, np.arange(3000), state, options).batch(np.arange(3000))
    target, valid = batch.graphs["target"][:, 0], batch.graphs["valid"][:, 0] > 0
    raw = loaded.targets(np.arange(3000))[:, 0]
    assert valid.tolist() == (raw < 1e3).tolist()
    assert 0.1 < (~valid).float().mean() < 0.2
    assert (target[~valid] == 0).all()
    assert target[train][valid[train]].mean() == pytest.approx(0, abs=1e-5)
    assert target[train][valid[train]].std(correction=0) == pytest.approx(1, abs=1e-5)
    clean = raw[train][raw[train] < 1e3]
    assert np.allclose(target[valid], (raw[valid] - clean.mean()) / clean.std(), atol=1e-4)
    (words,) = state["labels"]["descriptions"]
    assert words.startswith(f"loss: {600 - len(clean)} of 600 labels are failures: ")


def test_a_store_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_table(tmp_path / "t.csv", 50)
    first = open_or_build(data, tmp_path / "root")
    monkeypatch.setattr(StoreBuild, "run", None)
    again = open_or_build(data, tmp_path / "root")
    assert again.store.digest == first.store.digest
    assert again.layout == first.layout
    relabelled = replace(data, labels=replace(data.labels, feasibility=True))
    assert open_or_build(relabelled, tmp_path / "root").folder == first.folder


def test_pieces_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_table(tmp_path / "t.csv", bad_every=7)
    whole = open_or_build(data, tmp_path / "one")
    monkeypatch.setattr(SpaceEncoder, "rows_at_once", 300)
    monkeypatch.setattr(store_build, "COMMIT_SECONDS", 0.0)
    parts = open_or_build(data, tmp_path / "many")
    assert same(whole, parts)


def same(one: Loaded, other: Loaded) -> bool:
    """Whether two stores hold the same and left out the same."""
    assert one.folder is not None
    assert other.folder is not None
    lists = [(folder / "rejected.csv").read_text() for folder in (one.folder, other.folder)]
    other.store.verify()
    return one.store.digest == other.store.digest and lists[0] == lists[1]


_CHILD = """
import sys, time
from pathlib import Path
from graphwright.tasks.nas import store_build
from graphwright.tasks.nas.data_config import NasData, TableSource
from graphwright.tasks.nas.row_encoders import SpaceEncoder
from graphwright.tasks.nas.store import open_or_build

store_build.COMMIT_SECONDS = 0.0
SpaceEncoder.rows_at_once = 100
encode = SpaceEncoder.__call__
def slow(self, rows):
    time.sleep(0.05)
    return encode(self, rows)
SpaceEncoder.__call__ = slow
columns = dict(arch=("arch",), metrics=("loss",), features=("params",), group="twin")
open_or_build(NasData(source=TableSource(path=sys.argv[1], **columns)), Path(sys.argv[2]))
"""


def test_a_killed_build_goes_on_where_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = write_table(tmp_path / "t.csv", bad_every=7)
    root = tmp_path / "root"
    command = [sys.executable, "-c", _CHILD, str(tmp_path / "t.csv"), str(root)]
    child = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while not list(root.glob("nas/*/building/store/schema.json")):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.15)
    child.send_signal(signal.SIGKILL)
    child.wait()
    (left,) = root.glob("nas/*/building/store/schema.json")
    before = read_json(left)["graphs"]
    assert 0 < before < 2571
    with caplog.at_level(logging.INFO, logger="graphwright"):
        finished = open_or_build(data, root)
    assert "going on at row" in caplog.text
    assert "MB of memory" in caplog.text
    assert not left.exists()
    assert same(open_or_build(data, tmp_path / "other"), finished)
    assert len(finished) == 3000 - 429


def test_a_row_refused_stops_a_strict_build(tmp_path: Path) -> None:
    data = replace(write_table(tmp_path / "t.csv", bad_every=1500), strict=True)
    with pytest.raises(DataError, match="not the text of a NAS-Bench-201 cell") as caught:
        open_or_build(data, tmp_path / "root")
    assert "line 2" in str(caught.value)


def test_limits_and_tables_without_anything(tmp_path: Path) -> None:
    data = write_table(tmp_path / "t.csv", 500)
    assert isinstance(data.source, TableSource)
    short = replace(data, source=replace(data.source, limit=120))
    assert len(open_or_build(short, tmp_path / "root")) == 120
    (tmp_path / "bad.csv").write_text("arch,loss\nx,1\n,2\n")
    nothing = TableSource(path=str(tmp_path / "bad.csv"), format="nasbench201", metrics=("loss",))
    with pytest.raises(DataError, match="no architecture of the table can be read") as caught:
        open_or_build(NasData(source=nothing), tmp_path / "root")
    assert "no architecture" in str(caught.value)
    with pytest.raises(DataError, match="no such table"):
        open_or_build(NasData(source=replace(nothing, path="nowhere.csv")), tmp_path / "root")


def test_groups_of_words_and_the_spaces_own(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("arch,acc,hash\n333333,1,aa\n000000,2,bb\n111111,3,aa\n")
    source = TableSource(path=str(path), metrics=("acc",), group="hash")
    group = open_or_build(NasData(source=source), tmp_path / "root").store.column("group")
    assert group[0] == group[2] != group[1]
    late = tmp_path / "late.csv"
    late.write_text("arch,acc,hash\n" + "333333,1,7\n" * 9000 + "000000,2,bb\n111111,3,8\n")
    loaded = open_or_build(NasData(source=replace(source, path=str(late))), tmp_path / "root")
    assert len(loaded) == 9001
    assert "canonical id" in next(iter(loaded.rejected["reasons"]))
    plain = TableSource(path=str(path), metrics=("acc",), group="")
    own = open_or_build(NasData(source=plain), tmp_path / "root")
    assert own.layout.group in ("", "int64")


def test_modules_by_the_name_of_their_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_networks.py").write_text(
        "from torch import nn\n"
        "def mlp(width, depth=1):\n"
        "    rows = [m for _ in range(depth) for m in (nn.Linear(width, width), nn.ReLU())]\n"
        "    return nn.Sequential(*rows)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "t.csv"
    rows = ["own_networks:mlp,8,,1", "own_networks:mlp,8,2,2", "own_networks:none,8,,3"]
    rows += ["own_networks:mlp,,,4", "own_networks:mlp,16,2,5"]
    path.write_text("arch,arg_width,arg_depth,acc\n" + "\n".join(rows) + "\n")
    data = NasData(source=TableSource(path=str(path), metrics=("acc",)))
    loaded = open_or_build(data, tmp_path / "root")
    assert loaded.layout.space == "module"
    assert loaded.rejected["count"] == 2
    assert loaded.names(np.array([0, 2])) == [
        'own_networks:mlp {"width": 8}',
        'own_networks:mlp {"depth": 2, "width": 16}',
    ]
    assert loaded.store.node_counts().tolist() == [4, 6, 6]
    assert loaded.layout.features == ("params", "flops")
    assert loaded.store.column("features")[:, 0].tolist() == [72, 144, 544]
    place = loaded.hyperparameters.index("in_features")
    attr = loaded.store.column("attr").numpy()
    known = loaded.hyper_RH[attr, place]
    assert known[np.isfinite(known)].tolist() == [8, 8, 8, 16, 16]


@pytest.mark.real_data
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no data at {SHARED}")
@pytest.mark.parametrize("name", sorted(set(DATA) - {"tiny"}))
def test_every_benchmark_is_read_whole(tmp_path: Path, name: str) -> None:
    data = DATA[name]()
    assert isinstance(data.source, TableSource)
    path = str(SHARED / data.source.path)
    data = replace(data, source=replace(data.source, path=path, limit=700))
    loaded = open_or_build(data, tmp_path)
    assert len(loaded) == 700
    assert loaded.rejected["count"] == 0
    found = replace(data, source=replace(data.source, arch=(), format="auto"))
    again = open_or_build(found, tmp_path)
    assert again.layout.space == loaded.layout.space
    assert again.store.digest == loaded.store.digest


@pytest.mark.real_data
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no data at {SHARED}")
def test_a_cell_of_nasbench201_takes_at_most_70_bytes(tmp_path: Path) -> None:
    data = DATA["nasbench201"]()
    assert isinstance(data.source, TableSource)
    path = str(SHARED / data.source.path)
    loaded = open_or_build(replace(data, source=replace(data.source, path=path)), tmp_path)
    assert loaded.folder is not None
    size = sum(file.stat().st_size for file in (loaded.folder / "store").iterdir())
    assert size / len(loaded) <= 70
    assert len(loaded) == 15_625
