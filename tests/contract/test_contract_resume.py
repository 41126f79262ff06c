"""The same configuration gives the same weights, interrupted or not."""

from __future__ import annotations

from collections.abc import Callable

from contract_case import Case, assert_same

from graphwright.launch.local import resume
from graphwright.runs.events import read_events
from graphwright.runs.folder import RunFolder
from graphwright.runs.status import read_status

# what a clock or the operating system says, and not the training
_MEASURED = ("_per_s", "_s", "_mb")


def test_two_runs_are_bit_equal(case: Case) -> None:
    _assert_equal_runs(case, case.train(), case.run)


def test_resumed_equals_uninterrupted(case: Case, stop_after: Callable[[int], None]) -> None:
    batches = case.prepared.feed.batches
    assert batches > 2, "the preset needs several batches an epoch"
    stop_after(batches - 1)
    run = case.train()
    assert read_status(run.path).state == "interrupted"
    assert not run.metrics_path.exists()
    stop_after(2)  # the second stop is in the next epoch
    assert resume(run, data_root=case.data_root) == "interrupted"
    assert case.last_state(run)["step"] == batches + 1
    stop_after(0)
    assert resume(run, data_root=case.data_root) == "finished"
    _assert_equal_runs(case, run, case.run)


def _assert_equal_runs(case: Case, run: RunFolder, reference: RunFolder) -> None:
    assert_same(case.last_state(run), case.last_state(reference))
    assert run.read_json("metrics.json") == reference.read_json("metrics.json")
    for name in ("bundle/weights.safetensors", "predictions.parquet"):
        assert (run.path / name).read_bytes() == (reference.path / name).read_bytes(), name
    ours, theirs = read_events(run.events_path), read_events(reference.events_path)
    assert set(ours.names()) == set(theirs.names())
    for name in ours.names():
        if not name.endswith(_MEASURED):
            assert ours.series(name) == theirs.series(name), name
