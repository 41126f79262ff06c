"""Names of seven parts, and the configurations behind them."""

from __future__ import annotations

from itertools import product

import pytest

from graphwright.config import io
from graphwright.config.presets import from_yaml, resolve_preset
from graphwright.errors import ConfigError
from graphwright.tasks.canbus.config import preset, preset_names
from graphwright.tasks.canbus.names import CHOICES, Name, all_names, parse_name, problems_of

SPECIFIED = [
    "automotive_hcrlch_unsupervised_vgae_student_no_all_samples",
    "automotive_set01_classifier_gat_teacher_no_curriculum_classifier",
    "automotive_set04_fusion_dqn_student_standard_all_samples",
    "watertreatment_own_classifier_gat_huge_no_curriculum_random",
    "internet_own_classifier_gat_tiny_topology_preserving_all_samples",
]


@pytest.mark.parametrize("text", SPECIFIED)
def test_a_name_is_parsed_and_is_the_path_of_its_runs(text: str) -> None:
    config = preset(text)
    assert str(config.name) == text
    assert "_".join(config.levels()) == text
    assert len(config.levels()) == 7


def test_every_valid_name_is_parsed_back_and_every_other_is_refused() -> None:
    valid = set(map(str, all_names()))
    assert len(valid) == len(preset_names())
    for parts in product(*CHOICES.values()):
        name = Name(*parts)
        if str(name) in valid:
            assert parse_name(str(name)) == name
        else:
            assert problems_of(name)
            with pytest.raises(ConfigError):
                parse_name(str(name))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("automotive_set04_clasifier_gat_student_no_all_samples", "did you mean classifier"),
        ("automotive_set04_classifier_vgae_student_no_all_samples", "classifier needs one of gat"),
        ("automotive_set04_classifier_gat_teacher_standard_all_samples", "distilled from itself"),
        ("automotive_set04_classifier_gat_student_no_normals_only", "one class"),
        ("automotive_set04_unsupervised_vgae_student_no_curriculum_random", "told of no attack"),
        ("internet_set01_classifier_gat_student_no_all_samples", "has no data set set01"),
        ("automotive_set04", "no learning_type is given"),
        ("automotive_set04_classifier_gat_student_no_all_samples_2", "left over"),
    ],
)
def test_a_wrong_name_is_explained(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_name(text)


def test_a_configuration_is_a_fixed_point() -> None:
    for text in SPECIFIED:
        config = resolve_preset(f"canbus/{text}", ["data.window.size=50", "data.window.stride=50"])
        assert from_yaml(io.to_yaml(config)) == config


def test_what_a_run_builds_on() -> None:
    fusion = preset("automotive_set04_fusion_dqn_student_standard_all_samples")
    needs = fusion.requires()
    assert {role: str(need.config.name) for role, need in needs.items()} == {
        "vgae": "automotive_set04_unsupervised_vgae_student_standard_normals_only",
        "gat": "automotive_set04_classifier_gat_student_standard_all_samples",
    }
    assert needs["gat"].preset == (
        "canbus/automotive_set04_classifier_gat_student_standard_all_samples "
        "data.source.path=can-train-and-test"
    )
    student = needs["gat"].config
    teacher, plain = student.requires().values()
    assert str(plain.config.name) == "automotive_set04_classifier_gat_student_no_all_samples"
    assert str(teacher.config.name) == "automotive_set04_classifier_gat_teacher_no_all_samples"
    assert teacher.config.requires() == {}
    curriculum = preset("automotive_set04_classifier_gat_student_no_curriculum_classifier")
    assert list(curriculum.requires()) == ["vgae"]
    for need in (*needs.values(), *student.requires().values(), *curriculum.requires().values()):
        assert need.config.problems() == []
