"""Presets: a data set with a predictor, and how that predictor is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from graphwright.config.schema import (
    LoadingConfig,
    OptimizerConfig,
    SchedulerConfig,
    TrainingConfig,
)
from graphwright.tasks.nas.config import LossConfig, NasConfig
from graphwright.tasks.nas.data_config import (
    GraphConfig,
    LabelsConfig,
    NasData,
    SplitConfig,
    TableSource,
    TinySource,
)
from graphwright.tasks.nas.model_configs import (
    CombinedGCNConfig,
    DagEnsembleConfig,
    FRNASConfig,
    HierarchicalConfig,
    ModelConfig,
    NeuralPredictorConfig,
    SimpleGCNConfig,
)

__all__ = ["DATA", "RECIPES", "Recipe", "make_preset", "preset_names", "with_recipe"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A predictor with everything that belongs to its training."""

    model: ModelConfig
    loss: LossConfig = field(default_factory=LossConfig)
    graph: GraphConfig = field(default_factory=GraphConfig)
    labels: LabelsConfig = field(default_factory=LabelsConfig)
    epochs: int = 300
    batch_size: int = 16
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    warmup_epochs: float = 0.0
    ema_decay: float = 0.0


_FR_ADAM = OptimizerConfig(name="adam", lr=5e-3, weight_decay=1e-4, betas=(0.0, 0.9))

RECIPES: dict[str, Recipe] = {
    "dag_ensemble": Recipe(
        model=DagEnsembleConfig(),
        loss=LossConfig(name="pairwise_hinge", anchor=0.1),
        graph=GraphConfig(prune=True, features=True),
        labels=LabelsConfig(transform="rank"),
        epochs=100,
        batch_size=32,
        # chosen on seeds 0-2 of NAS-Bench-201 and 101 together, with 50 and 400 architectures
        optimizer=OptimizerConfig(name="adamw", lr=5e-3, weight_decay=0.3, betas=(0.9, 0.99)),
        warmup_epochs=5,
    ),
    "fr_nas": Recipe(
        model=FRNASConfig(),
        loss=LossConfig(name="mse", relation=0.8),
        # few networks that learnt nothing would rule a squared error of labels as they are
        graph=GraphConfig(prune=True),
        labels=LabelsConfig(transform="rank"),
        optimizer=_FR_ADAM,
    ),
    "neural_predictor": Recipe(
        model=NeuralPredictorConfig(),
        batch_size=10,
        optimizer=OptimizerConfig(name="adam", lr=1e-4, weight_decay=1e-3),
    ),
    "simple_gcn": Recipe(model=SimpleGCNConfig()),
    "combined_gcn": Recipe(model=CombinedGCNConfig()),
    "hierarchical": Recipe(model=HierarchicalConfig(), optimizer=_FR_ADAM),
}


def with_recipe(config: NasConfig, name: str) -> NasConfig:
    """The same data with another predictor, trained as that predictor is.

    Raises:
        KeyError: there is no such recipe.
    """
    recipe = RECIPES[name]
    data = replace(config.data, graph=recipe.graph, labels=recipe.labels)
    return replace(
        config,
        data=data,
        model=recipe.model,
        loss=recipe.loss,
        loading=LoadingConfig(batch_size=recipe.batch_size, eval_batch_size=512),
        training=TrainingConfig(
            epochs=recipe.epochs,
            optimizer=recipe.optimizer,
            scheduler=SchedulerConfig(
                name="cosine", min_lr=0.0, warmup_epochs=recipe.warmup_epochs
            ),
            gradient_clip=0.0,
            ema_decay=recipe.ema_decay,
            # a few hundred labels are too dear to choose an epoch with
            keep="last",
            validate_every=50,
            threads=1,  # the operations are too small to share
        ),
    )


def _tiny() -> NasData:
    """Cells of tiny networks that were really trained (embedded data)."""
    return NasData(source=TinySource(), split=SplitConfig(train=200, val=100, test=1000))


