"""The embedded table: accuracies of tiny networks that were really trained. See README.md."""

from __future__ import annotations

from pathlib import Path

__all__ = ["table_path"]


def table_path() -> Path:
    """Of `table.csv.gz`: arch, acc_seed0, acc_seed1, val_acc, params, macs, train_seconds."""
    return Path(__file__).parent / "table.csv.gz"
