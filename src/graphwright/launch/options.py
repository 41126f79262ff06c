"""Options of every command that looks for runs or prepared data. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["root_option"]


def root_option(name: str, what: str) -> Callable[..., Any]:
    """`--<name>-root`, a folder that the variable GRAPHWRIGHT_<NAME> can name, too.

    Args:
        name: of the option, and the folder where nobody says otherwise.
        what: what happens there, for the help.
    """
    variable = f"GRAPHWRIGHT_{name.upper()}"
    return click.option(
        f"--{name}-root",
        type=click.Path(path_type=Path),
        default=Path(name),
        envvar=variable,
        show_default=True,
        help=f"Where {what} (or {variable}).",
    )
