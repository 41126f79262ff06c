"""Who takes the contract battery. A new task joins by adding one `Contract` to `CONTRACTS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphwright.tasks.canbus.capture_writer import write_capture
from graphwright.tasks.canbus.traffic import generate_traffic

__all__ = ["CONTRACTS", "SETTINGS", "Contract", "cut_in_half"]

SETTINGS = ("tracking.mlflow=off", "training.threads=1", "training.log_every=1")


def cut_in_half(path: Path) -> None:
    """Damage a file as a broken transfer does."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _scribble_over(path: Path) -> None:
    """What a disk may give back: half a table would still be a table."""
    path.write_bytes(bytes(range(256)) * 4)


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What the battery must know of a task.

    Attributes:
        preset: something that trains in a second or two, with several batches an epoch.
        sample: writes a user's own input file into a folder and returns its path.
        overrides: for all variants, on top of the preset.
        variants: one for each model, each some overrides with spaces between; every variant takes
            the whole battery.
        overfit: further overrides for learning a handful by heart (no dropout, say).
        overfit_samples: how many training samples are learnt by heart.
        overfit_steps: optimizer steps (Adam) for that.
        overfit_lr: its learning rate at first; it falls to nothing.
        overfit_loss: the loss on them, in evaluation mode, ends below this.
        damage: spoils the file that `sample` wrote.
        tolerance: of a float64 prediction, relative to the largest, when its batch mates change.
    """

    preset: str
    sample: Callable[[Path], Path]
    overrides: tuple[str, ...] = ()
    variants: tuple[str, ...]
    overfit: tuple[str, ...] = ()
    overfit_samples: int = 2
    overfit_steps: int = 150
    overfit_lr: float = 1e-2
    overfit_loss: float
    damage: Callable[[Path], None] = cut_in_half
    tolerance: float = 1e-10


def _structures(folder: Path) -> Path:
    """Three clouds of points, as a user may have them."""
    rng = np.random.default_rng(3)
    path = folder / "structures.npz"
    np.savez(path, pos=rng.normal(size=(60, 3)), offsets=np.array([0, 15, 40, 60]))
    return path


def _architectures(folder: Path) -> Path:
    """A table of four cells in two ways of writing."""
    path = folder / "archs.csv"
    rows = ["arch", "133400", "444231", "|nor_conv_3x3~0|+|none~0|skip_connect~1|", "000000"]
    rows[3] += "+|skip_connect~0|nor_conv_1x1~1|avg_pool_3x3~2|"
    path.write_text("\n".join(rows) + "\n")
    return path


def _capture(folder: Path) -> Path:
    """Two seconds of a vehicle's traffic, in the columns of can-train-and-test."""
    path = folder / "drive.csv"
    write_capture(generate_traffic(2.0, 5), path)
    return path


def _gene_sets(folder: Path) -> Path:
    """A pair, a triple and another pair of the generated genes."""
    path = folder / "sets.tsv"
    path.write_text("G0001\tG0002\nG0003\tG0004\tG0050\nG0007\tG0070\n")
    return path


def _text(folder: Path) -> Path:
    """A few lines of text, an empty one among them."""
    path = folder / "notes.txt"
    path.write_text("Return the name.\n\nOpen a file and return a stream.\n")
    return path


_SMALL = ("data.source.count=40", "training.epochs=2", "model.hidden_dim=16", "model.num_layers=2")

CONTRACTS: tuple[Contract, ...] = (
    Contract(
        preset="geometry/tiny",
        sample=_structures,
        overrides=_SMALL,
        variants=("model=painn", "model=egnn", "model=gcn"),
        overfit=("model.dropout=0", "model.hidden_dim=32"),
        overfit_loss=0.05,  # a tenth of what it starts with
    ),
    Contract(
        preset="nas/tiny",
        sample=_architectures,
        overrides=(
            "data.split.train=40",
            "data.split.val=10",
            "data.split.test=20",
            "training.epochs=2",
            "training.validate_every=1",
            "model.members=2",
            "loading.batch_size=16",
            # a ranking loss is no mean over samples
            "loss.name=mse",
            "loss.relation=0",
        ),
        variants=("model=dag_ensemble", "model=fr_nas", "model=simple_gcn"),
        damage=_scribble_over,
        overfit_samples=4,
        overfit_steps=200,
        overfit_loss=0.05,
    ),
    Contract(
        preset="genes/tiny",
        sample=_gene_sets,
        overrides=(
            "data.source.genes=80",
            "data.source.sets=160",
            "training.epochs=2",
            "model.hidden_dim=8",
        ),
        variants=(
            "model.conv=gin model.combination=gating",
            "model.conv=gatv2 model.combination=concat",
            "model.aggregator=pairwise_interaction model.combination=global model.base=ridge",
            "model.combination=local",
        ),
        damage=_scribble_over,
        overfit=("model.hidden_dim=16",),
        overfit_samples=4,
        overfit_loss=0.01,
    ),
    Contract(
        preset="language/tiny",
        sample=_text,
        overrides=(
            "data.source.max_bytes=20000",
            "data.tokenizer=bpe",
            "data.tokenizer.vocab_size=300",
            "data.length=16",
            "training.epochs=2",
        ),
        variants=(
            "model=gnn",
            "model=hgnn model.hyperedges=all_triplets",
            "model=dense",
            "model=gnn model.top_k=2",
        ),
        damage=_scribble_over,
        overfit=("model.embed_dim=32",),
        overfit_steps=200,
        overfit_loss=0.05,  # nats; it starts at ln 300
    ),
    *(
        Contract(
            preset=f"canbus/automotive_traffic_{name}",
            sample=_capture,
            overrides=("data.source.seconds=3", "training.epochs=2", "loading.batch_size=16"),
            variants=("model.dropout=0",),
            damage=_scribble_over,
            overfit=("model.unknown_rate=0",),
            overfit_samples=4,
            overfit_steps=150,
            overfit_loss=loss,
        )
        for name, loss in (
            ("classifier_gat_tiny_no_all_samples", 0.05),
            ("unsupervised_vgae_tiny_no_normals_only", 0.6),
        )
    ),
)
