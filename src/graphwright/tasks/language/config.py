"""The language task's configuration and its presets. No torch here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

from graphwright.config.levels import as_level
from graphwright.config.schema import (
    LoadingConfig,
    OptimizerConfig,
    SchedulerConfig,
    TaskConfig,
    TrainingConfig,
)
from graphwright.tasks.language.data_config import (
    BpeTokenizer,
    BytesTokenizer,
    DocstringsSource,
    Gpt2Tokenizer,
    LanguageData,
    TextSource,
)
from graphwright.tasks.language.model_configs import (
    MODELS,
    SHARED_FIELDS,
    DenseConfig,
    GnnConfig,
    HgnnConfig,
    ModelConfig,
)

__all__ = ["SCHEMA", "LanguageConfig", "preset", "preset_names"]


@dataclass(frozen=True, kw_only=True)
class LanguageConfig(TaskConfig):
    """Everything a language run depends on."""

    task: Literal["language"] = "language"
    data: LanguageData = field(default_factory=LanguageData)
    model: ModelConfig = field(default_factory=HgnnConfig)

    groups: ClassVar[dict[str, dict[str, object]]] = {
        "model": MODELS,
        "data.source": {"docstrings": DocstringsSource(), "text": TextSource(path="corpus")},
        "data.tokenizer": {
            "bytes": BytesTokenizer(),
            "bpe": BpeTokenizer(),
            "gpt2": Gpt2Tokenizer(),
        },
    }
    # the sizes stay when the coupler is swapped: that is what is compared
    carried: ClassVar[dict[str, tuple[str, ...]]] = {"model": SHARED_FIELDS}

    def levels(self) -> tuple[str, ...]:
        """language / corpus / tokenizer / model."""
        source = self.data.source
        corpus = "docstrings" if isinstance(source, DocstringsSource) else Path(source.path).stem
        return (
            self.task,
            as_level(corpus, otherwise="text"),
            self.data.tokenizer.kind,
            _model_level(self.model),
        )

    def problems(self) -> list[str]:
        """Heads that do not divide the width, routing to experts that are not there."""
        model, found = self.model, []
        if self.data.eval_stride > self.data.length:
            found.append(
                f"data.eval_stride: {self.data.eval_stride} of a window of {self.data.length}"
            )
        if model.embed_dim % model.num_heads:
            found.append(
                f"model.num_heads: {model.num_heads} does not divide embed_dim {model.embed_dim}"
            )
        elif model.position == "rotary" and model.embed_dim // model.num_heads % 2:
            found.append("model.position: rotary needs an even embed_dim / num_heads")
        if model.top_k > model.num_experts:
            found.append(f"model.top_k: {model.top_k} of {model.num_experts} experts")
        if isinstance(model, DenseConfig) and model.top_k:
            found.append("model.top_k: a dense model has no experts to route to")
        if isinstance(model, GnnConfig | HgnnConfig) and 1 in (model.top_k, model.num_experts):
            found.append(f"model: a single expert has nobody to talk to; {model.name} needs two")
        return found


SCHEMA = LanguageConfig


def preset_names() -> list[tuple[str, str]]:
    """(name, one line) of every preset; the first is the default."""
    return [(name, (make.__doc__ or "").splitlines()[0]) for name, make in _PRESETS.items()]


def preset(name: str) -> LanguageConfig:
    """The configuration of a preset."""
    return _PRESETS[name]()


def _docstrings() -> LanguageConfig:
    """Documentation strings of Python's own library (embedded data)."""
    return LanguageConfig(
        data=LanguageData(
            source=DocstringsSource(), tokenizer=BpeTokenizer(vocab_size=4096), length=64
        ),
        model=HgnnConfig(embed_dim=64, num_layers=1, num_heads=2, ffn_dim=256, dropout=0.1),
        loading=LoadingConfig(batch_size=8, eval_batch_size=32),
        training=_training(epochs=7, lr=1e-2, warmup_epochs=0.2),
    )


def _wikitext() -> LanguageConfig:
    """WikiText-2 in minutes on one core: a small model (data.source.path=…/language)."""
    # at this cost more tokens in smaller batches are worth more than a wider model
    return LanguageConfig(
        data=LanguageData(
            source=TextSource(path="wikitext-2"),
            tokenizer=BpeTokenizer(vocab_size=8192),
            epoch_windows=2500,  # four validations in 10,000 of some 22,000 windows
        ),
        model=HgnnConfig(embed_dim=64, num_layers=2, num_heads=2, ffn_dim=192, dropout=0.0),
        loading=LoadingConfig(batch_size=8, eval_batch_size=32),
        training=replace(
            _training(epochs=4, lr=6e-3, warmup_epochs=0.2, weight_decay=0.01),
            checkpoint_every=500,
        ),
    )


def _wikitext_long() -> LanguageConfig:
    """WikiText-2 to the end, for a GPU (data.source.path=…/language)."""
    base = _wikitext()
    return replace(
        base,
        data=replace(base.data, length=256, epoch_windows=0),
        model=HgnnConfig(embed_dim=256, num_layers=4, ffn_dim=1024, dropout=0.3),
        loading=LoadingConfig(batch_size=64, eval_batch_size=64),
        training=replace(
            _training(epochs=60, lr=2e-3, warmup_epochs=1), precision="bf16-mixed", device="cuda"
        ),
    )


def _tiny() -> LanguageConfig:
    """A few seconds, for trying things out and for tests."""
    return LanguageConfig(
        data=LanguageData(
            source=DocstringsSource(max_bytes=30_000), tokenizer=BytesTokenizer(), length=32
        ),
        model=HgnnConfig(embed_dim=16, num_layers=1, num_heads=2, ffn_dim=32, dropout=0.0),
        loading=LoadingConfig(batch_size=32, eval_batch_size=64),
        training=_training(epochs=10, lr=1e-2, warmup_epochs=0.5),
    )


def _training(
    *, epochs: int, lr: float, warmup_epochs: float, weight_decay: float = 0.1
) -> TrainingConfig:
    """AdamW with one cosine (Loshchilov & Hutter, 2019)."""
    return TrainingConfig(
        epochs=epochs,
        optimizer=OptimizerConfig(
            name="adamw", lr=lr, weight_decay=weight_decay, betas=(0.9, 0.95)
        ),
        scheduler=SchedulerConfig(name="cosine", warmup_epochs=warmup_epochs),
    )


_PRESETS: dict[str, Callable[[], LanguageConfig]] = {
    "docstrings": _docstrings,
    "wikitext": _wikitext,
    "wikitext_long": _wikitext_long,
    "tiny": _tiny,
}


def _model_level(model: ModelConfig) -> str:
    """The coupler and what distinguishes it: hgnn_all_pairs_learned, dense_compute."""
    if isinstance(model, HgnnConfig):
        edges = model.hyperedges if isinstance(model.hyperedges, str) else "custom"
        return f"hgnn_{edges}_{'learned' if model.learnable_weights else 'fixed'}"
    if isinstance(model, DenseConfig):
        return f"dense_{model.match}"
    return model.name
