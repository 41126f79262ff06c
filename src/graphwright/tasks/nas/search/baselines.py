"""Simulated searches beside a real one, seed after seed, written down as they end."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from graphwright.errors import ConfigError
from graphwright.runs.files import read_json, write_json_atomic
from graphwright.runs.folder import CONFIG_NAME
from graphwright.tasks.nas.search.config import SearchConfig, TableTrainer, read_config
from graphwright.tasks.nas.search.lookup import Lookup
from graphwright.tasks.nas.search.pools import PoolSource
from graphwright.tasks.nas.search.results import RESULTS_NAME
from graphwright.tasks.nas.search.run import open_problem
from graphwright.tasks.nas.search.simulate import Trace, simulate, strategy_config, summarise

__all__ = ["add_baselines"]


def add_baselines(
    folder: Path,
    names: Sequence[str],
    seeds: int,
    data_root: Path,
    *,
    say: logging.Logger | None = None,
) -> None:
    """Simulate strategies and predictors on the table of a finished search, into its results.

    Every seed is kept in `baselines/` and never simulated again.

    Raises:
        ConfigError: the search has no table, or there is no strategy of a name.
    """
    config = read_config(folder / CONFIG_NAME)
    if not isinstance(config.trainer, TableTrainer):
        raise ConfigError("baselines need a table that knows all answers", where=folder)
    configs = {name: strategy_config(config, name) for name in names}  # wrong names first
    source, table = open_problem(config, data_root)
    assert table is not None
    results = read_json(folder / RESULTS_NAME)
    (folder / "baselines").mkdir(exist_ok=True)
    results["baselines"] = []
    for name, own in configs.items():
        stem = folder / "baselines" / name
        traces = [_trace(own, seed, source, table, stem) for seed in range(seeds)]
        results["baselines"].append(summarise(name, traces))
        write_json_atomic(folder / RESULTS_NAME, results)
        if say is not None:
            final = np.median([trace.best_T[-1] for trace in traces])
            say.info("%s, %d seeds: median best %.6g", name, seeds, final)


def _trace(config: SearchConfig, seed: int, source: PoolSource, table: Lookup, stem: Path) -> Trace:
    path = stem.with_name(f"{stem.name}_{seed:03d}.json")
    if path.exists():
        return Trace.from_json(json.loads(path.read_text()))
    trace = simulate(dataclasses.replace(config, seed=seed), source, table)
    write_json_atomic(path, trace.to_json())
    return trace
