"""`graphwright sweep`. Nothing heavy is imported at module level."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from graphwright.errors import ConfigError, TrainingError
from graphwright.launch.options import root_option
from graphwright.launch.slurm.options import launch_config_option, read_launch, split_launch

if TYPE_CHECKING:
    from graphwright.launch.search.result import SearchResult
    from graphwright.launch.search.study import Trial

__all__ = ["sweep"]

_SHOWN = 10  # trials of a search, in the terminal


@click.command()
@click.argument("plan")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUES]...")
@click.option("--name", default="", help="Of the sweep's folder; else of the plan.")
@click.option("--seeds", type=click.IntRange(1), help="How many; else as the plan says, or one.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--threads-per-worker",
    "threads",
    type=click.IntRange(1),
    help="CPU threads of each run; else the cores, shared out.",
)
@click.option("--retry-failed", is_flag=True, help="Go on with runs that failed before, too.")
@click.option("--dry-run", is_flag=True, help="Check everything, list the runs, stop.")
@click.option("--search", type=click.Choice(["optuna"]), help="Search for the best instead.")
@click.option("--trials", type=click.IntRange(1), default=30, show_default=True)
@click.option(
    "--sampler", type=click.Choice(["tpe", "random", "gp"]), default="tpe", show_default=True
)
@click.option(
    "--pruner",
    type=click.Choice(["median", "hyperband", "none"]),
    default="median",
    show_default=True,
    help="Gives poor trials up early.",
)
@click.option("--objective", default="", metavar="val_…", help="Else what the task monitors.")
@click.option("--direction", type=click.Choice(["minimize", "maximize"]), help="Of --objective.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of --sampler.")
@click.option("--launcher", type=click.Choice(["local", "slurm"]), default="local")
@click.option("--wait/--no-wait", default=False, help="For all jobs of --launcher slurm.")
@launch_config_option
@root_option("sweeps", "folders of sweeps are made")
@root_option("runs", "run folders are made and found")
@root_option("data", "prepared data are kept")
def sweep(
    plan: str,
    overrides: tuple[str, ...],
    name: str,
    search: str | None,
    launcher: str,
    launch_config: Path | None,
    **options: Any,
) -> None:
    """Train every combination of settings, or search: PLAN is a YAML file, or a preset.

    \b
      graphwright sweep geometry/scans model=painn,egnn training.optimizer.lr=1e-3,3e-3 --seeds 3
      graphwright sweep plan.yaml --workers 2
      graphwright sweep geometry/scans --search optuna --trials 50 \\
          'training.optimizer.lr=log(1e-4,1e-1)' 'model.hidden_dim=choice(16,32,64)'

    Stopped or killed, it goes on with the same command. Failures are listed, the rest goes on.
    """
    words, launch_words = split_launch(overrides)
    if launcher == "local" and launch_words:
        raise ConfigError(
            f"{launch_words[0]}: a setting of Slurm jobs",
            where="command line",
            fix="add --launcher slurm",
        )
    try:
        _dispatch(plan, words, launch_words, name, search, launcher, launch_config, options)
    except KeyboardInterrupt:
        click.echo("stopped; the same command goes on", err=True)
        raise click.Abort from None


def _dispatch(
    plan: str,
    words: list[str],
    launch_words: list[str],
    name: str,
    search: str | None,
    launcher: str,
    launch_config: Path | None,
    options: dict[str, Any],
) -> None:
    roots = {key: options.pop(key) for key in ("sweeps_root", "runs_root", "data_root")}
    made = _plan(plan, tuple(words), name, options["seeds"])
    if search:
        if launcher == "slurm":
            raise ConfigError(
                "--search with --launcher slurm: proposals need the results of those before",
                fix="run the search inside one job, with --workers",
            )
        _search(plan, made, options, roots)
    elif launcher == "slurm":
        launch = read_launch(launch_words, launch_config)
        if options["dry_run"]:
            _show_jobs(made, launch, roots)
            return
        _grid(made, {key: options[key] for key in ("wait", "retry_failed")}, roots, launch)
    elif options["dry_run"]:
        _list_runs(made)
    else:
        _grid(made, {key: options[key] for key in ("workers", "threads", "retry_failed")}, roots)


def _plan(plan: str, overrides: tuple[str, ...], name: str, seeds: int | None) -> Any:
    from dataclasses import replace

    from graphwright.launch.sweep.plan import SweepPlan, read_plan

    path = Path(plan)
    if path.suffix in (".yaml", ".yml"):
        made = read_plan(path)
    else:
        made = SweepPlan(name=plan.replace("/", "_"), preset=plan)
    made = replace(made, overrides=(*made.overrides, *overrides), name=name or made.name)
    return made if seeds is None else replace(made, seeds=tuple(range(seeds)))


def _list_runs(made: Any) -> None:
    from graphwright.launch.sweep.plan import planned_runs

    for run in planned_runs(made):
        click.echo(f"{run.variant} {' '.join(run.overrides)}".strip())


def _show_jobs(made: Any, launch: Any, roots: dict[str, Any]) -> None:
    from graphwright.launch.slurm.array import dry_run
    from graphwright.launch.sweep.plan import planned_runs

    kept = {key: roots[key] for key in ("runs_root", "data_root")}
    folder = roots["sweeps_root"] / made.name / "slurm"
    configs = [run.config for run in planned_runs(made)]
    click.echo(dry_run(configs, launch, folder=folder, **kept))


def _grid(made: Any, options: dict[str, Any], roots: dict[str, Any], launch: Any = None) -> None:
    from graphwright.launch.sweep.progress import SweepProgress
    from graphwright.launch.sweep.run import run_sweep, submit_sweep

    began = time.time()
    with SweepProgress() as progress:

        def told(count: int, total: int, one: Any) -> None:
            progress.done(count, total, found=_was_there(one.run, began))
            if one.run is None and not one.pending:
                progress.failed("", one.error)

        if launch is None:
            done = run_sweep(made, after_each=told, **options, **roots)
        else:
            done = submit_sweep(made, launch, after_each=told, **options, **roots)
    pending = len(done.outcomes) - len(done.finished) - len(done.failures)
    states = {"finished": len(done.finished), "failed": len(done.failures), "pending": pending}
    click.echo(f"{_counts(states)}: {done.folder}")
    if done.finished:
        click.echo(f"graphwright report {done.folder} -o report.html", err=True)
    _raise_failed(len(done.failures), len(done.outcomes), done.folder)


def _search(plan: str, made: Any, options: dict[str, Any], roots: dict[str, Any]) -> None:
    from graphwright.launch.search.plan import SearchPlan, plan_search
    from graphwright.launch.search.run import run_search
    from graphwright.launch.sweep.progress import SweepProgress

    if made.variants or len(made.seeds) > 1:
        raise ConfigError(
            "a search has neither variants nor --seeds",
            where=plan,
            fix="vary the setting itself, such as model=painn,egnn; train the best with more seeds",
        )
    asked = {k: options[k] for k in ("trials", "sampler", "pruner", "objective", "seed")}
    asked["direction"] = options["direction"] or ""
    searched = SearchPlan(name=made.name, preset=made.preset, overrides=made.overrides, **asked)
    if options["dry_run"]:
        for line in plan_search(searched).content["search"]["space"]:
            click.echo(line)
        return
    with SweepProgress() as progress:

        def told(count: int, total: int, trial: Trial) -> None:
            progress.done(count, total, note=f"last: {_value(trial)}")
            if trial.state == "failed":
                progress.failed(f"trial {trial.number}", trial.error)

        kept = {key: options[key] for key in ("workers", "threads", "retry_failed")}
        _print_search(run_search(searched, after_each=told, **kept, **roots))


def _print_search(found: SearchResult) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    keys = list(found.trials[0].values)
    for column in ("trial", found.objective.name, "epochs", *(_short(key, keys) for key in keys)):
        table.add_column(column, justify="right")
    for trial in found.ranked()[:_SHOWN]:
        shown = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in trial.values.values())
        table.add_row(str(trial.number), _value(trial), str(max(trial.reports, default=0)), *shown)
    Console().print(table)
    if found.importance:
        shares = (f"{_short(key, keys)} {share:.0%}" for key, share in found.importance.items())
        click.echo(f"share of the spread: {', '.join(shares)}")
    if found.best is not None:
        click.echo(f"best: trial {found.best.number} in {found.best.run}")
    states = [trial.state for trial in found.trials]
    click.echo(
        f"{_counts({state: states.count(state) for state in sorted(set(states))})}: {found.folder}"
    )
    _raise_failed(len(found.failures), len(found.trials), found.folder)


def _value(trial: Trial) -> str:
    text = "-" if trial.value is None else f"{trial.value:.5g}"
    return text if trial.state == "finished" else f"{text} {trial.state}"


def _short(key: str, keys: list[str]) -> str:
    last = key.rsplit(".", 1)[-1]
    return last if [k.rsplit(".", 1)[-1] for k in keys].count(last) == 1 else key


def _counts(states: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.items() if count)


def _was_there(run: Path | None, began: float) -> bool:
    from graphwright.runs.status import read_status

    return run is not None and (read_status(run).ended or began) < began


def _raise_failed(failed: int, total: int, folder: Path) -> None:
    if failed:
        raise TrainingError(
            f"{failed} of {total} runs failed",
            where=folder / "result.json",
            fix="--retry-failed goes on with them",
        )
