"""Presets: a data set with the model that it is learnt with, and how that is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from graphwright.config.schema import (
    LoadingConfig,
    OptimizerConfig,
    SchedulerConfig,
    TrainingConfig,
)
from graphwright.tasks.genes.config import GenesConfig
from graphwright.tasks.genes.data_config import (
    CallsSource,
    ColumnsConfig,
    GenesData,
    NetworksConfig,
    PlantedSource,
    SplitConfig,
    TableSource,
)
from graphwright.tasks.genes.model_configs import GeneInteractionConfig, LossConfig

__all__ = ["VARIANTS", "make_preset", "preset_names", "with_variant"]

# what differs from a preset's own model, by the name that `--reference` takes
VARIANTS: dict[str, dict[str, Any]] = {
    "gating": {"combination": "gating"},
    "concat": {"combination": "concat"},
    "global": {"combination": "global"},
    "local": {"combination": "local"},
    "set_attention": {"local_head": "set_attention"},
    "pairs": {"local_head": "pairs"},
    "no_overlap": {"overlap": False},
    "gatv2": {"conv": "gatv2"},
    "mean": {"aggregator": "mean"},
    "cross_attention": {"aggregator": "cross_attention"},
    "pairwise_interaction": {"aggregator": "pairwise_interaction"},
}


def with_variant(config: GenesConfig, name: str) -> GenesConfig:
    """The same data and training with another shape of the model.

    Raises:
        KeyError: there is no such variant.
    """
    return replace(config, model=replace(config.model, **VARIANTS[name]))


def _planted() -> GenesConfig:
    """Generated networks and gene sets with a planted rule (embedded data)."""
    return GenesConfig(
        data=GenesData(source=PlantedSource()),
        # with a residual, sets would be learnt by heart from what each gene is by itself
        model=GeneInteractionConfig(
            num_layers=1, combination="local", local_head="pairs", signed=True, residual=False
        ),
        loading=LoadingConfig(batch_size=128, eval_batch_size=256),
        training=_schedule(epochs=6, lr=5e-3),
    )


def _digenic() -> GenesConfig:
    """ε of 15,034 pairs, Kuzmin 2018 (data.source.path=… data.networks.path=…)."""
    columns = ColumnsConfig(genes=("q", "a"), label="eps", p_value="P-value", query=("q",))
    return _yeast(TableSource(path="digenic_kuzmin2018_kgbox.tsv", columns=columns))


def _trigenic() -> GenesConfig:
    """τ of 4,606 triples of four query strains (data.source.path=… data.networks.path=…)."""
    columns = ColumnsConfig(genes=("q1", "q2", "a"), label="tau", p_value="p", query=("q1", "q2"))
    return _yeast(TableSource(path="trigenic_sga_public.tsv", columns=columns))


def _trigenic_calls() -> GenesConfig:
    """Significant trigenic calls of 170 query pairs; uncalled cells are assumed negatives."""
    config = _yeast(
        CallsSource(path="trigenic_significant_with_query_pair.tsv", arrays="miniarray_orfs.txt")
    )
    return replace(
        config,
        data=replace(config.data, split=SplitConfig(by="pair_disjoint")),
        loading=LoadingConfig(batch_size=1024, eval_batch_size=4096),
        training=replace(config.training, epochs=2),  # 160,000 cells an epoch
    )


def _yeast(source: TableSource | CallsSource) -> GenesConfig:
    """Real gene sets on the twelve networks of the 6,400 STRING genes."""
    networks = NetworksConfig(path="graphs_on_string_genes.npz", genes="yeast_string_genes.txt")
    return GenesConfig(
        data=GenesData(source=source, networks=networks),
        model=GeneInteractionConfig(
            hidden_dim=32,
            num_layers=1,
            combination="local",
            base="ridge",
            overlap=True,
            dropout=0.2,
        ),
        # the few strong interactions are what there is to find: a loss that forgives large errors
        # learns the noise around zero
        loss=LossConfig(name="mse"),
        loading=LoadingConfig(batch_size=256, eval_batch_size=1024),
        training=replace(_schedule(epochs=6, lr=3e-3, weight_decay=0.1), ema_decay=0.98),
    )


def _tiny() -> GenesConfig:
    """A few seconds of a small planted network, for trying things out and for tests."""
    return GenesConfig(
        data=GenesData(source=PlantedSource(genes=80, networks=3, sets=240)),
        model=GeneInteractionConfig(hidden_dim=16, num_layers=2),
        loading=LoadingConfig(batch_size=32),
        training=_schedule(epochs=3, lr=2e-3),
    )


def _schedule(*, epochs: int, lr: float, weight_decay: float = 0.01) -> TrainingConfig:
    """One cosine with a warm-up epoch."""
    return TrainingConfig(
        epochs=epochs,
        optimizer=OptimizerConfig(name="adamw", lr=lr, weight_decay=weight_decay),
        scheduler=SchedulerConfig(name="cosine", warmup_epochs=1),
    )


_PRESETS: dict[str, Callable[[], GenesConfig]] = {
    "planted": _planted,
    "digenic": _digenic,
    "trigenic": _trigenic,
    "trigenic_calls": _trigenic_calls,
    "tiny": _tiny,
}


def preset_names() -> list[tuple[str, str]]:
    """(name, one line) of every preset; the first is the default."""
    return [(name, (make.__doc__ or "").splitlines()[0]) for name, make in _PRESETS.items()]


def make_preset(name: str) -> GenesConfig:
    """The configuration of a preset.

    Raises:
        KeyError: there is no such preset.
    """
    return _PRESETS[name]()
