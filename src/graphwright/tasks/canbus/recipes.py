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
from graphwright.tasks.canbus.config import CanbusConfig, ThresholdConfig
from graphwright.tasks.canbus.data_config import (
    CanbusData,
    FolderSource,
    SplitConfig,
    TrafficSource,
    WindowConfig,
)
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
# Rich features: a classifier that is taught some attacks finds others by timing and change, hardly
# by the means of bytes. Balanced: attacks of real captures stop before the last fifth.
WINDOW = WindowConfig(features="rich")
SPLIT = SplitConfig(by="time", block="balanced")
# 2 % of the training windows of these captures are attacks, and false alarms are rare.
RARE_ATTACKS = ("set01", "set02", "set03", "set04")
ATTACK_WEIGHT = 20.0
# Of benign validation windows; on weakened attacks of the training captures a VGAE needs more.
RATE, VGAE_RATE = 0.001, 0.003
# Their attacks are floods, those of a test need not be (`weakened.py`).
WEAKENED = (1.0, 3.0, 8.0)
WIDE = ("teacher", "huge")  # sizes of which an epoch takes minutes on a CPU


def preset_names() -> list[tuple[str, str]]:
    """Every valid name, the default first."""
    names = [name for name in all_names() if str(name) != DEFAULT]
    return [(DEFAULT, "a small classifier on generated traffic (embedded data)")] + [
        (str(name), f"{name.model}, {name.model_size}, on {name.dataset}") for name in names
    ]


def make_preset(text: str) -> CanbusConfig:
    """The configuration of a name.

    Raises:
        ConfigError: the name is none; see `parse_name`.
    """
    name = parse_name(text)
    source = TrafficSource() if name.dataset == "traffic" else FOLDERS[name.dataset]
    data = CanbusData(source=source, window=WINDOW, split=SPLIT)
    # The generated captures are too short for a benign prefix. In training captures of set_04 the
    # first attack begins after 6.0 s, so that 10 s are not benign.
    threshold = ThresholdConfig(calibrate_s=0 if name.dataset == "traffic" else 5)
    return _configured(name, CanbusConfig(data=data, threshold=threshold))


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
    return Requirement(
        config=_configured(name, config), preset=" ".join(words), run=run, same=("data",)
    )


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
        weakened=_weakened(name),
        threshold=replace(
            base.threshold, validation_rate=VGAE_RATE if name.model == "vgae" else RATE
        ),
        training=_training(name),
        loading=LoadingConfig(batch_size=64, eval_batch_size=256),
    )


def _model(name: Name) -> ModelConfig:
    if name.learning_type == "fusion":
        return FUSIONS[name.model]
    if name.model == "vgae":
        return vgae_sizes()[name.model_size]
    gat = gat_sizes()[name.model_size]
    if name.dataset not in RARE_ATTACKS or name.training_mode.startswith("curriculum"):
        return gat  # a curriculum balances both kinds of windows itself
    return replace(gat, loss="weighted_ce", attack_weight=ATTACK_WEIGHT)


def _weakened(name: Name) -> tuple[float, ...]:
    is_counted = name.training_mode.startswith("curriculum")
    is_taught = name.learning_type != "unsupervised" and name.dataset in RARE_ATTACKS
    return WEAKENED if is_taught and not is_counted else ()


def _training(name: Name) -> TrainingConfig:
    fusion, wide = name.learning_type == "fusion", name.model_size in WIDE
    rate = 1e-3 if fusion or wide else 2e-3
    return TrainingConfig(
        epochs=_epochs(name),
        optimizer=OptimizerConfig(name="adamw", lr=rate, weight_decay=0.01),
        scheduler=SchedulerConfig(name="cosine", warmup_epochs=0.5),
    )


def _epochs(name: Name) -> int:
    """Few for real captures of 10^4 windows; generated traffic has a hundredth of them."""
    if name.learning_type == "fusion":
        return 20
    if name.dataset == "traffic" or name.training_mode.startswith("curriculum"):
        return 10
    if name.model == "vgae":
        return 3 if name.model_size in WIDE else 6
    return 2 if name.model_size in WIDE else 3
