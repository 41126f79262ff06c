"""Presets by what they promise: sizes, what is trained first, and captures of any other source."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphwright.config.presets import resolve_preset
from graphwright.errors import RunError
from graphwright.launch.local import train
from graphwright.launch.use import evaluate, predict
from graphwright.report.compare import compare
from graphwright.runs.status import read_status
from graphwright.tasks.canbus.build import build_model, parameter_count
from graphwright.tasks.canbus.capture_writer import write_capture
from graphwright.tasks.canbus.config import preset
from graphwright.tasks.canbus.edge_features import edge_feature_names
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.models.relative import RELATIVE
from graphwright.tasks.canbus.node_features import node_feature_names
from graphwright.tasks.canbus.traffic import generate_traffic
from graphwright.tasks.canbus.traffic_attacks import inject
from graphwright.tasks.canbus.window_stats import STATISTICS

QUICK = ("tracking.mlflow=off", "training.threads=1", "training.epochs=2")
SMALL = ("loading.batch_size=16",)
GAT = "automotive_{}_classifier_gat_{}_no_all_samples"
VGAE = "automotive_{}_unsupervised_vgae_{}_no_normals_only"


def parameters(name: str, ids: int = 54) -> int:
    """Of the network of a preset, where so many ids are known."""
    config = preset(name)
    features = config.data.window.features
    state = {"ids": list(range(ids)), "id_free": False}
    widths = {
        "node": len(node_feature_names(features)),
        "edge": len(edge_feature_names(features)),
        "stats": len(STATISTICS),
        "relative": len(RELATIVE),
    }
    for kind, width in widths.items():
        state |= {f"{kind}_mean": [0.0] * width, f"{kind}_sd": [1.0] * width}
    return parameter_count(build_model(config.model, state))


@pytest.mark.parametrize("kind", [GAT, VGAE])
def test_a_student_has_at_most_a_tenth_of_its_teachers_parameters(kind: str) -> None:
    student, teacher = (parameters(kind.format("set04", size)) for size in ("student", "teacher"))
    assert 10 * student <= teacher


def test_presets_of_real_captures_validate_on_attacks() -> None:
    for dataset in ("set01", "set04", "hcrlch", "own"):
        data = preset(GAT.format(dataset, "student")).data
        assert (data.split.by, data.split.block) == ("time", "balanced")
        assert data.window.features == "rich"


def test_attacks_weigh_more_where_they_are_rare_and_nothing_balances_them() -> None:
    assert preset(GAT.format("set04", "teacher")).model.attack_weight > 1
    assert preset(GAT.format("traffic", "student")).model.loss == "ce"
    curriculum = preset("automotive_set04_classifier_gat_student_no_curriculum_random")
    assert curriculum.model.loss == "ce"


def test_attacks_are_also_weakened_where_labels_teach_and_nothing_counts_windows() -> None:
    assert preset(GAT.format("set04", "teacher")).weakened
    assert preset("automotive_set04_fusion_dqn_student_no_all_samples").weakened
    assert not preset(VGAE.format("set04", "student")).weakened
    assert not preset(GAT.format("traffic", "student")).weakened
    assert not preset("automotive_set04_classifier_gat_student_no_curriculum_random").weakened


def test_what_a_run_builds_on_reads_the_same_windows() -> None:
    config = resolve_preset(
        "canbus/automotive_set04_fusion_dqn_student_standard_all_samples",
        ["data.window.id_free=true", "data.source.path=elsewhere", "seed=7"],
    )
    for need in config.requires().values():
        assert (need.config.data, need.config.seed) == (config.data, 7)
        for deeper in need.config.requires().values():
            assert (deeper.config.data, deeper.config.seed) == (config.data, 7)


def foreign(frames: Frames) -> Frames:
    """The same drive in a car whose ids nobody has heard of, of 29 bits above 0x600."""
    ids = (frames.id * np.uint32(7919) + np.uint32(0x51)) % np.uint32(0x7FF)
    return replace(frames, id=ids, extended=ids > 0x600)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captures of another source: other vehicles and ids, names of attacks never seen."""
    root = tmp_path_factory.mktemp("elsewhere")
    plan = [
        ("train_01_quiet", "parked-1.csv", 11, ""),
        ("train_02_mixed", "hum-1.csv.gz", 11, "spoofing"),
        ("train_02_mixed", "whistle-1.csv", 12, "DoS"),
        ("test_01_same_cars", "hum-2.csv", 11, "spoofing"),
        ("test_09_another_car", "gargle-1.csv.gz", 13, "fuzzing"),
    ]
    for number, (folder, name, vehicle, attack) in enumerate(plan):
        frames = generate_traffic(9.0, seed=number, vehicle=vehicle)
        if attack:
            for start in (1.5, 6.0):
                frames = inject(frames, attack, number, start, start + 1.5)
        write_capture(foreign(frames), root / folder / name)
    return root


