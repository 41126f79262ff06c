"""`graphwright sweep`. Nothing heavy is imported at module level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from graphwright.launch.options import root_option

__all__ = ["sweep"]


@click.command()
@click.argument("plan")
@click.argument("overrides", nargs=-1, metavar="[KEY=A,B,C]...")
@click.option("--name", default="", help="Of the sweep's folder; else of the plan.")
@click.option("--seeds", type=click.IntRange(1), help="How many; else as the plan says, or one.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True)
@click.option("--dry-run", is_flag=True, help="Check everything, list the runs, stop.")
@root_option("sweeps", "folders of sweeps are made")
@root_option("runs", "run folders are made and found")
@root_option("data", "prepared data are kept")
def sweep(plan: str, overrides: tuple[str, ...], dry_run: bool, **options: Any) -> None:
    """Train every combination of settings: PLAN is a YAML file, or a preset.

    \b
      graphwright sweep geometry/scans model=painn,egnn training.optimizer.lr=1e-3,3e-3 --seeds 3
      graphwright sweep plan.yaml --workers 2

    Stopped or killed, it goes on with the same command. Failures are listed, the rest goes on.
    """
    from graphwright.launch.sweep import run_sweep
    from graphwright.launch.sweep_plan import planned_runs

    made = _plan(plan, overrides, options.pop("name"), options.pop("seeds"))
    if dry_run:
        for run in planned_runs(made):
            click.echo(f"{run.variant} {' '.join(run.overrides)}".strip())
        return
    done = run_sweep(
        made,
        after_each=lambda count, total, one: click.echo(
            f"{count}/{total} {one.run or one.error}", err=True
        ),
        **options,
    )
    if done.finished:
        click.echo(f"graphwright report {done.folder} -o report.html", err=True)
    if done.failures:
        raise click.ClickException(f"{len(done.failures)} of {len(done.outcomes)} runs failed")


def _plan(plan: str, overrides: tuple[str, ...], name: str, seeds: int | None) -> Any:
    from dataclasses import replace

    from graphwright.launch.sweep_plan import SweepPlan, read_plan

    path = Path(plan)
    if path.suffix in (".yaml", ".yml"):
        made = read_plan(path)
    else:
        made = SweepPlan(name=plan.replace("/", "_"), preset=plan)
    made = replace(made, overrides=(*made.overrides, *overrides), name=name or made.name)
    return made if seeds is None else replace(made, seeds=tuple(range(seeds)))
