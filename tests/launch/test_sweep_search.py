"""A search proposes, prunes, repeats nothing and goes on; trainings are played by a stand-in."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from graphwright.config.presets import from_yaml
from graphwright.errors import RunError
from graphwright.launch.search import plan as search_plan
from graphwright.launch.search import run as search_run
from graphwright.launch.search.objective import Follower, Objective
from graphwright.launch.search.plan import SearchPlan
from graphwright.launch.search.result import SearchResult
from graphwright.launch.search.run import run_search
from graphwright.launch.sweep.folder import runs_of_sweep
from graphwright.launch.sweep.pool import Ended
from graphwright.runs.events import EventWriter
from graphwright.runs.status import mark, read_status, session

pytest.importorskip("optuna")

LR = "training.optimizer.lr"
EPOCHS = 6
Play = Callable[[Any], "list[float] | Ended"]


class Stage:
    """Plays a worker pool: a run is over the moment it starts, with the values of `play`."""

    def __init__(self, play: Play) -> None:
        self.play, self.started, self._ended = play, [], []
        self.running: list[Path] = []
        self.stopped: set[Path] = set()

    def __call__(self, *_: object) -> Stage:
        return self

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None: ...

    @property
    def free(self) -> int:
        return 1 - len(self._ended)

    def start(self, run: Path) -> None:
        self.started.append(run)
        played = self.play(from_yaml((run / "config.yaml").read_text()))
        if isinstance(played, Ended):
            with session(run):
                mark(run, "failed", error=played.error)
            self._ended.append(Ended(run, played.state, played.error, played.cause))
            return
        with session(run), EventWriter(run / "events.jsonl") as events:
            for epoch, value in enumerate(played):
                events.log({"val_loss": value, "val_mae": -value}, 10 * epoch, epoch)
            if math.inf in played:
                mark(run, "interrupted")
        self._ended.append(Ended(run, read_status(run).state))

    def wait(self, timeout_s: float | None = None) -> list[Ended]:
        ended, self._ended = self._ended, []
        return ended

    def stop(self, run: Path) -> None:
        self.stopped.add(run)

    def stop_all(self) -> list[Ended]:
        return self.wait()


def _bowl(config: Any) -> list[float]:
    """Best at lr = 1e-2, better with every epoch."""
    distance = abs(math.log10(config.training.optimizer.lr) + 2)
    return [distance + 1 / (epoch + 1) for epoch in range(EPOCHS)]


@pytest.fixture
def searched(place, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[SearchResult, Stage]]:
    def found(task: str, name: str, direction: str) -> Objective:
        return Objective(name or "val_loss", direction == "maximize", "val_loss", False)

    monkeypatch.setattr(search_plan, "find_objective", found)

    def run(play: Play = _bowl, *words: str, **options: Any) -> tuple[SearchResult, Stage]:
        stage = Stage(play)
        monkeypatch.setattr(search_run, "Pool", stage)
        roots = {key: options.pop(key) for key in ("retry_failed",) if key in options}
        plan = {"name": "s", "trials": 12, "pruner": "none", **options}
        words = words or (f"{LR}=log(1e-4,1.0)",)
        searched_plan = SearchPlan(
            preset="geometry/tiny", overrides=(f"training.epochs={EPOCHS}", *words), **plan
        )
        roots |= {"sweeps_root": place.home / "sweeps", "runs_root": place.runs}
        return run_search(searched_plan, **roots), stage

    return run


def _told(result: SearchResult) -> list[tuple[Any, ...]]:
    return [(t.values, t.state, t.value, dict(t.reports)) for t in result.trials]


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_it_finds_what_is_best(searched, sampler: str) -> None:
    result, stage = searched(sampler=sampler, trials=14)
    assert len(stage.started) == len(result.trials) == 14
    assert result.best is not None
    assert result.best.value == min(trial.value for trial in result.trials)
    assert result.best.value < 0.4 + 1 / EPOCHS  # where the ends of the range have 2
    summary = json.loads((result.folder / "search.json").read_text())
    assert summary["best"]["run"] == result.best.run
    assert summary["history"][-1]["trial"] == result.best.number
    assert list(summary["importance"]) == [LR]
    assert len(runs_of_sweep(result.folder)) == 14


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_the_same_seed_gives_the_same_trials_and_another_does_not(searched, pruner: str) -> None:
    one, _ = searched(name="same", pruner=pruner)
    # (its runs are there already, and finished ones are not repeated)
    other, stage = searched(name="other", pruner=pruner, seed=1)
    assert [t.values for t in other.trials] != [t.values for t in one.trials]
    assert len(stage.started) == 12
    pruned = [trial for trial in one.trials if trial.state == "pruned"]
    assert pruned
    for trial in pruned:
        assert len(trial.reports) < EPOCHS
        assert trial.value == trial.reports[max(trial.reports)]
        assert Path(trial.run).is_dir()
    kept = {trial.run for trial in one.trials if trial.state == "finished"}
    assert {str(run) for run in runs_of_sweep(one.folder)} == kept


def test_killed_at_any_moment_it_ends_as_if_undisturbed(
    searched, monkeypatch: pytest.MonkeyPatch, place
) -> None:
    """Dies at one write of the study in five."""
    whole, _ = searched(pruner="median")
    (place.home / "runs").rename(place.home / "other_runs")
    (place.home / "sweeps").rename(place.home / "other_sweeps")

    from optuna.storages.journal import JournalFileBackend

    class Killed(BaseException):
        """No `except Exception` sees it, as no code sees a SIGKILL."""

    append = JournalFileBackend.append_logs
    draw, kills = random.Random(3), 0

    def deadly(self: Any, logs: list[dict[str, Any]]) -> None:
        if draw.random() < 0.2:
            raise Killed
        append(self, logs)

    monkeypatch.setattr(JournalFileBackend, "append_logs", deadly)
    again = None
    while again is None:
        with suppress(Killed):
            again, _ = searched(pruner="median")
        kills += again is None
        assert kills < 200
    assert kills > 10
    assert _told(again) == _told(whole)
    assert len(list(place.runs.rglob("config.yaml"))) == 12


def test_what_a_kill_leaves_of_the_journal(searched) -> None:
    result, _ = searched(trials=3)
    (result.folder / "study.log.lock").symlink_to("study.log")
    with (result.folder / "study.log").open("ab") as file:
        file.write(b'{"op_code":4,"stu')
    again, stage = searched(trials=5)  # and more trials than before are no other plan
    assert _told(again)[:3] == _told(result)
    assert len(stage.started) == 2
    with pytest.raises(RunError, match="another plan"):
        searched(trials=5, seed=9)


def test_a_configuration_that_comes_again_is_not_trained_again(searched) -> None:
    result, stage = searched(_bowl, f"{LR}=1e-3,1e-2", trials=8)
    assert len(stage.started) == 2
    assert len(result.trials) == 8
    assert {trial.value for trial in result.trials} == {
        1 + 1 / EPOCHS, 1 / EPOCHS
    }  # fmt: skip
    assert result.best is not None
    assert result.best.values[LR] == "0.01"


def test_failures_are_listed_and_tried_again_when_asked(searched) -> None:
    def fails(config: Any) -> list[float] | Ended:
        if config.training.optimizer.lr > 0.1:
            return Ended(Path(), "failed", "the loss is not finite", "training")
        return _bowl(config)

    result, _ = searched(fails, trials=20)
    failed = [trial for trial in result.trials if trial.state == "failed"]
    assert 0 < len(failed) < 10
    assert {trial.error for trial in failed} == {"the loss is not finite"}
    again, stage = searched(trials=20)
    assert not stage.started
    assert _told(again) == _told(result)
    mended, stage = searched(trials=20, retry_failed=True)
    assert {str(run) for run in stage.started} == {trial.run for trial in failed}
    assert [trial.state for trial in mended.trials] == ["finished"] * 20
    rows = json.loads((mended.folder / "result.json").read_text())
    assert len({row["run"] for row in rows}) == len(rows) == 20


def test_a_mistake_leaves_no_run(searched, place) -> None:
    result, _ = searched(
        lambda config: Ended(Path(), "failed", "no such file", "mistake"), trials=2
    )
    assert [trial.state for trial in result.trials] == ["failed", "failed"]
    assert result.best is None
    assert not list(place.runs.rglob("config.yaml"))
    with pytest.raises(RunError, match="no run of this sweep is finished"):
        runs_of_sweep(result.folder)


def test_another_objective(searched) -> None:
    result, _ = searched(objective="val_mae", direction="maximize", trials=4)
    # the value of the weights that are kept, those of the best val_loss
    expected = max(-(abs(math.log10(t.values[LR]) + 2) + 1 / EPOCHS) for t in result.trials)
    assert result.best is not None
    assert result.best.value == pytest.approx(expected)
    with pytest.raises(RunError, match="did you mean val_mae"):
        searched(name="typo", objective="val_maee", direction="maximize", trials=1)


def test_repeated_validations_of_a_resumed_run_count_once(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "events.jsonl") as events:
        events.log({"val_loss": 3.0, "other": 1.0}, 1, 0)
        events.log({"val_loss": 2.0}, 2, 1)
        events.mark_resume(1)
        events.log({"val_loss": 2.0}, 2, 1)
        events.log({"val_loss": 1.0}, 3, 2)
    assert Follower(tmp_path, "val_loss").read() == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert Follower(tmp_path, "val_loss", known=2).read() == [(3, 1.0)]