def run(name: str, root: Path, data: Path, *words: str, dependencies: bool = False) -> Path:
    """A finished run of a preset on a user's folder."""
    overrides = [f"data.source.path={data}", "threshold.calibrate_s=0", *QUICK, *words]
    config = resolve_preset(f"canbus/{name}", overrides)
    folder = train(config, runs_root=root / "r", data_root=root / "d", dependencies=dependencies)
    assert read_status(folder.path).state == "finished"
    return folder.path


def test_a_folder_from_another_source_needs_no_code(elsewhere: Path, tmp_path: Path) -> None:
    done = run(GAT.format("own", "student"), tmp_path, elsewhere, "training.epochs=10", *SMALL)
    report = evaluate(done, split="test", data_root=tmp_path / "d")
    named = {(row["folder"], row["attack"]) for row in report["results"]}
    assert {("test_01_same_cars", "hum"), ("test_09_another_car", "gargle")} <= named
    metrics = report["metrics"]
    # far above the constant, whose F1 of the attack class is 0 and whose AUROC is 0.5
    assert metrics["test_01_same_cars/auroc"] > 0.9
    assert metrics["test_01_same_cars/f1"] > 0.6
    part = evaluate(done, split="test/test_09_another_car", data_root=tmp_path / "d")
    assert {row["folder"] for row in part["results"]} == {"test_09_another_car"}
    capture = elsewhere / "test_09_another_car" / "gargle-1.csv.gz"
    answers = predict(done, capture, data_root=tmp_path / "d")
    assert len(answers.names) > 50
    assert not answers.rejected
    score = answers.columns["score"]
    assert ((score >= 0) & (score <= 1)).all()
    alone = evaluate(done, data=capture, data_root=tmp_path / "d")["metrics"]
    assert alone["auroc"] == pytest.approx(part["metrics"]["auroc"], abs=1e-6)
    other = run("automotive_own_unsupervised_vgae_tiny_no_normals_only", tmp_path, elsewhere)
    comparison = compare([done, other])
    labels = {group.label for group in comparison.groups}
    assert labels == {"classifier", "unsupervised"}
    assert comparison.main[:2] == ("f1", "auroc")


def test_a_missing_part_is_told_with_the_command_that_trains_it(
    elsewhere: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunError) as caught:
        run("automotive_own_fusion_max_tiny_no_all_samples", tmp_path, elsewhere)
    said = str(caught.value)
    assert "builds on a finished vgae" in said
    assert "graphwright train canbus/automotive_own_unsupervised_vgae_tiny_no_normals_only" in said
    assert f"data.source.path={elsewhere}" in said


def test_what_is_missing_is_trained_first(elsewhere: Path, tmp_path: Path) -> None:
    fusion = run(
        "automotive_own_fusion_mlp_tiny_no_curriculum_classifier",
        tmp_path,
        elsewhere,
        dependencies=True,
    )
    made = {str(p.parent.relative_to(tmp_path / "r")) for p in tmp_path.glob("r/**/run_*")}
    assert made == {
        "automotive/own/unsupervised/vgae/tiny/no/normals_only",
        "automotive/own/classifier/gat/tiny/no/curriculum_classifier",
        "automotive/own/fusion/mlp/tiny/no/curriculum_classifier",
    }
    assert (fusion / "links.json").exists()
    # with the parts at hand, another head takes them
    for head in ("dqn", "bandit", "average", "max"):
        run(f"automotive_own_fusion_{head}_tiny_no_curriculum_classifier", tmp_path, elsewhere)
    assert len(list(tmp_path.glob("r/automotive/own/**/run_*"))) == 7


def test_the_control_of_the_curriculum_and_a_distilled_student(
    elsewhere: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = "automotive_own_classifier_gat_tiny_topology_preserving_curriculum_random"
    teacher = "automotive_own_classifier_gat_teacher_no_curriculum_random"
    tiny = ("model.head_dim=8", "model.heads=1", "model.num_layers=1")  # a teacher in name only
    run(teacher, tmp_path, elsewhere, *tiny)
    done = run(name, tmp_path, elsewhere, dependencies=True)
    results = json.loads((done / "metrics.json").read_text())["results"]
    assert "without distillation" in {row["model"] for row in results}
    again = evaluate(done, data_root=tmp_path / "d")
    assert again["results"] == results
    assert "missing_links" not in again
    plain = Path(json.loads((done / "links.json").read_text())["plain"])
    plain.rename(plain.with_name("elsewhere"))
    left = evaluate(done, data_root=tmp_path / "d")
    assert left["missing_links"] == {"plain": str(plain)}
    assert "without distillation" not in {row["model"] for row in left["results"]}
    assert "plain of this run is not there any more" in caplog.text
