"""Prepared data: what there is, make it, look at it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphwright.config.presets import task_module
from graphwright.config.schema import TaskConfig
from graphwright.errors import DataError
from graphwright.runs.files import read_json

__all__ = ["describe_store", "list_stores", "prepare_data"]


def prepare_data(config: TaskConfig, data_root: Path) -> dict[str, Any]:
    """Read, validate and pack the data of a configuration.

    Returns:
        What training would see: counts, splits, rejected rows, where the store is.
    """
    task = task_module(config.task, "task").TASK(config, data_root)
    data = task.split(task.load())
    return {"digest": data.digest, "split_digest": data.split_digest, **data.summary}


def list_stores(data_root: Path) -> list[Path]:
    """Folders of all prepared stores below a data root."""
    return sorted(path.parent for path in data_root.glob("**/schema.json"))


def describe_store(path: Path) -> dict[str, Any]:
    """Counts, fields and rejected rows of a store.

    A store that is no packed graphs says in its `schema.json` whose it is ("task"); that task's
    module `store` then describes it.

    Raises:
        DataError: no store there, or a truncated one.
    """
    from graphwright.data.packed import PackedGraphs

    folder = path / "store" if (path / "store").is_dir() else path
    if not folder.is_dir():
        raise DataError("there is no such store", where=path, fix="graphwright data list")
    if (folder / "schema.json").is_file() and (owner := _owner(folder)):
        described: dict[str, Any] = task_module(owner, "store").describe(folder.parent)
        return described
    store = PackedGraphs.open(folder)
    nodes, edges = store.node_counts(), store.edge_counts()
    summary: dict[str, Any] = {
        "graphs": len(store),
        "nodes": int(nodes.sum()),
        "edges": int(edges.sum()),
        "nodes per graph": _spread(nodes),
        "edges per graph": _spread(edges),
        "digest": store.digest,
        "bytes": sum(file.stat().st_size for file in folder.iterdir()),
        "fields": [
            f"{f.level} {f.name}: {f.dtype}{list(f.shape)} {f.unit} {f.meaning}".strip()
            for f in store.fields
        ],
        **{f"attribute {k}": v for k, v in store.attributes.items()},
    }
    rejected = folder.parent / "rejected.json"
    return {**summary, "rejected": read_json(rejected)} if rejected.exists() else summary


def _owner(folder: Path) -> str:
    """The task that alone can read a store; "" for packed graphs, which anybody can."""
    schema = read_json(folder / "schema.json")
    return str(schema.get("task", "")) if isinstance(schema, dict) else ""


def _spread(counts: Any) -> str:
    return f"{counts.min()} to {counts.max()}, mean {counts.mean():.1f}" if len(counts) else "none"
