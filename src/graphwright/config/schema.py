"""The part of a configuration that every task shares.

Plain frozen dataclasses: importing them costs neither torch nor hydra. `config/check.py` enforces
the types, `Literal`s and ranges written here; a task adds its own sections in
`tasks/<name>/config.py` by subclassing `TaskConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt

__all__ = [
    "SCHEMA_VERSION",
    "LoadingConfig",
    "OptimizerConfig",
    "Positive",
    "PositiveInt",
    "Requirement",
    "SchedulerConfig",
    "TaskConfig",
    "TrackingConfig",
    "TrainingConfig",
    "Unit",
]

SCHEMA_VERSION = 1

PositiveInt = Annotated[int, Gt(0)]
Count = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0.0)]
NonNegative = Annotated[float, Ge(0.0)]
Unit = Annotated[float, Ge(0.0), Lt(1.0)]


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam (Kingma & Ba, 2015), AdamW (Loshchilov & Hutter, 2019) or SGD with momentum."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    lr: Positive = 1e-3
    weight_decay: NonNegative = 1e-5
    betas: tuple[Unit, Unit] = (0.9, 0.999)  # adam and adamw
    momentum: Unit = 0.9  # sgd


@dataclass(frozen=True, kw_only=True)
class SchedulerConfig:
    """How the learning rate moves: after each validation (plateau) or each step (cosine)."""

    name: Literal["none", "plateau", "cosine"] = "plateau"
    patience: Count = 10  # plateau: validations without improvement before the rate drops
    factor: Annotated[float, Gt(0.0), Lt(1.0)] = 0.5  # plateau
    min_lr: NonNegative = 1e-6  # plateau and cosine
    warmup_epochs: NonNegative = 0.0  # cosine: linear rise from zero


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The loop: how long, on what, in which precision, and when to stop or save."""

    epochs: PositiveInt = 100
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    gradient_clip: NonNegative = 1.0  # largest gradient norm; 0 does not clip
    validate_every: PositiveInt = 1  # epochs; the last one is always validated
    keep: Literal["best", "last"] = "best"  # which weights are evaluated and shipped
    ema_decay: Unit = 0.0  # exponential moving average of the weights; 0 is off
    early_stopping: Count = 0  # validations without improvement before the end; 0 is off
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: PositiveInt = 1  # processes that share the training, each with a device of its own
    precision: Literal["32", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64"] = "32"
    threads: Count = 0  # CPU threads; 0 leaves torch's choice
    deterministic: bool = True
    compile: bool = False  # torch.compile
    warmup: bool = True  # CUDA kernel warm-up on throw-away copies
    allocator: Literal["keep", "huge_pages", "system"] = "keep"  # of CPU memory, see docs/
    checkpoint_every: Count = 0  # also save every so many steps, for long epochs; 0 is off
    log_every: PositiveInt = 50  # steps between per-step records
    fast_dev_run: Count = 0  # so many batches of training and validation, nothing more; 0 is off


@dataclass(frozen=True, kw_only=True)
class LoadingConfig:
    """How batches are made. Data in memory or mapped needs no worker processes."""

    batch_size: PositiveInt = 16
    eval_batch_size: PositiveInt = 64
    max_size: Count = 0  # nodes + edges in a batch; above 0 batches are bucketed by size
    num_workers: Count = 0
    persistent_workers: bool = False
    prefetch_factor: PositiveInt = 2
    pin_memory: bool = False
    resident: bool = False  # the whole data set on the training device


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Mirrors of the run folder. `auto` mirrors where the package is installed."""

    mlflow: Literal["auto", "on", "off"] = "auto"
    wandb: Literal["off", "offline", "online"] = "off"
    wandb_project: str = "graphwright"
    wandb_name: str | None = None
    wandb_tags: tuple[str, ...] = ()
    tensorboard: bool = False


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """A finished run that another one builds on.

    Attributes:
        config: how such a run is configured; the newest finished one on its levels is taken.
        preset: what trains it: a preset's full name, perhaps with overrides.
        run: one that the user named instead; empty: none.
        same: sections in which a run that is found must agree with `config`, such as its data.
    """

    config: TaskConfig
    preset: str
    run: str = ""
    same: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """What every run has. Tasks subclass it, name themselves and add their sections."""

    task: str
    schema_version: Annotated[int, Ge(1), Le(SCHEMA_VERSION)] = SCHEMA_VERSION
    seed: Count = 0
    training: TrainingConfig = field(default_factory=TrainingConfig)
    loading: LoadingConfig = field(default_factory=LoadingConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    #: sections that can be swapped whole on the command line, by their dotted name and that of the
    #: option, which is its `name` or `kind`: {"model": {"gcn": GCNConfig()}}
    groups: ClassVar[dict[str, dict[str, object]]] = {}
    #: fields of such a section that describe the data rather than the option: kept in a swap
    carried: ClassVar[dict[str, tuple[str, ...]]] = {}

    def levels(self) -> tuple[str, ...]:
        """The folders between the runs root and `run_000`, from the configuration alone."""
        return (self.task,)

    def requires(self) -> Mapping[str, Requirement]:
        """Finished runs that this one builds on, by their role; none by default."""
        return {}

    def with_model(self, name: str) -> TaskConfig | None:
        """The same data with another model, trained as that model is; None: swap the section."""
        return None

    def problems(self) -> list[str]:
        """Combinations that make no sense, one sentence each; none by default."""
        return []
