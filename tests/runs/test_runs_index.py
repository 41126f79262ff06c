"""Listing and naming runs, damaged ones among them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from graphwright.config.io import digest
from graphwright.errors import RunError
from graphwright.runs.folder import RunFolder
from graphwright.runs.index import find_runs, read_metrics, resolve_model, resolve_run
from graphwright.runs.status import Status, session, write_status


def make(
    root: Path, *levels: str, started: float | None = None, state: str = "failed"
) -> RunFolder:
    run = RunFolder.create(root, levels, f"task: {levels[0]}\nseed: 1\n")
    if started is not None:
        status = Status(state=state, started=started, ended=started + 5)  # type: ignore[arg-type]
        write_status(run, status)
    return run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make(tmp_path, "geometry", "painn", started=300.0)
    make(tmp_path, "geometry", "painn", started=100.0)
    make(tmp_path, "geometry", "gcn", started=400.0)
    make(tmp_path, "canbus", started=200.0)
    return tmp_path


def test_find_all_in_order(root: Path) -> None:
    found = find_runs(root)
    assert [run.path.relative_to(root).as_posix() for run in found] == [
        "canbus/run_000",
        "geometry/gcn/run_000",
        "geometry/painn/run_000",
        "geometry/painn/run_001",
    ]
    assert [run.task for run in find_runs(str(root), task="canbus")] == ["canbus"]
    assert found[1].levels == ("geometry", "gcn")
    assert (found[1].name, found[1].started, found[1].duration) == ("run_000", 400.0, 5.0)
    assert found[1].config == {"task": "geometry", "seed": 1}
    assert found[1].digest == digest({"task": "geometry", "seed": 1})
    assert found[1].problem is None


def test_numbers_sort_as_numbers(tmp_path: Path) -> None:
    for name in ("run_1000", "run_999", "run_010"):
        RunFolder.create(tmp_path, ["canbus"], "task: canbus\n", name=name)
    assert [run.name for run in find_runs(tmp_path)] == ["run_010", "run_999", "run_1000"]


def test_no_root_no_runs(tmp_path: Path) -> None:
    assert find_runs(tmp_path / "gone") == []
    with pytest.raises(RunError, match="there are no runs yet"):
        resolve_run("latest", tmp_path / "gone")


def test_metrics_and_state(tmp_path: Path) -> None:
    run = make(tmp_path, "geometry")
    with session(run):
        metrics = {"mae": 0.1, "worst": float("inf"), "note": "text", "none": None}
        run.write_json("metrics.json", {"primary": "mae", "split": "test", "metrics": metrics})
        assert find_runs(tmp_path)[0].state == "running"
    (summary,) = find_runs(tmp_path)
    assert summary.state == "finished"
    assert summary.metrics == {"mae": 0.1, "worst": float("inf")}
    assert summary.primary == "mae"
    assert read_metrics(run.metrics_path).split == "test"


def test_events_are_never_opened(root: Path) -> None:
    for summary in find_runs(root):
        os.mkfifo(summary.path / "events.jsonl")  # opening it would wait for ever
    assert len(find_runs(root)) == 4


def test_damaged_folders(root: Path) -> None:
    broken = {
        "status.json": ("{", "status.json is damaged"),
        "metrics.json": ("{", "metrics.json is damaged"),
    }
    expected = {}
    for file, (text, problem) in broken.items():
        run = make(root, "genes")
        (run.path / file).write_text(text)
        expected[run.path] = problem
    for content, problem in (("[1]", "has no metrics"), ('{"metrics": 3}', "has no metrics")):
        run = make(root, "genes")
        run.metrics_path.write_text(content)
        expected[run.path] = problem
    empty = RunFolder.create(root, ["genes"], "")
    expected[empty.path] = "names no task"
    folder = root / "genes" / "run_900" / "config.yaml"
    folder.mkdir(parents=True)
    expected[folder.parent] = "cannot read config.yaml"
    (root / "genes" / "run_901").mkdir()  # killed between mkdir and configuration
    (root / "genes" / "dangling").symlink_to(root / "nowhere")
    (root / "genes" / "loop").symlink_to(root)
    found = {run.path: run for run in find_runs(root, task="genes")}
    assert set(found) == set(expected)
    for path, problem in expected.items():
        assert problem in (found[path].problem or "")
    assert found[empty.path].digest is None
    assert found[folder.parent].state == "created"
    assert len(find_runs(root)) == 4 + len(expected)


def test_hidden_folders_and_copies_in_a_run_are_no_runs(root: Path) -> None:
    for place in (".mlflow-artifacts/geometry", "canbus/run_000/bundle"):
        (root / place).mkdir(parents=True)
        (root / place / "config.yaml").write_text("task: canbus\n")
    assert len(find_runs(root)) == 4


def test_a_folder_that_vanishes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def gone(path: str) -> object:
        if str(path).endswith("gcn"):
            raise FileNotFoundError(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", gone)
    assert len(find_runs(root)) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("geometry/painn/run_001", "geometry/painn/run_001"),
        ("geometry/painn/run_001/", "geometry/painn/run_001"),
        ("geometry/g", "geometry/gcn/run_000"),
        ("can", "canbus/run_000"),
        ("latest", "geometry/gcn/run_000"),
        ("geometry/painn/latest", "geometry/painn/run_000"),
        ("canbus/latest", "canbus/run_000"),
    ],
)
def test_resolve(root: Path, text: str, expected: str) -> None:
    run = resolve_run(text, root)
    assert run.path == root / expected
    assert run.root == root


def test_resolve_paths(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absolute = root / "canbus" / "run_000"
    assert resolve_run(str(absolute), "elsewhere").path == absolute
    monkeypatch.chdir(absolute.parent)
    assert resolve_run("run_000", root).path == absolute
    assert resolve_run("run_000", root).root == root
    monkeypatch.chdir(absolute)
    assert resolve_run(".", root).path == absolute


def test_a_bundle_is_a_model_where_it_lies(root: Path, tmp_path_factory) -> None:
    bundle = tmp_path_factory.mktemp("shipped")
    (bundle / "model.json").touch()
    assert resolve_model(str(bundle), root) == bundle
    assert resolve_model("can", root) == root / "canbus" / "run_000"
    with pytest.raises(RunError, match="no run 'zzz'"):
        resolve_model("zzz", root)


def test_never_started_runs_count_from_their_creation(root: Path) -> None:
    new = make(root, "nas")
    assert resolve_run("latest", root) == new


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("geometry/pain/run_001", "did you mean geometry/painn/run_001"),
        ("zzz", "no run 'zzz'\n"),
        ("", "no run ''"),
        ("nothing/latest", "no run 'nothing/latest'"),
        ("geometry/painn", "fits 2 runs: geometry/painn/run_000, geometry/painn/run_001"),
    ],
)
def test_what_does_not_resolve(root: Path, text: str, message: str) -> None:
    with pytest.raises(RunError) as caught:
        resolve_run(text, root)
    assert message in str(caught.value)


def test_many_fitting_runs_are_not_all_named(root: Path) -> None:
    for _ in range(8):
        make(root, "geometry", "painn")
    with pytest.raises(RunError, match="fits 10 runs") as caught:
        resolve_run("geometry/painn", root)
    assert "and 5 more" in str(caught.value)
    assert "geometry/painn/latest" in str(caught.value)
