"""The geometry task's configuration and its presets. No torch here.

To add a model: a dataclass in `model_configs.py` and a module in `models/` (docs/add_a_model.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from graphwright.config.levels import as_level
from graphwright.config.schema import (
    LoadingConfig,
    OptimizerConfig,
    SchedulerConfig,
    TaskConfig,
    TrainingConfig,
)
from graphwright.tasks.geometry.data_config import (
    FileSource,
    GraphConfig,
    ScansSource,
    SplitConfig,
)
from graphwright.tasks.geometry.model_configs import MODELS, ModelConfig, PaiNNConfig

__all__ = ["SCHEMA", "AugmentConfig", "DataConfig", "GeometryConfig", "preset", "preset_names"]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Structures, the graphs made of them, and who is held out."""

    source: Annotated[ScansSource | FileSource, Field(discriminator="kind")] = field(
        default_factory=ScansSource
    )
    graph: GraphConfig = field(default_factory=GraphConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    strict: bool = False  # stop at the first bad structure instead of writing it aside


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Changes to training structures that leave the answer known."""

    rotate: bool = False  # a random rotation; only a model that is not equivariant needs it
    jitter: Annotated[float, Field(ge=0)] = 0.0  # sd of noise on positions, in their unit
    # sd of the logarithm of random stretches along random axes: a centre of volume moves with any
    # linear map, so the answer stays exact
    stretch: Annotated[float, Field(ge=0)] = 0.0


@dataclass(frozen=True, kw_only=True)
class GeometryConfig(TaskConfig):
    """Everything a geometry run depends on."""

    task: Literal["geometry"] = "geometry"
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=PaiNNConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: Literal["mae", "mse", "displacement"] = "mae"

    groups: ClassVar[dict[str, dict[str, object]]] = {
        "model": MODELS,
        "data.source": {"scans": ScansSource(), "file": FileSource(path="structures.npz")},
    }

    # the size of the structures, and whether a target grows with them
    carried: ClassVar[dict[str, tuple[str, ...]]] = {"model": ("cutoff", "pool")}

    def levels(self) -> tuple[str, ...]:
        """geometry / data set / target / model."""
        source = self.data.source
        if isinstance(source, ScansSource):
            return (self.task, "scans", "center_of_mass", self.model.name)
        target = source.target or "no_target"
        return (self.task, as_level(Path(source.path).stem), as_level(target), self.model.name)

    def problems(self) -> list[str]:
        """A split without training data, an augmentation without a known answer."""
        problems = []
        held = self.data.split.val + self.data.split.test
        if held >= 1:
            problems.append(f"data.split: val + test = {held:g} leaves nothing to train on")
        source = self.data.source
        if (
            self.augment.stretch
            and isinstance(source, FileSource)
            and source.target_kind == "vector"
        ):
            problems.append("augment.stretch: only a position is known after stretching")
        return problems


SCHEMA = GeometryConfig


def preset_names() -> list[tuple[str, str]]:
    """(name, one line) of every preset; the first is the default."""
    return [(name, (make.__doc__ or "").splitlines()[0]) for name, make in _PRESETS.items()]


def preset(name: str) -> GeometryConfig:
    """The configuration of a preset."""
    return _PRESETS[name]()


def _scans() -> GeometryConfig:
    """Generated rigid bodies seen by three cameras: find the centre of mass (embedded data)."""
    return GeometryConfig(
        data=DataConfig(graph=GraphConfig(kind="knn", k=8)),
        model=PaiNNConfig(
            hidden_dim=32, num_layers=3, num_basis=12, cutoff=0.5, pool="mean", context=True
        ),
        loading=LoadingConfig(batch_size=16),
        training=_schedule(epochs=12, lr=2e-3, weight_decay=0.01, ema_decay=0.99),
        augment=AugmentConfig(stretch=0.2),
        loss="displacement",
    )


def _mesh_scans() -> GeometryConfig:
    """Partial scans of 998 published meshes (data.source.path=…/mesh_scans.npz)."""
    base = _scans()
    source = FileSource(path="mesh_scans.npz", target="com", target_kind="position")
    return replace(
        base,
        data=replace(base.data, source=source),
        training=_schedule(epochs=60, lr=2e-3, weight_decay=0.01, ema_decay=0.995),
    )


def _qm7() -> GeometryConfig:
    """Dipole vectors of 7,101 molecules (data.source.path=…/qm7.npz)."""
    return GeometryConfig(
        data=DataConfig(
            source=FileSource(
                path="qm7.npz", target="dipole_gfn2_au", target_kind="vector", target_unit="a.u."
            ),
            graph=GraphConfig(kind="radius", cutoff=5.0),
        ),
        model=PaiNNConfig(hidden_dim=64, num_layers=3, num_basis=12, cutoff=5.0),
        loading=LoadingConfig(batch_size=32),
        training=_schedule(epochs=40, lr=1e-3, weight_decay=0.05, ema_decay=0.999),
    )


def _hidden_masses() -> GeometryConfig:
    """Centre of mass of molecules whose masses the model is not told (data.source.path=…)."""
    base = _qm7()
    source = FileSource(path="qm7.npz", target="center_of_mass")
    return replace(base, data=replace(base.data, source=source))


def _torsion() -> GeometryConfig:
    """MP2 dipoles of neutral conformers, split by molecule (data.source.path=…)."""
    base = _qm7()
    source = FileSource(
        path="torsion_mp2_dipoles.npz",
        target="dipole_mp2_au",
        target_kind="vector",
        target_unit="a.u.",
        where={"charge": 0},
    )
    return replace(base, data=replace(base.data, source=source))


def _schedule(*, epochs: int, lr: float, weight_decay: float, ema_decay: float) -> TrainingConfig:
    """One cosine with a warm-up epoch, and averaged weights."""
    return TrainingConfig(
        epochs=epochs,
        optimizer=OptimizerConfig(name="adamw", lr=lr, weight_decay=weight_decay),
        scheduler=SchedulerConfig(name="cosine", warmup_epochs=1),
        ema_decay=ema_decay,
    )


def _tiny() -> GeometryConfig:
    """A few seconds of generated scans, for trying things out and for tests."""
    return GeometryConfig(
        data=DataConfig(source=ScansSource(count=60)),
        model=PaiNNConfig(hidden_dim=16, num_layers=1, cutoff=0.5),
        loading=LoadingConfig(batch_size=8),
        training=TrainingConfig(epochs=3, log_every=2),
    )


_PRESETS: dict[str, Callable[[], GeometryConfig]] = {
    "scans": _scans,
    "mesh_scans": _mesh_scans,
    "qm7": _qm7,
    "hidden_masses": _hidden_masses,
    "torsion": _torsion,
    "tiny": _tiny,
}
