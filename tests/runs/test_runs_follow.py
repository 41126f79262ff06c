"""What a mirror sends, in this process and with a tracker that only takes notes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from graphwright.config.io import digest
from graphwright.errors import RunError
from graphwright.runs.events import EventWriter, Record, read_events
from graphwright.runs.folder import RunFolder
from graphwright.runs.mirrors import follow as follow_module
from graphwright.runs.mirrors.base import Begun, Outcome, RunFacts
from graphwright.runs.mirrors.facts import facts_of
from graphwright.runs.mirrors.follow import follow_run
from graphwright.runs.mirrors.names import shown_name
from graphwright.runs.mirrors.position import Position, position_name
from graphwright.runs.status import Status, mark, session, write_status

CONFIG = "task: geometry\nmodel:\n  name: painn\n  dims: [1, 2]\n"


class Notes:
    """A tracker that remembers what it was told."""

    def __init__(self) -> None:
        self.facts: list[RunFacts] = []
        self.known: list[str | None] = []
        self.records: list[Record] = []
        self.batches: list[int] = []
        self.outcomes: list[Outcome] = []
        self.on_log: Callable[[], None] = lambda: None
        self.name = "run-1"
        self.destination = ""
        self.mark = -1
        self.piece: str | None = None
        self.discarded: list[str] = []
        self.steps_known: dict[str, int] = {}

    def check(self) -> None:
        pass

    def holds(self, tracker_id: str) -> bool:
        return tracker_id == self.name

    def begin(self, facts: RunFacts, tracker_id: str | None) -> Begun:
        self.facts.append(facts)
        self.known.append(tracker_id)
        fresh = tracker_id != self.name
        return Begun(tracker_id=self.name, fresh=fresh, piece=self.piece, steps=self.steps_known)

    def discard(self, piece: str) -> None:
        self.discarded.append(piece)

    def where(self) -> str:
        return "here"

    def log(self, records: Sequence[Record]) -> None:
        self.on_log()
        self.records += records
        self.batches.append(len(records))

    def finish(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def steps(self, name: str) -> list[int]:
        return [record.step for record in self.records if record.name == name]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path, ["geometry", "painn"], CONFIG)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Notes:
    made = Notes()
    monkeypatch.setattr(follow_module, "make_tracker", lambda *_: made)
    return made


def log(run: RunFolder, steps: range, *, resume: int | None = None) -> None:
    with EventWriter(run.events_path) as writer:
        if resume is not None:
            writer.mark_resume(resume)
        for step in steps:
            writer.log({"loss": step / 2}, step, 0)


def test_facts_metrics_and_outcome(run: RunFolder, notes: Notes) -> None:
    provenance = {
        "command": ["/x/graphwright", "train", "geometry/tiny"],
        "git": {"commit": "c0", "dirty": False},
    }
    run.write_json("provenance.json", {**provenance, "data_digest": "d1", "host": "here"})
    with session(run):
        log(run, range(5))
        metrics = {"mae": 0.5, "rmse": 0.7}
        run.write_json("metrics.json", {"split": "test", "metrics": metrics})
    follow_run(run, "notes", {"run_tags": {"sweep": "many"}}, follow=True)
    (facts,) = notes.facts
    assert facts.name == "geometry/painn/run_000"
    assert facts.params == {"task": "geometry", "model.name": "painn", "model.dims": [1, 2]}
    assert len(facts.identity) == 16
    assert facts.tags == {
        "run": str(run.path),
        "run_id": facts.identity,
        "task": "geometry",
        "levels": "geometry/painn",
        "config_digest": digest(run.config)[:12],
        "host": "here",
        "data_digest": "d1",
        "program": "graphwright train",
        "command": "graphwright train geometry/tiny",
        "git_commit": "c0",
        "git_dirty": "False",
        "sweep": "many",
    }
    assert [(r.step, r.value) for r in notes.records] == [(step, step / 2) for step in range(5)]
    (outcome,) = notes.outcomes
    assert outcome.state == "finished"
    assert outcome.last_step == 4
    assert outcome.metrics == {"test/mae": 0.5, "test/rmse": 0.7}
    assert outcome.tags["state"] == "finished"
    assert float(outcome.tags["duration_s"]) >= 0
    assert outcome.artifacts == [run.config_path, run.metrics_path, run.provenance_path]


@pytest.mark.parametrize(
    ("state", "expected"),
    [("failed", "failed"), ("interrupted", "interrupted"), ("running", "interrupted")],
)
def test_other_ends(run: RunFolder, notes: Notes, state: str, expected: str) -> None:
    write_status(run, Status(state=state, started=1.0, ended=2.0))  # type: ignore[arg-type]
    follow_run(run, "notes", {}, follow=True)
    assert notes.outcomes[0].state == expected
    assert notes.outcomes[0].artifacts == [run.config_path]


def test_a_run_that_died_before_it_ran_is_not_followed_for_ever(
    run: RunFolder, notes: Notes
) -> None:
    follow_run(run, "notes", {}, follow=True)
    assert notes.outcomes[0].state == "interrupted"


def test_a_damaged_status_ends_the_mirror(run: RunFolder, notes: Notes) -> None:
    def damage() -> None:
        run.status_path.write_text("{")

    with session(run):
        log(run, range(3))
        notes.on_log = damage
        with pytest.raises(RunError, match="damaged"):
            follow_run(run, "notes", {}, follow=True)
        run.status_path.unlink()
    assert notes.steps("loss") == [0, 1, 2]


def test_follows_until_the_end_and_reads_what_came_last(
    run: RunFolder, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_module, "_BATCH_S", 0.0)
    monkeypatch.setattr(follow_module, "_POLL_S", 0.001)

    def log_more_and_end() -> None:
        notes.on_log = lambda: None
        log(run, range(3, 7))
        mark(run, "finished")

    with session(run):
        log(run, range(3))
        notes.on_log = log_more_and_end
        follow_run(run, "notes", {}, follow=True)
    assert notes.steps("loss") == list(range(7))
    assert notes.outcomes[0].state == "finished"


def test_without_follow_a_running_run_stays_running(run: RunFolder, notes: Notes) -> None:
    with session(run):
        log(run, range(3))
        follow_run(run, "notes", {}, follow=False)
        assert notes.outcomes[0].state == "running"
        log(run, range(3, 6))
    follow_run(run, "notes", {}, follow=False)
    assert notes.known == [None, "run-1"]
    assert notes.steps("loss") == list(range(6))


def test_batches_are_small_and_positions_are_kept(run: RunFolder, notes: Notes) -> None:
    log(run, range(5000))
    kept: list[int] = []
    notes.on_log = lambda: kept.append(Position.load(run.mirrors / "notes.json").offset)
    follow_run(run, "notes", {}, follow=False)
    assert notes.steps("loss") == list(range(5000))
    assert max(notes.batches) <= 1000
    assert kept[0] == 0
    assert kept == sorted(kept)
    assert kept[-1] > 0
    assert Position.load(run.mirrors / "notes.json").offset == run.events_path.stat().st_size


@pytest.mark.parametrize("mirrored_before_kill", [True, False])
def test_resume_doubles_nothing(
    run: RunFolder, notes: Notes, *, mirrored_before_kill: bool
) -> None:
    log(run, range(1, 13))
    if mirrored_before_kill:
        follow_run(run, "notes", {}, follow=False)
    log(run, range(11, 21), resume=10)
    follow_run(run, "notes", {}, follow=False)
    assert notes.steps("loss") == list(range(1, 21))


def test_a_lost_tracker_run_is_told_everything_again(run: RunFolder, notes: Notes) -> None:
    log(run, range(3))
    follow_run(run, "notes", {}, follow=False)
    notes.name = "run-2"
    follow_run(run, "notes", {}, follow=False)
    assert notes.steps("loss") == [0, 1, 2, 0, 1, 2]


def test_a_failed_batch_is_sent_again_by_the_next_mirror(run: RunFolder, notes: Notes) -> None:
    def fail() -> None:
        raise ConnectionError("tracker is down")

    log(run, range(3))
    notes.on_log = fail
    with pytest.raises(ConnectionError):
        follow_run(run, "notes", {}, follow=False)
    notes.on_log = lambda: None
    follow_run(run, "notes", {}, follow=False)
    assert notes.known == [None, "run-1"]
    assert notes.steps("loss") == [0, 1, 2]


def test_final_metrics_that_were_events_are_not_repeated(run: RunFolder, notes: Notes) -> None:
    with EventWriter(run.events_path) as writer:
        writer.log({"test_mae": 0.5}, 9, 0)
    run.write_json("metrics.json", {"split": "test", "metrics": {"mae": 0.5, "bias": 0.1}})
    follow_run(run, "notes", {}, follow=False)
    assert notes.outcomes[0].metrics == {"test/bias": 0.1}


def test_a_damaged_position_starts_over(run: RunFolder, notes: Notes) -> None:
    run.mirrors.mkdir()
    (run.mirrors / "notes.json").write_text('{"offset": ')
    log(run, range(2))
    follow_run(run, "notes", {}, follow=False)
    assert notes.steps("loss") == [0, 1]


def test_a_run_outside_its_root_is_named_by_its_folder(run: RunFolder, notes: Notes) -> None:
    elsewhere = RunFolder.open(run.path, root=run.path / "elsewhere")
    follow_run(elsewhere, "notes", {}, follow=False)
    assert notes.facts[0].name == "run_000"


def test_an_unknown_tracker(run: RunFolder) -> None:
    with pytest.raises(RunError, match="did you mean mlflow"):
        follow_run(run, "mlfow", {}, follow=False)
    assert not run.mirrors.exists()


# -- what is sent once ---------------------------------------------------------------------------


def test_a_replay_sends_what_readers_read(run: RunFolder, notes: Notes) -> None:
    """The later copy of a repeated step, as `read_events` gives it, however often it resumed."""
    log(run, range(1, 13))
    log(run, range(9, 16), resume=8)
    log(run, range(5, 31), resume=4)
    follow_run(run, "notes", {}, follow=False)
    events = read_events(run.events_path)
    steps, _, values = events.series("loss")
    sent = [(record.step, record.value, record.time) for record in notes.records]
    assert sent == list(zip(steps, values, events.times("loss"), strict=True))
    assert [step for step, *_ in sent] == list(range(1, 31))


def test_nothing_new_is_not_sent(run: RunFolder, notes: Notes) -> None:
    with session(run):
        log(run, range(3))
    first = follow_run(run, "notes", {}, follow=False)
    again = follow_run(run, "notes", {}, follow=False)
    assert (first.metrics, first.changed, first.where) == (3, True, "here")
    assert (again.metrics, again.changed, again.tracker_id) == (0, False, "run-1")
    assert len(notes.facts) == len(notes.outcomes) == 1
    run.figures.mkdir()
    (run.figures / "curve.svg").write_text("<svg/>")
    assert follow_run(run, "notes", {}, follow=False).changed
    assert notes.outcomes[-1].artifacts[-1].name == "curve.svg"


def test_each_destination_has_its_position(run: RunFolder, notes: Notes) -> None:
    log(run, range(3))
    follow_run(run, "notes", {}, follow=False)
    notes.destination = "http://lab:5000"
    assert follow_run(run, "notes", {}, follow=False).metrics == 3
    notes.destination = ""
    assert not follow_run(run, "notes", {}, follow=False).changed
    positions = sorted(path.name for path in run.mirrors.glob("*.json"))
    assert positions == [f"{position_name('notes', 'http://lab:5000')}.json", "notes.json"]


def test_a_torn_piece_is_removed_and_sent_again(run: RunFolder, notes: Notes) -> None:
    def die() -> None:
        raise KeyboardInterrupt

    log(run, range(3))
    notes.piece = "piece-1"
    follow_run(run, "notes", {}, follow=False)
    assert notes.discarded == []
    log(run, range(3, 9000))
    notes.piece, notes.on_log = "piece-2", lambda: die() if len(notes.records) > 5000 else None
    with pytest.raises(KeyboardInterrupt):
        follow_run(run, "notes", {}, follow=False)
    position = Position.load(run.mirrors / "notes.json")
    assert position.piece == "piece-2"
    assert position.offset > 0
    notes.on_log, notes.records, notes.piece = lambda: None, [], "piece-3"
    follow_run(run, "notes", {}, follow=False)
    assert notes.discarded == ["piece-2"]
    assert notes.steps("loss") == list(range(3, 9000))  # what piece-1 has stays
    assert Position.load(run.mirrors / "notes.json").piece is None


def test_a_run_that_the_tracker_found_goes_on_where_it_is(run: RunFolder, notes: Notes) -> None:
    log(run, range(9))
    notes.steps_known = {"loss": 5}
    follow_run(run, "notes", {}, follow=False)
    assert notes.steps("loss") == [6, 7, 8]


def test_a_second_mirror_does_not_wait_for_ever(run: RunFolder, notes: Notes) -> None:
    def another() -> None:
        notes.on_log = lambda: None
        with pytest.raises(RunError, match="being written by process"):
            follow_run(run, "notes", {}, follow=False, patience_s=0.05)

    log(run, range(3))
    notes.on_log = another
    assert follow_run(run, "notes", {}, follow=False).metrics == 3


def test_the_identity_is_of_the_run_and_not_of_its_place(run: RunFolder, tmp_path: Path) -> None:
    run.write_json("provenance.json", {"start": "2026-01-01T00:00:00+00:00", "host": "a"})
    copy = RunFolder.open(shutil.copytree(run.path, tmp_path / "elsewhere" / run.path.name))
    other = RunFolder.create(run.root, ["geometry", "painn"], CONFIG)
    assert facts_of(copy).identity == facts_of(run).identity
    assert facts_of(other).identity != facts_of(run).identity
    first = {"start": "2026-01-01T00:00:00+00:00", "host": "a"}
    write_status(run, Status(state="interrupted", started=1.8e9, ended=1.8e9 + 5))
    resumed = {"start": "2026-02-01T00:00:00+00:00", "host": "b", "resumed_from": [first]}
    run.write_json("provenance.json", resumed)
    assert facts_of(run).identity == facts_of(copy).identity
    assert facts_of(run).started == datetime(2026, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("train_loss_step", "train/loss_step"),
        ("val_hyperedge_weight/layer0_conv0/0-1", "val/hyperedge_weight/layer0_conv0/0-1"),
        ("test_mae", "test/mae"),
        ("lr", "train/lr"),
        ("tokens_per_s", "system/tokens_per_s"),
        ("rss_peak_mb", "system/rss_peak_mb"),
        ("training_time", "training_time"),
        ("odd @name", "odd _name"),
        ("val_", "val_"),
    ],
)
def test_names(name: str, shown: str) -> None:
    assert shown_name(name) == shown
