"""Many configurations, one run each, nothing twice."""

from __future__ import annotations

from dataclasses import replace

from graphwright.config.presets import resolve_preset
from graphwright.launch.sweep.many import run_all
from graphwright.runs.index import find_runs


def test_finished_runs_are_not_repeated_and_failures_are_told(place, tiny) -> None:
    config = resolve_preset("geometry/tiny", [*tiny, "training.fast_dev_run=0"])
    # a number that is another one after it was written and read: still the same configuration
    whole = replace(config, training=replace(config.training, gradient_clip=1))
    bad = replace(config, seed=1, model=replace(config.model, cutoff=1e-9))
    heard = []
    first = run_all(
        [whole, bad],
        runs_root=place.runs,
        data_root=place.data,
        after_each=lambda count, one: heard.append((count, one.error)),
    )
    done = {outcome.config.seed: outcome for outcome in first}
    assert done[0].run is not None
    assert [count for count, _ in heard] == [1, 2]
    again = run_all([whole], runs_root=place.runs, data_root=place.data)
    assert [outcome.run for outcome in again] == [done[0].run]
    assert len([run for run in find_runs(place.runs) if run.state == "finished"]) == sum(
        outcome.run is not None for outcome in first
    )
