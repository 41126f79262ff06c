"""Names of metrics as trackers show them.

MLflow, W&B and TensorBoard all group charts by what stands before a slash, so `val_loss` goes as
`val/loss`. MLflow has a page of its own for what begins with `system/`. Signs that it refuses
become `_`.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["LONGEST_NAME", "shown_name", "title", "without_odd_signs"]

LONGEST_NAME = 250  # MLflow's limit

_ODD = re.compile(r"[^\w\-./: ]")
_SPLIT = re.compile(r"(train|val|test)_(?=.)")
_GROUPS = {
    "train": re.compile(r"lr|grad_norm"),
    "system": re.compile(r"epoch_s|\w+_per_s|rss_mb|rss_peak_mb|device_mem_mb"),
}


@lru_cache(maxsize=65536)
def shown_name(name: str) -> str:
    """`train_loss` as `train/loss`, `rss_mb` as `system/rss_mb`; most others as they are.

    >>> shown_name("val_hyperedge_weight/layer0/0-1")
    'val/hyperedge_weight/layer0/0-1'
    """
    for group, members in _GROUPS.items():
        if members.fullmatch(name):
            return f"{group}/{name}"
    return without_odd_signs(_SPLIT.sub(r"\1/", name, count=1) if _SPLIT.match(name) else name)


def title(path: str) -> str:
    """A run's path with what tells runs apart first: tables of runs cut long names off.

    >>> title("geometry/scans/dipole/painn/run_000"), title("geometry/run_000"), title("run_000")
    ('painn/run_000 (scans/dipole)', 'geometry/run_000', 'run_000')
    """
    parts = path.split("/")
    rest = "/".join(parts[1:-2])
    return "/".join(parts[-2:]) + (f" ({rest})" if rest else "")


def without_odd_signs(name: str) -> str:
    """A name that every tracker takes."""
    return _ODD.sub("_", name)[:LONGEST_NAME]
