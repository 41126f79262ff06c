"""A search from its folder: ask, train, write down, until the budget is spent.

The folder is `<runs root>/nas_search/<name>/search_NNN`: `config.yaml` (written first),
`status.json`, `journal.jsonl`, `trainings/` (logs), `results.json`. A search that was killed goes
on from its journal: what was asked for and not told is trained again, what was told never.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from pathlib import Path

from graphwright.config.io import to_yaml
from graphwright.errors import RunError, TrainingError
from graphwright.runs.files import write_json_atomic
from graphwright.runs.folder import CONFIG_NAME, RunFolder
from graphwright.runs.status import read_status, session
from graphwright.tasks.nas.search.ask_tell import Searcher
from graphwright.tasks.nas.search.candidates import Candidate, Trial
from graphwright.tasks.nas.search.config import SearchConfig, TableTrainer, read_config
from graphwright.tasks.nas.search.journal import JOURNAL_NAME, Journal, read_journal
from graphwright.tasks.nas.search.lookup import Lookup, read_lookup
from graphwright.tasks.nas.search.pools import PoolSource, make_source
from graphwright.tasks.nas.search.predictor import Predictor
from graphwright.tasks.nas.search.results import RESULTS_NAME, round_summary, search_results
from graphwright.tasks.nas.search.trainers import Trainer, make_trainer

__all__ = ["create_search", "open_problem", "run_search"]

_logger = logging.getLogger(__name__)
_NUMBERED = re.compile(r"search_(\d{3,})")
_ATTEMPTS = 1000


def create_search(config: SearchConfig, runs_root: Path) -> Path:
    """Make the next free folder of a search, with its configuration in it.

    Raises:
        RunError: the folder cannot be made or written.
    """
    parent = runs_root.expanduser().absolute().joinpath(*config.levels())
    for _ in range(_ATTEMPTS):
        taken = [_NUMBERED.fullmatch(path.name) for path in parent.glob("search_*")]
        name = f"search_{max((int(found[1]) for found in taken if found), default=-1) + 1:03d}"
        try:
            text = to_yaml(config)
            return RunFolder.create(runs_root, config.levels(), text, name=name).path
        except RunError:
            if not (parent / name).exists():  # not because somebody else took the number
                raise
    raise RunError("could not take a free search number", where=parent)  # pragma: no cover


def open_problem(config: SearchConfig, data_root: Path) -> tuple[PoolSource, Lookup | None]:
    """Pool and table of a configuration.

    Raises:
        ConfigError: the space does not fit the pool.
        DataError: the table or an architecture cannot be read.
    """
    table = None
    if isinstance(config.trainer, TableTrainer):
        table = read_lookup(config.trainer, config.pool.space)
    texts = [] if table is None else list(table.texts)
    return make_source(config.pool, texts, data_root), table


def run_search(folder: Path, data_root: Path, predictor: Predictor | None = None) -> Path:
    """Start a search or go on with it; returns the path of its results.

    Args:
        folder: made by `create_search`; that of a finished search is left as it is.
        data_root: keeps the cells of NAS-Bench-101.
        predictor: in the place of the configured one.

    Raises:
        RunError: this is no search, or another process works on it.
        TrainingError: every one of the first trainings failed.
    """
    folder = RunFolder.open(folder).path
    config = read_config(folder / CONFIG_NAME)
    if read_status(folder).state == "finished":
        return folder / RESULTS_NAME
    source, table = open_problem(config, data_root)
    searcher = Searcher.from_config(config, source, predictor)
    with session(folder), Journal(folder / JOURNAL_NAME) as journal:
        remembered = read_journal(folder / JOURNAL_NAME)
        searcher.restore(remembered.asked, remembered.told)
        trainer = make_trainer(config, folder / "trainings", table)
        try:
            choosing_s = _Loop(config, searcher, trainer, journal).run(
                remembered.choosing_s, remembered.closed
            )
        finally:
            trainer.close()
        results = search_results(config, searcher.trials, choosing_s, table)
        write_json_atomic(folder / RESULTS_NAME, results)
    return folder / RESULTS_NAME


class _Loop:
    """Batch after batch."""

    def __init__(
        self, config: SearchConfig, searcher: Searcher, trainer: Trainer, journal: Journal
    ) -> None:
        self._config, self._searcher = config, searcher
        self._trainer, self._journal = trainer, journal

    def run(self, choosing_s: Sequence[float], closed: Sequence[int]) -> list[float]:
        """Until the budget is spent or the pool is empty; returns the seconds of every ask."""
        seconds = list(choosing_s)
        if seconds and len(seconds) - 1 not in closed:
            self._train(self._searcher.pending)
        while (left := self._config.budget - len(self._searcher.asked)) > 0:
            began = time.perf_counter()
            batch = self._searcher.ask(min(left, self._size()))
            if not batch:
                _logger.info("the pool has no more architectures")
                break
            seconds.append(time.perf_counter() - began)
            self._journal.asked(batch, seconds[-1])
            self._train(batch)
        return seconds

    def _size(self) -> int:
        early = len(self._searcher.asked) < self._config.initial
        return self._config.initial if early else self._config.batch

    def _train(self, batch: Sequence[Candidate]) -> None:
        for trial in self._trainer.train(batch):
            told = self._searcher.tell(
                trial.candidate, trial.value, reason=trial.reason, seconds=trial.seconds
            )
            self._journal.told(told)
            if told.value is None:
                self._say_failure(told)
        number = self._searcher.asked[-1].round
        trials = self._searcher.trials
        summary = round_summary(trials, number)
        self._journal.round(summary)
        self._say_round(summary, trials)
        if not any(trial.value is not None for trial in trials):
            raise TrainingError(
                f"all of the first {len(trials)} trainings failed; "
                f"the last: {trials[-1].reason.splitlines()[0]}",
                where=self._journal.path.parent / "trainings",
                fix="try your trainer on one architecture first",
            )

    def _say_failure(self, trial: Trial) -> None:
        reason = trial.reason.splitlines()
        last = f" … {reason[-1]}" if len(reason) > 1 else ""
        _logger.info(
            "training %d failed: %s%s", trial.candidate.number, reason[0] if reason else "", last
        )

    def _say_round(self, summary: dict[str, object], trials: Sequence[Trial]) -> None:
        values = [trial.value for trial in trials if trial.value is not None]
        pick = max if self._config.higher_is_better else min
        tau = summary["kendall_tau"]
        _logger.info(
            "round %d: %d trained, %d failed, %d in all; best so far %s%s",
            summary["round"],
            summary["asked"],
            summary["failed"],
            len(trials),
            f"{pick(values):.6g}" if values else "none",
            f"; predicted with τ = {tau:.2f}" if isinstance(tau, float) else "",
        )
