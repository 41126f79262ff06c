"""The task as the floor sees it: splits, state, evaluation, rotated data, raw input."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphwright.config.presets import resolve_preset
from graphwright.errors import ConfigError, DataError
from graphwright.tasks.geometry.arrays import structures_from_arrays
from graphwright.tasks.geometry.config import GeometryConfig
from graphwright.tasks.geometry.data_config import FileSource
from graphwright.tasks.geometry.graphs import build_graphs
from graphwright.tasks.geometry.metrics import random_rotations
from graphwright.tasks.geometry.sources import Rotated
from graphwright.tasks.geometry.task import GeometryTask
from graphwright.training.infer import over_source
from graphwright.training.task import TaskData

ELEMENTS = np.array([1, 6, 8])


def tiny(*overrides: str) -> Any:
    return resolve_preset("geometry/tiny", ["data.source.count=20", *overrides])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[GeometryTask, TaskData]:
    task = GeometryTask(tiny(), tmp_path_factory.mktemp("data"))
    return task, task.split(task.load())


def write_molecules(path: Path, *, groups: int | None = None, odd: int = 0) -> Path:
    """30 molecules of 5 atoms; the last `odd` have an iodine atom."""
    rng = np.random.default_rng(0)
    z = rng.choice(ELEMENTS, size=(30, 5))
    z[30 - odd :, 0] = 53
    arrays: dict[str, Any] = {
        "offsets": np.arange(31) * 5,
        "pos": rng.normal(size=(150, 3)),
        "z": z.ravel().astype(np.uint8),
        "dipole": rng.normal(size=(30, 3)),
        "id": np.array([f"m{i}" for i in range(30)]),
    }
    if groups:
        arrays["group"] = np.arange(30) % groups
    np.savez(path, **arrays)
    return path


def molecules(path: Path, **data: Any) -> GeometryConfig:
    base = tiny()
    source = FileSource(path=str(path), target="dipole", target_kind="vector", target_unit="a.u.")
    return dataclasses.replace(base, data=dataclasses.replace(base.data, source=source, **data))


def test_levels_come_from_the_configuration(tmp_path: Path) -> None:
    assert tiny("model=gcn").levels() == ("geometry", "scans", "center_of_mass", "gcn")
    config = molecules(tmp_path / "my set.v2.npz")
    assert config.levels() == ("geometry", "my_set_v2", "dipole", "painn")


def test_split_is_disjoint_and_fitted_on_training_rows(
    prepared: tuple[GeometryTask, TaskData],
) -> None:
    _, data = prepared
    index = {name: set(source.indices.tolist()) for name, source in data.sources.items()}  # type: ignore[attr-defined]
    assert set.union(*index.values()) == set(range(20))
    assert sum(map(len, index.values())) == 20
    train = data.sources["train"].batch(np.arange(16)).graphs["target"]  # type: ignore[attr-defined]
    assert data.state["scale"] == pytest.approx(float(train.square().sum(1).mean().sqrt()))


def test_second_load_opens_the_same_store(prepared: tuple[GeometryTask, TaskData]) -> None:
    task, data = prepared
    stamp = (Path(data.summary["store"]) / "store" / "schema.json").stat().st_mtime_ns
    again = task.split(task.load())
    assert (again.digest, again.split_digest) == (data.digest, data.split_digest)
    assert (Path(data.summary["store"]) / "store" / "schema.json").stat().st_mtime_ns == stamp


def test_groups_stay_together(tmp_path: Path) -> None:
    config = molecules(write_molecules(tmp_path / "a.npz", groups=10))
    data = GeometryTask(config, tmp_path / "data").split(
        GeometryTask(config, tmp_path / "data").load()
    )
    groups = [set((s.indices % 10).tolist()) for s in data.sources.values()]  # type: ignore[attr-defined]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]


def test_changed_file_is_another_data_set(tmp_path: Path) -> None:
    path = write_molecules(tmp_path / "a.npz")
    task = GeometryTask(molecules(path), tmp_path / "data")
    first = task.load().folder
    write_molecules(path, odd=3)
    assert task.load().folder != first


def test_held_out_structures_with_new_elements_are_left_out(tmp_path: Path) -> None:
    task = GeometryTask(molecules(write_molecules(tmp_path / "a.npz", odd=1)), tmp_path / "data")
    loaded = task.load()
    for seed in range(40):  # until the odd one is held out
        base = task.config.data
        split = dataclasses.replace(base.split, seed=seed)
        task.config = dataclasses.replace(task.config, data=dataclasses.replace(base, split=split))
        data = task.split(loaded)
        if 53 not in data.state["elements"]:
            break
    assert data.state["elements"] == ELEMENTS.tolist()
    assert data.summary["held_out_with_unknown_elements"] == 1
    assert sum(data.summary["splits"].values()) == 29


def test_evaluation_of_a_perfect_and_a_zero_model(prepared: tuple[GeometryTask, TaskData]) -> None:
    task, data = prepared

    def perfect(source: Any) -> dict[str, np.ndarray]:
        batch = source.batch(np.arange(len(source)))
        vectors = (batch.graphs["target"] + batch.graphs["origin"]).double().numpy()
        return {f"predicted_{axis}": vectors[:, i] for i, axis in enumerate("xyz")}

    evaluation = task.evaluate(perfect, data, "train")
    metrics = evaluation.report["metrics"]
    assert metrics["displacement_mean"] == pytest.approx(0, abs=1e-12)
    assert metrics["rotated_displacement_mean"] == pytest.approx(0, abs=1e-12)
    table = evaluation.report["tables"][0]
    rows = {row[0]: row[1:] for row in table["rows"]}
    assert set(rows) == {"painn", "centroid of the points", "convex-hull centroid"}
    # the centroid's error is the length of the target, whatever the rotation
    target = data.sources["train"].batch(np.arange(16)).graphs["target"].numpy()  # type: ignore[attr-defined]
    expected = np.linalg.norm(target, axis=1).mean()
    assert rows["centroid of the points"][0] == pytest.approx(expected)
    assert rows["centroid of the points"][2] == pytest.approx(expected)
    assert rows["convex-hull centroid"][0] == pytest.approx(rows["convex-hull centroid"][2])
    columns = evaluation.predictions
    np.testing.assert_allclose(columns["target_x"], columns["predicted_x"])
    assert len(set(columns["id"])) == 16


def test_rotated_source_turns_points_targets_and_origins(
    prepared: tuple[GeometryTask, TaskData],
) -> None:
    _, data = prepared
    source = data.sources["train"]
    matrices = random_rotations(len(source), 3)
    index = np.array([4, 1])
    plain, turned = source.batch(index), Rotated(source, matrices).batch(index)
    for b, row in enumerate(index):
        of_b = plain.node_graph == b  # type: ignore[attr-defined]
        for name in ("target", "origin"):
            expected = matrices[row] @ plain.graphs[name][b].numpy()  # type: ignore[attr-defined]
            np.testing.assert_allclose(turned.graphs[name][b].numpy(), expected)
        expected = plain.nodes["pos"][of_b].numpy() @ matrices[row].T  # type: ignore[attr-defined]
        np.testing.assert_allclose(turned.nodes["pos"][of_b].numpy(), expected, atol=1e-12)
    assert len(Rotated(source, matrices)) == len(source)
    np.testing.assert_array_equal(Rotated(source, matrices).sizes(), source.sizes())


def test_augmentation_turns_the_answer_with_the_points(
    prepared: tuple[GeometryTask, TaskData],
) -> None:
    task, data = prepared
    rotating = GeometryTask(tiny("augment.rotate=true", "loss=displacement"), task.data_root)
    model = task.build_model(data.state)
    batch = data.sources["train"].batch(np.arange(6)).to(dtype=torch.float32)  # type: ignore[call-arg]
    torch.manual_seed(0)
    plain = rotating.step(model, batch, "val").loss.detach()
    turned = rotating.step(model, batch, "train").loss.detach()
    assert float(turned) == pytest.approx(float(plain), rel=1e-4)  # PaiNN is equivariant
    noisy = GeometryTask(tiny("augment.jitter=0.1"), task.data_root)
    before = batch.nodes["pos"].clone()  # type: ignore[attr-defined]
    with torch.no_grad():
        losses = [float(noisy.step(model, batch, stage).loss) for stage in ("train", "val")]
    assert losses[0] != losses[1]
    assert torch.equal(before, batch.nodes["pos"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("loss", ["mae", "mse", "displacement"])
def test_losses_are_in_units_of_the_scale(
    loss: str, prepared: tuple[GeometryTask, TaskData]
) -> None:
    base, data = prepared
    task = GeometryTask(tiny(f"loss={loss}"), base.data_root)
    model = task.build_model(data.state)
    batch = data.sources["train"].batch(np.arange(6)).to(dtype=torch.float32)  # type: ignore[call-arg]
    output = task.step(model, batch, "val")
    with torch.no_grad():
        error = (model(batch) - batch.graphs["target"]).numpy() / data.state["scale"]  # type: ignore[attr-defined]
    expected = {
        "mae": np.abs(error).mean(),
        "mse": np.square(error).mean(),
        "displacement": np.linalg.norm(error, axis=1).mean(),
    }[loss]
    assert float(output.loss.detach()) == pytest.approx(float(expected), rel=1e-4)
    assert float(output.metrics["mae"]) == pytest.approx(
        np.mean([float(output.metrics[f"mae_{axis}"]) for axis in "xyz"])
    )


def test_raw_input_names_what_cannot_be_predicted(tmp_path: Path) -> None:
    task = GeometryTask(molecules(write_molecules(tmp_path / "a.npz")), tmp_path / "data")
    data = task.split(task.load())
    model = task.build_model(data.state)
    raw = task.read_input(write_molecules(tmp_path / "b.npz", odd=2), data.state)
    assert raw.names == [f"m{i}" for i in range(28)]
    assert len(raw.rejected) == 2
    assert "element" in raw.rejected[0][1]
    columns = over_source(task, model, batch_size=7)(raw.source)
    assert columns["predicted_x"].shape == (28,)
    with pytest.raises(DataError, match="no structure has only elements"):
        task.read_input(write_molecules(tmp_path / "c.npz", odd=30), data.state)


def test_raw_input_from_arrays_equals_that_from_a_file(tmp_path: Path) -> None:
    task = GeometryTask(tiny(), tmp_path / "data")
    state = task.split(task.load()).state
    rng = np.random.default_rng(0)
    clouds = [rng.normal(size=(n, 3)) for n in (20, 30)]
    np.savez(tmp_path / "b.npz", pos=np.concatenate(clouds), offsets=[0, 20, 50])
    from_file = task.read_input(tmp_path / "b.npz", state)
    from_arrays = task.read_input(structures_from_arrays(clouds), state)
    one, other = (raw.source.batch(np.arange(2)) for raw in (from_file, from_arrays))
    assert torch.equal(one.nodes["pos"], other.nodes["pos"])  # type: ignore[attr-defined]
    assert torch.equal(one.edge_index, other.edge_index)  # type: ignore[attr-defined]


def test_input_without_elements_is_refused_by_a_model_of_molecules(tmp_path: Path) -> None:
    task = GeometryTask(molecules(write_molecules(tmp_path / "a.npz")), tmp_path / "data")
    state = task.split(task.load()).state
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "b.npz", pos=rng.normal(size=(5, 3)), offsets=[0, 5], id=np.array(["a"]))
    with pytest.raises(DataError, match="needs elements"):
        task.read_input(tmp_path / "b.npz", state)


def test_labelled_file_is_read_like_the_configurations_own(tmp_path: Path) -> None:
    task = GeometryTask(molecules(write_molecules(tmp_path / "a.npz")), tmp_path / "data")
    data = task.split(task.load())
    other = task.read_labelled(write_molecules(tmp_path / "b.npz", odd=2), data.state)
    assert len(other.sources["test"]) == 28
    assert other.summary["rejected"]["count"] == 2


def test_impossible_targets_and_splits(tmp_path: Path) -> None:
    path = write_molecules(tmp_path / "a.npz")
    with np.load(path) as arrays:
        zero = {**arrays, "dipole": np.zeros((30, 3))}
    np.savez(path, **zero)
    task = GeometryTask(molecules(path), tmp_path / "data")
    with pytest.raises(DataError, match="every training target is zero"):
        task.split(task.load())
    with pytest.raises(ConfigError, match="leaves nothing to train on"):
        tiny("data.split.val=0.5", "data.split.test=0.5")


def test_stretching_keeps_the_answer_exact(tmp_path: Path) -> None:
    """The centre of masses moves with any linear map: here of points that are the masses."""
    rng = np.random.default_rng(1)
    clouds = [rng.normal(size=(n, 3)) for n in (20, 30, 25)]
    targets = np.stack(
        [(c * np.arange(len(c))[:, None]).sum(0) / np.arange(len(c)).sum() for c in clouds]
    )
    table = structures_from_arrays(clouds, targets=targets, target_name="center_of_mass")
    batch = build_graphs(table, graph=tiny().data.graph).batch(np.arange(3))
    task = GeometryTask(tiny("augment.stretch=0.3"), tmp_path)
    torch.manual_seed(0)
    stretched = task._augment(batch)
    assert not torch.allclose(stretched.nodes["pos"], batch.nodes["pos"])
    for b in range(3):
        points = stretched.nodes["pos"][stretched.node_graph == b].numpy()
        weights = np.arange(len(points))[:, None]
        expected = (points * weights).sum(0) / weights.sum()
        np.testing.assert_allclose(stretched.graphs["target"][b].numpy(), expected, atol=1e-12)


def test_stretching_a_vector_is_refused(tmp_path: Path) -> None:
    config = molecules(tmp_path / "a.npz")
    config = dataclasses.replace(config, augment=dataclasses.replace(config.augment, stretch=0.1))
    assert config.problems() == ["augment.stretch: only a position is known after stretching"]