def _nasbench201() -> NasData:
    """NAS-Bench-201, CIFAR-10 validation accuracy at 200 epochs (data.source.path=…)."""
    source = TableSource(
        path="nasbench201.csv.gz",
        arch=("ops",),
        format="nasbench201",
        metrics=("cifar10_val200",),
        features=("params_cifar10", "flops_cifar10_M"),
        group="unique_id",
    )
    return NasData(source=source, split=SplitConfig(train=400, val=200, test=5000))


def _nasbench101() -> NasData:
    """20,001 cells of NAS-Bench-101, validation accuracy at 108 epochs (data.source.path=…)."""
    source = TableSource(
        path="nasbench101_20k.csv.gz",
        arch=("adj_upper_bits", "ops"),
        format="nasbench101",
        metrics=("val_acc_108",),
        features=("params",),
    )
    return NasData(source=source, split=SplitConfig(train=400, val=200, test=5000))


def _nasbench301() -> NasData:
    """DARTS cells with the surrogate labels of NAS-Bench-301 (data.source.path=…)."""
    source = TableSource(
        path="nasbench301_surrogate_sample.csv.gz",
        arch=("compact_darts",),
        format="darts",
        metrics=("surrogate_val_acc",),
        features=("params_M", "flops_M"),
    )
    return NasData(source=source, split=SplitConfig(train=400, val=50, test=250))


def _nats_sss() -> NasData:
    """NATS-Bench sizes: five channel widths, CIFAR-10 (data.source.path=…)."""
    source = TableSource(
        path="nats_sss_32768.csv.gz",
        arch=("c1", "c2", "c3", "c4", "c5"),
        format="nats_sss",
        metrics=("cifar10_acc",),
        features=("cifar10_params",),
    )
    return NasData(source=source, split=SplitConfig(train=400, val=200, test=5000))


def _nasbench_macro() -> NasData:
    """NAS-Bench-Macro: eight layers of three blocks, CIFAR-10 (data.source.path=…)."""
    source = TableSource(
        path="nasbench_macro_cifar10.csv.gz",
        arch=("arch",),
        format="nasbench_macro",
        metrics=("mean_acc",),
        features=("params", "flops"),
        repeats=("test_acc_0", "test_acc_1", "test_acc_2"),
    )
    return NasData(source=source, split=SplitConfig(train=400, val=200, test=5000))


def _transnas_micro() -> NasData:
    """TransNAS-Bench-101, cells, object classification (data.source.path=…)."""
    source = TableSource(
        path="transnasbench101_micro_sample.csv.gz",
        arch=("arch",),
        format="transnas_micro",
        metrics=("class_object_val",),
        features=("class_object_params_M", "class_object_flops_M"),
    )
    return NasData(source=source, split=SplitConfig(train=400, val=50, test=250))


def _transnas_macro() -> NasData:
    """TransNAS-Bench-101, networks, object classification (data.source.path=…)."""
    source = TableSource(
        path="transnasbench101_macro_sample.csv.gz",
        arch=("arch",),
        format="transnas_macro",
        metrics=("class_object_val",),
        features=("class_object_params_M", "class_object_flops_M"),
    )
    return NasData(source=source, split=SplitConfig(train=400, val=50, test=250))


DATA: dict[str, Callable[[], NasData]] = {
    "tiny": _tiny,
    "nasbench201": _nasbench201,
    "nasbench101": _nasbench101,
    "nasbench301": _nasbench301,
    "nats_sss": _nats_sss,
    "nasbench_macro": _nasbench_macro,
    "transnas_micro": _transnas_micro,
    "transnas_macro": _transnas_macro,
}
_DEFAULT = "dag_ensemble"


def preset_names() -> list[tuple[str, str]]:
    """(name, one line): every data set with the default predictor, then with each other."""
    plain = [(name, (make.__doc__ or "").splitlines()[0]) for name, make in DATA.items()]
    others = [name for name in RECIPES if name != _DEFAULT]
    return plain + [(f"{data}_{name}", f"{data} with {name}") for data in DATA for name in others]


def make_preset(name: str) -> NasConfig:
    """The configuration of a preset: a data set, then perhaps a predictor.

    Raises:
        KeyError: there is no such preset.
    """
    data = max((known for known in DATA if name.startswith(known)), key=len)
    predictor = name[len(data) + 1 :] or _DEFAULT
    return with_recipe(NasConfig(data=DATA[data]()), predictor)
