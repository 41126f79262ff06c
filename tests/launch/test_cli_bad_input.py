"""What a user can get wrong: a clear message, exit 2, and nothing written under a final name."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from graphwright.config.presets import resolve_preset
from graphwright.launch.local import create_run
from graphwright.runs.files import write_json_atomic


class Trap:
    """Unpickling it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.mark,)


def assert_refused(result, place, *texts: str, left: set[Path] | None = None) -> None:
    """Exit 2, each text in the message, no traceback, and no run, store or half file."""
    assert result.code == 2, result.err
    assert "Traceback" not in result.err
    assert result.err.startswith("error: ")
    for text in texts:
        assert text in result.err
    assert place.run_folders() == []
    assert list(place.data.rglob("schema.json")) == []
    files = {path for path in place.files() if path.is_file()} - (left or set())
    assert {path.name for path in files} <= {".lock", "rejected.csv", "rejected.json"}


# -- configuration -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (["geometri/tiny"], ["geometri: no such task", "did you mean geometry"]),
        (["geometry/tinny"], ["no such preset", "did you mean tiny"]),
        (["geometry/tiny", "model.hiden_dim=8"], ["model.hiden_dim", "did you mean model.hidden"]),
        (["geometry/tiny", "hidden_dim=8"], ["hidden_dim", "did you mean model.hidden_dim"]),
        (["geometry/tiny", "training.epochs=many"], ["training.epochs", "many", "integer"]),
        (["geometry/tiny", "training.epochs=0"], ["training.epochs=0", "greater than 0"]),
        (["geometry/tiny", "training.epochs=1.5"], ["training.epochs=1.5"]),
        (["geometry/tiny", "model=pain"], ["model=pain", "did you mean painn"]),
        (["geometry/tiny", "training.epochs=1,2"], ["training.epochs=1,2", "one value"]),
        (["geometry/tiny", "training.epochs"], ["training.epochs", "key=value"]),
        (["geometry/tiny", "data.split.val=0.6", "data.split.test=0.5"], ["nothing to train"]),
        (["geometry/tiny", "training.precision=16-mixed"], ["16-mixed", "CPU"]),
        (["geometry/tiny", "--reference", "gnc"], ["gnc", "did you mean gcn"]),
        (["--config", "absent.yaml"], ["absent.yaml"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_configuration(cli, place, arguments: list[str], texts: list[str]) -> None:
    cpu = () if arguments[0] == "--config" or len(arguments) < 2 else ("training.device=cpu",)
    result = cli("train", *arguments, *cpu, *place.roots)
    assert_refused(result, place, *texts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: [", "not valid YAML"),
        ("- 1", "mapping"),
        ("seed: 1", "task: is required"),
        ("task: geometry\nseeds: 1", "did you mean seed"),
        ("task: geometry\nseed: '1'", "seed='1'"),
        ("task: geometry\nschema_version: 99", "schema version 99"),
        ("task: geometry\ntraining: {optimizer: {lr: .nan}}", "finite"),
    ],
)
def test_wrong_config_file(cli, place, tmp_path: Path, text: str, message: str) -> None:
    saved = tmp_path / "saved.yaml"
    saved.write_text(text)
    result = cli("train", "--config", saved, *place.roots)
    assert_refused(result, place, message, str(saved), left={saved})


# -- data to train on ----------------------------------------------------------------------------


def _train_on(cli, place, path: Path, *overrides: str):
    names = (f"data.source.path={path}", "data.source.target=center", *overrides)
    common = ("tracking.mlflow=off", "training.epochs=1", "model.hidden_dim=8")
    return cli("train", "geometry/mesh_scans", *common, *names, *place.roots)


@pytest.fixture
def training_file(structures, tmp_path: Path):
    """Writes twenty small clouds with a target, and whatever is given instead."""

    def write(**changes: np.ndarray) -> Path:
        rng = np.random.default_rng(0)
        arrays = {
            "pos": rng.normal(size=(200, 3)),
            "offsets": np.arange(0, 201, 10),
            "center": rng.normal(size=(20, 3)),
        }
        return structures(tmp_path / "train.npz", **{**arrays, **changes})

    return write


def test_missing_file(cli, place, tmp_path: Path) -> None:
    path = tmp_path / "nowhere.npz"
    assert_refused(_train_on(cli, place, path), place, "no such file", str(path))


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({"pos": np.zeros((200, 2))}, ["(200, 2)"]),
        ({"center": np.zeros((19, 3))}, ["center", "(20, 3)"]),
        ({"offsets": np.arange(0, 191, 10)}, ["offsets"]),
        ({"offsets": np.arange(0, 201, 10)[::-1]}, ["offsets", "monotone"]),
        ({"pos": np.full((200, 3), "a")}, ["numbers"]),
        ({"pos": np.full((200, 3), np.nan)}, ["no usable structure"]),
        ({"z": np.full(200, 150)}, ["no usable structure"]),
        ({"center": np.zeros((20, 3)), "pos": np.zeros((200, 3))}, ["target"]),
    ],
    ids=["pos", "target", "offsets", "falling", "text", "all NaN", "all unknown", "zero"],
)
def test_wrong_arrays(cli, place, training_file, changes, texts: list[str]) -> None:
    path = training_file(**changes)
    result = _train_on(cli, place, path)
    if "target" in texts:  # a store may be kept: the data are sound, the question is not
        assert result.code == 2
        assert place.run_folders() == []
    else:
        assert_refused(result, place, *texts, left={path})


