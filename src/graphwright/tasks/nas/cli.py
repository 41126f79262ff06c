"""Commands of the nas task: `graphwright nas …`. Belongs to the room of `cli.py`.

Nothing heavy is imported here: `--help` answers at once.
"""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import Any

import click

from graphwright.launch.options import root_option

__all__ = ["COMMANDS"]

_ACQUISITIONS = click.Choice(["mean", "ucb", "thompson"])
_STRATEGIES = click.Choice(["predictor", "random", "regularised_evolution"])


@click.group("nas")
def COMMANDS() -> None:  # noqa: N802 (the name by which the program finds it)
    """Neural architectures: search with a predictor."""


@COMMANDS.command("search")
@click.option("--command", "command", help="Train with a program: 'python train.py --arch {arch}'.")
@click.option("--function", help="Train with package.module:function(arch, seed) -> float.")
@click.option("--table", help="Look values up in a CSV(.gz) or Parquet table: a simulated search.")
@click.option("--metric", default="", help="Column of the table that is searched for.")
@click.option("--test-metric", default="", help="Column that judges the result.")
@click.option(
    "--arch-column",
    "arch_columns",
    multiple=True,
    help="Column of the table with the architecture; several are joined by ':'.",
)
@click.option("--minimise", is_flag=True, help="Lower values are better.")
@click.option("--time-limit", type=float, default=0.0, help="Seconds for one training.")
@click.option("--workers", type=int, default=1, show_default=True, help="Trainings at a time.")
@click.option("--space", default="", help="Search all of this space, such as nasbench201.")
@click.option("--sampled", is_flag=True, help="Draw a new pool from --space in every round.")
@click.option("--generator", default="", help="Search what package.module:function yields.")
@click.option("--pool-size", type=int, default=0, help="Of a sampled or generated pool.")
@click.option("--strategy", type=_STRATEGIES, default="predictor", show_default=True)
@click.option(
    "--predictor", "recipe", default="dag_ensemble", show_default=True, help="The predictor."
)
@click.option(
    "--set", "overrides", multiple=True, help="A setting of the predictor: model.members=4."
)
@click.option(
    "--epochs", type=int, default=None, help="Of the predictor in every round. [default: 100]"
)
@click.option(
    "--acquisition", type=_ACQUISITIONS, default=None, help="How it picks. [default: ucb]"
)
@click.option(
    "--explore", type=float, default=None, help="Share of a batch left to chance. [default: 0.1]"
)
@click.option("--initial", type=int, default=30, show_default=True, help="Trained before round 1.")
@click.option("--batch", type=int, default=20, show_default=True, help="Trained in each round.")
@click.option("--budget", type=int, default=150, show_default=True, help="Trainings in all.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--name", default="", help="Folder of the search; else of its pool and strategy.")
@click.option(
    "--baselines",
    default="",
    help="With --table, compare simulated searches: random,regularised_evolution,fr_nas.",
)
@click.option("--baseline-seeds", type=int, default=20, show_default=True)
@click.option(
    "--resume",
    "folder",
    type=click.Path(path_type=Path),
    help="Go on with the search in this folder; other settings are its own.",
)
@root_option("runs", "folders of searches are made")
@root_option("data", "prepared data are kept")
def search(
    folder: Path | None,
    runs_root: Path,
    data_root: Path,
    baselines: str,
    baseline_seeds: int,
    **options: Any,
) -> None:
    """Train few architectures, predict all, train the best, and again.

    Say how an architecture is trained (--command, --function or --table) and which there are
    (--space, --generator, or those of the table):

    \b
      graphwright nas search --space nasbench201 --command "python train.py {arch}"
      graphwright nas search --table nasbench201.csv.gz --metric cifar10_val200

    A command prints its value on the last line, or writes {"value": 0.93} to the file {out} if its
    text has {out}. A search that was killed goes on exactly with --resume FOLDER.
    """
    from graphwright.report.search import write_search_report
    from graphwright.tasks.nas.search.baselines import add_baselines
    from graphwright.tasks.nas.search.run import create_search, run_search

    names = [name for name in baselines.split(",") if name]
    if folder is None:
        config = _config(options, names)
        folder = create_search(config, runs_root)
        click.echo(f"search in {folder}")
    elif not folder.is_dir() and (runs_root / folder).is_dir():
        folder = runs_root / folder
    try:
        results = run_search(folder, data_root)
    except KeyboardInterrupt:
        click.echo(f"\nstopped; go on with: graphwright nas search --resume {_quoted(folder)}")
        raise
    if names:
        add_baselines(folder, names, baseline_seeds, data_root, say=logging.getLogger(__name__))
    _say(results)
    click.echo(f"report: {write_search_report(folder)}")


