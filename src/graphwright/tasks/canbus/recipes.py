"""From a name of seven parts to a configuration, and to those of the runs that it builds on."""

from __future__ import annotations

from dataclasses import replace

from graphwright.config.schema import (
    LoadingConfig,
    OptimizerConfig,
    Requirement,
    SchedulerConfig,
    TrainingConfig,
)
from graphwright.tasks.canbus.config import CanbusConfig
from graphwright.tasks.canbus.data_config import CanbusData, FolderSource, TrafficSource
from graphwright.tasks.canbus.model_configs import (
    FUSIONS,
    DistillationConfig,
    ModelConfig,
    gat_sizes,
    vgae_sizes,
)
from graphwright.tasks.canbus.names import Name, all_names, parse_name

__all__ = ["make_preset", "preset_names", "required"]

DEFAULT = "automotive_traffic_classifier_gat_student_no_all_samples"

FOLDERS = {
    "hcrlch": FolderSource(path="hcrl-car-hacking"),
    "hcrlsa": FolderSource(path="hcrl-survival-analysis"),
    "set01": FolderSource(path="can-train-and-test", dataset="set_01"),
    "set02": FolderSource(path="can-train-and-test", dataset="set_02"),
    "set03": FolderSource(path="can-train-and-test", dataset="set_03"),
    "set04": FolderSource(path="can-train-and-test", dataset="set_04"),
    "own": FolderSource(path="captures"),
}


def preset_names() -> list[tuple[str, str]]:
    """Every valid name, the default first."""
    names = [str(name) for name in all_names()]
    names.remove(DEFAULT)
    return [(DEFAULT, "a small classifier on generated traffic (embedded data)")] + [
        (name, "") for name in names
    ]


def make_preset(text: str) -> CanbusConfig:
    """The configuration of a name.

    Raises:
        ConfigError: the name is none; see `parse_name`.
    """
    name = parse_name(text)
    source = TrafficSource() if name.dataset == "traffic" else FOLDERS[name.dataset]
    return _configured(name, CanbusConfig(data=CanbusData(source=source)))


def required(config: CanbusConfig) -> dict[str, Requirement]:
    """Role and configuration of every run that a run builds on, on the same data and seed."""
    name, parts = config.name, config.parts
    if name.learning_type == "fusion":
        vgae = Name(
            name.modality,
            name.dataset,
            "unsupervised",
            "vgae",
            name.model_size,
            name.distillation,
            "normals_only",
        )
        gat = replace(name, learning_type="classifier", model="gat")
        return {
            "vgae": _requirement(config, vgae, parts.vgae),
            "gat": _requirement(config, gat, parts.gat),
        }
    needs = {}
    if name.distillation != "no":
        teacher = replace(name, model_size="teacher", distillation="no")
        needs["teacher"] = _requirement(config, teacher, config.distillation.teacher)
        # the report shows the same student without its teacher
        needs["plain"] = _requirement(config, replace(name, distillation="no"), "")
    if name.training_mode == "curriculum_classifier":
        judge = replace(
            name,
            learning_type="unsupervised",
            model="vgae",
            distillation="no",
            training_mode="normals_only",
        )
        needs["vgae"] = _requirement(config, judge, parts.vgae)
    return needs


def _requirement(config: CanbusConfig, name: Name, run: str) -> Requirement:
    source, words = config.data.source, [f"canbus/{name}"]
    if isinstance(source, FolderSource):
        words.append(f"data.source.path={source.path}")
    return Requirement(config=_configured(name, config), preset=" ".join(words), run=run)


def _configured(name: Name, base: CanbusConfig) -> CanbusConfig:
    """A name's own model and training, with everything else from `base`."""
    return replace(
        base,
        modality=name.modality,
        dataset=name.dataset,
        learning_type=name.learning_type,
        model=_model(name),
        model_size=name.model_size,
        distillation=DistillationConfig(method=name.distillation),
        training_mode=name.training_mode,
        training=_training(name),
        loading=LoadingConfig(batch_size=64, eval_batch_size=256),
    )


def _model(name: Name) -> ModelConfig:
    if name.learning_type == "fusion":
        return FUSIONS[name.model]
    sizes = vgae_sizes() if name.model == "vgae" else gat_sizes()
    return sizes[name.model_size]


def _training(name: Name) -> TrainingConfig:
    fusion = name.learning_type == "fusion"
    return TrainingConfig(
        epochs=20 if fusion else 10,
        optimizer=OptimizerConfig(name="adamw", lr=1e-3 if fusion else 2e-3, weight_decay=0.01),
        scheduler=SchedulerConfig(name="cosine", warmup_epochs=0.5),
    )