@pytest.mark.parametrize("fault", ["NaN position", "unknown element"])
def test_strict_stops_at_a_bad_structure(cli, place, training_file, fault: str) -> None:
    pos, z = np.random.default_rng(0).normal(size=(200, 3)), np.full(200, 6)
    if fault == "NaN position":
        pos[57] = np.nan
    else:
        z[57] = 0
    path = training_file(pos=pos, z=z)
    result = _train_on(cli, place, path, "data.strict=true")
    reason = "non-finite position" if fault == "NaN position" else fault
    assert_refused(result, place, "structure 5", reason, str(path), left={path})


def test_wrong_target_name(cli, place, training_file) -> None:
    path = training_file()
    result = _train_on(cli, place, path, "data.source.target=centre")
    assert_refused(result, place, "centre", "did you mean center", left={path})


@pytest.mark.parametrize("kind", ["cut", "text", "pickled array"])
def test_damaged_training_file(cli, place, training_file, tmp_path: Path, kind: str) -> None:
    mark, path = tmp_path / "mark", training_file()
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:3000])
    elif kind == "text":
        path.write_text("x y z\n")
    else:
        np.savez(path, pos=np.array([Trap(mark)], dtype=object), offsets=np.array([0, 1]))
    result = _train_on(cli, place, path)
    assert_refused(result, place, str(path), left={path})
    assert not mark.exists()


def test_truncated_store(cli, place, tiny) -> None:
    assert cli("data", "prepare", "geometry/tiny", *tiny, "--data-root", place.data).code == 0
    (store,) = [path.parent for path in place.data.rglob("schema.json")]
    array = store / "node.pos.bin"
    array.write_bytes(array.read_bytes()[:-100])
    before = place.files()
    for command in (
        ["train", "geometry/tiny", *tiny, *place.roots],
        ["data", "inspect", store],
        ["data", "inspect", store.parent],
    ):
        result = cli(*command)
        assert result.code == 2
        assert "node.pos.bin" in result.err
        assert "Traceback" not in result.err
        assert place.run_folders() == []
    assert {path for path in place.files() - before if path.is_file()} == set()


# -- checkpoints and bundles ---------------------------------------------------------------------


@pytest.fixture
def unfinished(finished, place, tiny):
    """A run that has been created, with room for a checkpoint."""
    run = create_run(resolve_preset("geometry/tiny", [*tiny, "seed=5"]), place.runs)
    run.checkpoints.mkdir()
    return run


def _assert_cannot_resume(cli, place, run, *texts: str) -> None:
    checkpoint = (run.checkpoints / "last.ckpt").read_bytes()
    result = cli("resume", run.path, *place.roots)
    assert result.code == 2, result.err
    assert "Traceback" not in result.err
    for text in (*texts, "last.ckpt"):
        assert text in result.err
    assert (run.checkpoints / "last.ckpt").read_bytes() == checkpoint
    assert {"metrics.json", "predictions.parquet", "bundle"}.isdisjoint(
        path.name for path in run.path.iterdir()
    )
    assert [path for path in place.files() if ".tmp" in path.name] == []


def test_checkpoint_of_another_configuration(cli, place, finished, unfinished) -> None:
    shutil.copy(finished.run.checkpoints / "last.ckpt", unfinished.checkpoints)
    _assert_cannot_resume(cli, place, unfinished, "belongs to configuration")


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_pickle_offered_as_a_checkpoint(
    cli, place, unfinished, tmp_path: Path, writer: str
) -> None:
    mark, path = tmp_path / "mark", unfinished.checkpoints / "last.ckpt"
    if writer == "pickle":
        path.write_bytes(pickle.dumps({"format": 1, "model": Trap(mark)}))
    else:
        torch.save({"format": 1, "model": Trap(mark)}, path)
    _assert_cannot_resume(cli, place, unfinished)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 but no archive", b"\x80"])
def test_damaged_checkpoint(cli, place, unfinished, content: bytes) -> None:
    (unfinished.checkpoints / "last.ckpt").write_bytes(content)
    _assert_cannot_resume(cli, place, unfinished)


