"""The only file that knows Optuna: proposals, reports and ends of trials, in a file.

The file is a journal of Optuna (`optuna-dashboard sweeps/NAME/study.log` shows it). A proposal is
one record in it, whole or absent, and depends on the seed, the number of the trial and the trials
before alone: a search that was killed and goes on proposes what it would have proposed.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from graphwright.errors import MissingExtraError
from graphwright.launch.search.plan import PlannedSearch
from graphwright.launch.search.space import Choice, Dimension

__all__ = ["State", "Study", "Trial"]

State = Literal["finished", "pruned", "failed"]
_STUDY, _LOCK = "study.log", "study.log.lock"


@dataclass(frozen=True)
class Trial:
    """A proposal and what became of it.

    Attributes:
        number: from 0.
        values: of the keys that are searched.
        overrides: all that set it apart from the preset.
        state: running, finished, pruned or failed.
        value: of the objective; of a pruned trial its last report.
        reports: objective by epochs done.
        run, error: of the run; empty where there is none.
        digest: of the configuration; empty before the end, and where another trial has it.
        again: number of the failed trial that this one repeats.
    """

    number: int
    values: Mapping[str, Any]
    overrides: tuple[str, ...]
    state: str
    value: float | None
    reports: Mapping[int, float]
    run: str
    error: str
    digest: str = ""
    again: int | None = None


class Study:
    """A study of Optuna in a sweep's folder; one process at a time may hold it.

    Args:
        folder: of the sweep, whose lock is held.
        planned: what is searched, and how.

    Raises:
        MissingExtraError: Optuna is not installed.
    """

    def __init__(self, folder: Path, planned: PlannedSearch) -> None:
        self._optuna = _optuna()
        self._space, self._seed = planned.space, planned.plan.seed
        self._sampler = planned.plan.sampler
        self._name, self._direction = planned.plan.name, planned.objective.direction
        self._pruner = _pruner(self._optuna, planned.plan.pruner, planned.epochs)
        self._storage = _storage(self._optuna, folder)
        with _quiet():
            self._study = self._optuna.create_study(
                storage=self._storage,
                study_name=self._name,
                direction=self._direction,
                pruner=self._pruner,
                load_if_exists=True,
            )
        self._id = self._storage.get_study_id_from_name(self._name)

    def ask(self) -> Trial:
        """A new proposal, written down."""
        frozen = self._asked_in_memory()
        return self._write_down(frozen, {"overrides": list(self._space.overrides(frozen.params))})

    def ask_again(self, trial: Trial) -> Trial:
        """The proposal of a failed trial once more."""
        known = {"overrides": list(trial.overrides), "again": trial.number}
        return self._write_down(self._frozen()[trial.number], known)

    def report(self, number: int, epochs: int, value: float) -> None:
        """Write down a validation."""
        self._storage.set_trial_intermediate_value(self._trial_id(number), epochs, value)

    def hopeless(self, number: int) -> bool:
        """Whether the pruner gives the trial up after its latest report."""
        frozen = self._storage.get_trial(self._trial_id(number))
        return bool(frozen.intermediate_values) and bool(self._pruner.prune(self._study, frozen))

    def end(
        self,
        number: int,
        state: State,
        value: float | None = None,
        *,
        run: str = "",
        error: str = "",
        digest: str = "",
        diverged: bool = False,
    ) -> None:
        """Write down the end of a trial, which then never changes.

        Args:
            number: of the trial.
            state: what became of it.
            value: of the objective, where it has one.
            run: its folder.
            error: why it failed.
            digest: of the configuration.
            diverged: it failed by its own values (the loss is no longer finite): for the sampler
                it is then the worst of all, where other failures tell it nothing.
        """
        trial, states = self._trial_id(number), self._optuna.trial.TrialState
        outcome = {"state": state, "run": run, "error": error, "digest": digest}
        self._storage.set_trial_user_attr(trial, "outcome", outcome)
        known = {"finished": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}
        final = states.PRUNED if diverged else known[state]
        self._storage.set_trial_state_values(trial, final, None if value is None else [value])

    def trials(self) -> list[Trial]:
        """All of them, by number."""
        return [self._trial(frozen) for frozen in self._frozen()]

    def importance(self) -> dict[str, float]:
        """How much of the spread of the finished trials each key explains; empty for too few."""
        finished = [trial for trial in self.trials() if trial.state == "finished"]
        if len(finished) < 2 or len({trial.value for trial in finished}) < 2:
            return {}
        evaluator = self._optuna.importance.FanovaImportanceEvaluator(seed=self._seed)
        with suppress(ValueError, RuntimeError), _quiet():
            found = self._optuna.importance.get_param_importances(self._study, evaluator=evaluator)
            return {str(key): float(value) for key, value in found.items()}
        return {}

    def _asked_in_memory(self) -> Any:
        """In a copy of the study, since a proposal is made of many small records."""
        from numpy.random import SeedSequence

        trials = self._frozen()
        seed = int(SeedSequence([self._seed, len(trials)]).generate_state(1)[0])
        with _quiet():
            scratch = self._optuna.create_study(
                study_name=self._name,
                direction=self._direction,
                pruner=self._pruner,
                sampler=_sampler(self._optuna, self._sampler, seed),
            )
            scratch.add_trials(trials)
            scratch.ask(
                {dim.key: _distribution(self._optuna, dim) for dim in self._space.dimensions}
            )
        return scratch.get_trials(deepcopy=False)[-1]

    def _write_down(self, frozen: Any, known: dict[str, Any]) -> Trial:
        template = self._optuna.trial.create_trial(
            state=self._optuna.trial.TrialState.RUNNING,
            params=frozen.params,
            distributions=frozen.distributions,
            system_attrs=frozen.system_attrs,
            user_attrs=known,
        )
        self._storage.create_new_trial(self._id, template)
        return self.trials()[-1]

    def _frozen(self) -> list[Any]:
        found: list[Any] = self._storage.get_all_trials(self._id, deepcopy=False)
        return found

    def _trial_id(self, number: int) -> int:
        return int(self._storage.get_trial_id_from_study_id_trial_number(self._id, number))

    def _trial(self, frozen: Any) -> Trial:
        known = frozen.user_attrs
        # without its end a trial goes on, whatever a killed process had noted
        outcome = known["outcome"] if frozen.state.is_finished() else {}
        return Trial(
            number=frozen.number,
            values=dict(frozen.params),
            overrides=tuple(known["overrides"]),
            state=outcome.get("state", "running"),
            value=frozen.value,
            reports=dict(frozen.intermediate_values),
            run=outcome.get("run", ""),
            error=outcome.get("error", ""),
            digest=outcome.get("digest", ""),
            again=known.get("again"),
        )


def _optuna() -> Any:
    try:
        import optuna
        import optuna.importance
    except ImportError:
        raise MissingExtraError("optuna", "search", "--search optuna") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class _quiet(warnings.catch_warnings):  # noqa: N801 (a context manager)
    """Optuna tells of everything that is new in it."""

    def __enter__(self) -> Any:
        entered = super().__enter__()
        warnings.simplefilter("ignore")
        return entered


def _storage(optuna: Any, folder: Path) -> Any:
    """The journal, without what a killed process left of it. The sweep's lock is held."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    (folder / _LOCK).unlink(missing_ok=True)
    path = folder / _STUDY
    if path.exists() and not (data := path.read_bytes()).endswith(b"\n"):
        with path.open("rb+") as file:
            file.truncate(data.rfind(b"\n") + 1)
    return JournalStorage(JournalFileBackend(str(path)))


def _sampler(optuna: Any, name: str, seed: int) -> Any:
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed)
    # trials that run at the same time are taken for poor ones, so that proposals differ
    return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def _pruner(optuna: Any, name: str, epochs: tuple[int, int]) -> Any:
    first, last = epochs
    if name == "median":  # a tenth of the training tells nothing yet
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=last // 10)
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=first, max_resource=last)
    return optuna.pruners.NopPruner()


def _distribution(optuna: Any, dimension: Dimension) -> Any:
    if isinstance(dimension, Choice):
        return optuna.distributions.CategoricalDistribution(dimension.options)
    if dimension.whole:
        return optuna.distributions.IntDistribution(
            int(dimension.low),
            int(dimension.high),
            log=dimension.log,
            step=int(dimension.step) or 1,
        )
    return optuna.distributions.FloatDistribution(
        dimension.low, dimension.high, log=dimension.log, step=dimension.step or None
    )
