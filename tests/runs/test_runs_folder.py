"""Run folders: numbers taken atomically, the configuration first and for good."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from graphwright.errors import RunError
from graphwright.runs import folder as folder_module
from graphwright.runs.folder import RunFolder, discard_run
from graphwright.runs.status import read_status

CONFIG = "task: geometry\nseed: 3\nmodel:\n  name: painn\n"
LEVELS = ("geometry", "painn")


def test_create_and_open(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, LEVELS, CONFIG)
    assert run.path == tmp_path / "geometry" / "painn" / "run_000"
    assert run.config_path.read_text() == CONFIG
    assert run.config_path.stat().st_mode & 0o777 == 0o444
    assert read_status(run).state == "created"
    again = RunFolder.open(run.path)
    assert again == run
    assert again.config == {"task": "geometry", "seed": 3, "model": {"name": "painn"}}


def test_numbers_go_up_and_are_not_reused(tmp_path: Path) -> None:
    parent = tmp_path / "geometry" / "painn"
    (parent / "run_007").mkdir(parents=True)
    (parent / "run_notes").mkdir()
    assert RunFolder.create(tmp_path, LEVELS, CONFIG).path.name == "run_008"
    (parent / "run_999").mkdir()
    assert RunFolder.create(tmp_path, LEVELS, CONFIG).path.name == "run_1000"


def create_at_once(root: str, barrier: Barrier, number: int) -> None:
    barrier.wait()
    RunFolder.create(root, LEVELS, f"task: geometry\nseed: {number}\n")


def test_twenty_processes_get_twenty_folders(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(20)
    workers = [
        context.Process(target=create_at_once, args=(str(tmp_path), barrier, number))
        for number in range(20)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 20
    runs = sorted((tmp_path / "geometry" / "painn").iterdir())
    assert [run.name for run in runs] == [f"run_{number:03d}" for number in range(20)]
    assert sorted(RunFolder.open(run).config["seed"] for run in runs) == list(range(20))


def test_named_runs(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, LEVELS, CONFIG, name="final")
    assert run.path.name == "final"
    with pytest.raises(RunError, match="a run named final exists already"):
        RunFolder.create(tmp_path, LEVELS, CONFIG, name="final")
    assert RunFolder.create(tmp_path, LEVELS, CONFIG, name="run_004").path.name == "run_004"


def test_a_discarded_run_takes_empty_levels_with_it(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    kept = RunFolder.create(root, ["geometry"], CONFIG, name="final").path
    first, second = (RunFolder.create(root, ["geometry", "painn"], CONFIG).path for _ in range(2))
    discard_run(first, root)
    assert second.is_dir()
    discard_run(second, root)
    assert list((root / "geometry").iterdir()) == [kept]
    discard_run(kept, root)
    assert list(tmp_path.iterdir()) == [root]
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("bad", ["", "..", ".hidden", "a/b", "a\\b", "a\nb", "run_000"])
def test_levels_that_are_no_folder_names(tmp_path: Path, bad: str) -> None:
    with pytest.raises(RunError, match="cannot be the name"):
        RunFolder.create(tmp_path, ["geometry", bad], CONFIG)
    assert list(tmp_path.iterdir()) == []


def test_no_run_inside_a_run(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, ["geometry"], CONFIG, name="painn")
    with pytest.raises(RunError, match="inside another run"):
        RunFolder.create(tmp_path, LEVELS, CONFIG)


@pytest.mark.parametrize("root", ["/proc/runs", "/dev/null/runs"])
def test_a_root_that_cannot_be_written(root: str) -> None:
    with pytest.raises(RunError, match="cannot write") as caught:
        RunFolder.create(root, LEVELS, CONFIG)
    assert root in str(caught.value)


def test_a_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("x")
    with pytest.raises(RunError, match="a file stands where"):
        RunFolder.create(tmp_path / "runs", LEVELS, CONFIG)


def test_permission_denied_when_taking_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "geometry" / "painn").mkdir(parents=True)
    monkeypatch.setattr(os, "mkdir", refuse)
    for name in (None, "final"):
        with pytest.raises(RunError, match="no permission to write"):
            RunFolder.create(tmp_path, LEVELS, CONFIG, name=name)


def test_open_names_the_runs_nearby(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, LEVELS, CONFIG)
    RunFolder.create(tmp_path, LEVELS, CONFIG)
    for missing in ("run_003", "run_003/checkpoints", ""):
        with pytest.raises(RunError, match="is not a run") as caught:
            RunFolder.open(tmp_path / "geometry" / "painn" / missing)
        assert "run_000, run_001" in str(caught.value)
    with pytest.raises(RunError, match="graphwright runs"):
        RunFolder.open(tmp_path / "genes" / "run_000")


def test_file_names(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, LEVELS, CONFIG)
    paths = {
        "provenance.json": run.provenance_path,
        "status.json": run.status_path,
        "events.jsonl": run.events_path,
        "startup.json": run.startup_path,
        "checkpoints": run.checkpoints,
        "bundle": run.bundle,
        "metrics.json": run.metrics_path,
        "predictions.parquet": run.predictions_path,
        "figures": run.figures,
        "log.txt": run.log_path,
        "mirrors": run.mirrors,
    }
    assert {name: path.relative_to(run.path).as_posix() for name, path in paths.items()} == {
        name: name for name in paths
    }


def test_json_files_and_the_configuration_stays(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, LEVELS, CONFIG)
    run.write_json("startup.json", {"phases": []})
    assert run.read_json("startup.json") == {"phases": []}
    with pytest.raises(RunError, match=r"there is no metrics\.json"):
        run.read_json("metrics.json")
    with pytest.raises(RunError, match="never changed"):
        run.write_json("config.yaml", {})
    assert run.config_path.read_text() == CONFIG


def test_the_root_is_found_again(tmp_path: Path) -> None:
    made = RunFolder.create(tmp_path, ["geometry", "painn", "dipole"], CONFIG)
    assert made.root == tmp_path
    assert RunFolder.open(made.path).root == tmp_path
    assert RunFolder.open(made.path, root=tmp_path / "geometry").root == tmp_path / "geometry"
    elsewhere = RunFolder.create(tmp_path, ["other"], CONFIG)
    assert RunFolder.open(elsewhere.path).root == tmp_path / "other"


@pytest.mark.parametrize(
    ("content", "message"),
    [("a: [", "not valid YAML"), ("- a\n", "not a mapping"), (b"\xff\xfe\xfa", "not valid YAML")],
)
def test_a_damaged_configuration(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RunError, match=message):
        folder_module.load_yaml(path)
    with pytest.raises(RunError, match="cannot read"):
        folder_module.load_yaml(tmp_path)