@COMMANDS.command("benchmark")
@click.argument("preset")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--predictors", default="dag_ensemble,fr_nas", show_default=True)
@click.option("--sizes", default="50,100,200,400", show_default=True, help="To train on.")
@click.option("--seeds", type=int, default=10, show_default=True)
@click.option("--first-seed", type=int, default=0, show_default=True)
@click.option("--workers", type=int, default=1, show_default=True, help="Trainings at a time.")
@root_option("runs", "run folders are made and found")
@root_option("data", "prepared data are kept")
def benchmark(
    preset: str,
    overrides: tuple[str, ...],
    predictors: str,
    sizes: str,
    seeds: int,
    first_seed: int,
    workers: int,
    runs_root: Path,
    data_root: Path,
) -> None:
    """Train all predictors on all sizes with all seeds, and compare them.

    Every training is a run; what is finished is not repeated, so a benchmark that was stopped goes
    on with the same command. PRESET gives the data:

    \b
      graphwright nas benchmark nas/nasbench201 data.source.path=nasbench201.csv.gz
    """
    from graphwright.launch.sweep.many import run_all
    from graphwright.report.compare import compare
    from graphwright.tasks.nas.benchmark import benchmark_configs

    configs = benchmark_configs(
        preset,
        overrides,
        predictors=predictors.split(","),
        sizes=[int(size) for size in sizes.split(",")],
        seeds=range(first_seed, first_seed + seeds),
    )
    outcomes = run_all(
        configs,
        runs_root=runs_root,
        data_root=data_root,
        workers=workers,
        after_each=lambda count, one: click.echo(
            f"{count}/{len(configs)} {one.run or one.error}", err=True
        ),
    )
    finished = [one.run for one in outcomes if one.run is not None]
    if finished:
        click.echo(compare(finished).to_text())
    if failed := len(outcomes) - len(finished):
        raise click.ClickException(f"{failed} of {len(outcomes)} trainings failed")


def _config(options: dict[str, Any], baselines: list[str]) -> Any:
    from graphwright.config.check import check
    from graphwright.config.io import to_dict
    from graphwright.tasks.nas.search.config import GuideConfig, SearchConfig

    guide = {
        "recipe": options["recipe"],
        "overrides": options["overrides"],
        **{
            name: options[name]
            for name in ("epochs", "acquisition", "explore")
            if options[name] is not None
        },
    }
    same = ("strategy", "initial", "batch", "budget", "workers", "seed", "name")
    config = SearchConfig(
        trainer=_trainer(options),
        pool=_pool(options),
        guide=GuideConfig(**guide),
        higher_is_better=not options["minimise"],
        **{name: options[name] for name in same},
    )
    if baselines and options["table"] is None:
        raise click.UsageError("--baselines needs --table: nothing else knows all answers")
    # `check` asks for no more of a schema than `problems`
    return check(SearchConfig, to_dict(config), where="options")  # type: ignore[type-var]


def _trainer(options: dict[str, Any]) -> Any:
    from graphwright.tasks.nas.search.config import CommandTrainer, FunctionTrainer, TableTrainer

    given = [name for name in ("command", "function", "table") if options[name] is not None]
    if len(given) != 1:
        raise click.UsageError(
            "say how to train: one of --command, --function and --table (or --resume FOLDER)"
        )
    if options["command"] is not None:
        return CommandTrainer(command=options["command"], time_limit_s=options["time_limit"])
    if options["function"] is not None:
        return FunctionTrainer(function=options["function"], time_limit_s=options["time_limit"])
    if not options["metric"]:
        raise click.UsageError("--table needs --metric, the column to search for")
    return TableTrainer(
        path=str(Path(options["table"]).absolute()),
        metric=options["metric"],
        arch=options["arch_columns"],
        test_metric=options["test_metric"],
    )


def _pool(options: dict[str, Any]) -> Any:
    from graphwright.tasks.nas.search.config import PoolConfig

    space, size = options["space"], options["pool_size"]
    if options["generator"]:
        return PoolConfig(kind="generator", generator=options["generator"], space=space, size=size)
    if options["sampled"]:
        return PoolConfig(kind="sampled", space=space, size=size)
    if options["table"] is not None:
        return PoolConfig(kind="table", space=space)
    if not space:
        raise click.UsageError("say what to search: --space or --generator")
    return PoolConfig(kind="space", space=space)


def _say(results: Path) -> None:
    from graphwright.report.text import plain_table
    from graphwright.runs.files import read_json

    found = read_json(results)
    names = ["rank", "architecture", "value", "predicted", "sd", "round"]
    rows = [[line.get(name) for name in names] for line in found["top"][:10]]
    click.echo(plain_table(names, rows))
    click.echo(f"{found['evaluated']} trained, {found['failed']} failed; {results}")


def _quoted(folder: Path) -> str:
    return shlex.quote(str(folder))