def test_truncated_checkpoint(cli, place, finished, unfinished) -> None:
    whole = (finished.run.checkpoints / "last.ckpt").read_bytes()
    for length in (len(whole) // 2, len(whole) - 10):
        (unfinished.checkpoints / "last.ckpt").write_bytes(whole[:length])
        _assert_cannot_resume(cli, place, unfinished)


@pytest.fixture
def bundle(finished, tmp_path: Path) -> Path:
    """A copy of a bundle, to be spoilt."""
    return Path(shutil.copytree(finished.run.bundle, tmp_path / "bundle"))


def _assert_cannot_predict(cli, bundle: Path, source: Path, *texts: str) -> None:
    out = source.with_name("out.csv")
    result = cli("predict", bundle, source, "-o", out)
    assert result.code == 2, result.err
    assert "Traceback" not in result.err
    for text in texts:
        assert text in result.err
    assert not list(source.parent.glob("*out.csv*"))


def test_pickle_offered_as_weights(cli, bundle: Path, structures, tmp_path: Path) -> None:
    mark, source = tmp_path / "mark", structures(tmp_path / "mine.npz")
    for content in (pickle.dumps(Trap(mark)), pickle.dumps(Trap(mark), protocol=0)):
        (bundle / "weights.safetensors").write_bytes(content)
        _assert_cannot_predict(cli, bundle, source, "not a safetensors file", "pickle")
    torch.save({"weight": Trap(mark)}, bundle / "weights.safetensors")
    _assert_cannot_predict(cli, bundle, source, "not a safetensors file", "pickle")
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["absent", "cut", "changed"])
def test_damaged_weights(cli, bundle: Path, structures, tmp_path: Path, kind: str) -> None:
    path = bundle / "weights.safetensors"
    content = path.read_bytes()
    path.unlink()
    if kind == "cut":
        path.write_bytes(content[:-5])
    elif kind == "changed":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    _assert_cannot_predict(cli, bundle, structures(tmp_path / "mine.npz"), "weights")


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "{}", '{"format": 1}', '{"format": 1, "config": []}', '{"format": 2}'],
)
def test_damaged_description(cli, bundle: Path, structures, tmp_path: Path, content: str) -> None:
    (bundle / "model.json").write_text(content)
    _assert_cannot_predict(cli, bundle, structures(tmp_path / "mine.npz"), "model.json")


def test_weights_of_another_model(cli, bundle: Path, structures, tmp_path: Path) -> None:
    from graphwright.runs.files import read_json

    description = read_json(bundle / "model.json")
    description["config"]["model"]["hidden_dim"] = 4
    write_json_atomic(bundle / "model.json", description)
    _assert_cannot_predict(cli, bundle, structures(tmp_path / "mine.npz"), "do not fit")


# -- input to predict on -------------------------------------------------------------------------


def test_wrong_input_to_predict(cli, finished, structures, tmp_path: Path) -> None:
    run = finished.run.path
    _assert_cannot_predict(cli, run, tmp_path / "nowhere.npz", "no such file", "nowhere.npz")
    flat = structures(tmp_path / "flat.npz", pos=np.zeros((60, 2)))
    _assert_cannot_predict(cli, run, flat, "(60, 2)")
    empty = structures(tmp_path / "nan.npz", pos=np.full((60, 3), np.nan))
    _assert_cannot_predict(cli, run, empty, "no usable structure")
    other = tmp_path / "notes.txt"
    other.write_text("hello")
    _assert_cannot_predict(cli, run, other, ".txt", "npz")


def test_predictions_need_a_known_suffix(cli, finished, structures, tmp_path: Path) -> None:
    source = structures(tmp_path / "mine.npz")
    result = cli("predict", finished.run.path, source, "-o", tmp_path / "out.xls")
    assert result.code == 2
    assert ".csv or .parquet" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.npz"]


def test_unknown_element_at_predict(cli, place, training_file, structures, tmp_path: Path) -> None:
    carbon = training_file(z=np.full(200, 6))
    assert _train_on(cli, place, carbon).code == 0
    (run,) = place.run_folders()
    z = np.full(60, 6)
    z[20] = 79
    mixed = structures(tmp_path / "mixed.npz", z=z)
    result = cli("predict", run, mixed, "-o", tmp_path / "some.csv", *place.roots)
    assert result.code == 0, result.err
    assert "mixed:1" in result.err
    assert "not trained on" in result.err
    assert (tmp_path / "some.csv").read_text().count("\n") == 3
    assert "mixed:1" in (tmp_path / "some.csv.rejected.csv").read_text()
    gold = structures(tmp_path / "gold.npz", z=np.full(60, 79))
    _assert_cannot_predict(cli, run, gold, "elements the model was trained on")
    bare = structures(tmp_path / "bare.npz")
    _assert_cannot_predict(cli, run, bare, "needs elements")


def test_no_run_there(cli, place) -> None:
    for command in ("resume", "evaluate", "report", "compare"):
        result = cli(command, "geometry/none", "--runs-root", place.runs)
        assert result.code == 2
        assert "geometry/none" in result.err
    assert place.files() == set()
