"""From a preset's name or a saved file to a configuration, for any task.

A preset is `task` or `task/name`. `tasks/<task>/config.py` offers `SCHEMA` (the configuration
class), `preset_names()` and `preset(name)`; names map to module paths, nothing registers itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from graphwright.config.schema import TaskConfig
from graphwright.errors import ConfigError, nearest

__all__ = [
    "TASKS",
    "from_yaml",
    "load_config",
    "preset_names",
    "resolve_preset",
    "task_module",
    "tasks_with_commands",
]

TASKS: tuple[str, ...] = ("geometry", "nas", "canbus", "genes", "language")


def task_module(task: str, part: str) -> ModuleType:
    """`graphwright.tasks.<task>.<part>`, imported on demand.

    Raises:
        ConfigError: no such task; the nearest is named.
    """
    if task not in TASKS:
        raise ConfigError(
            f"{task}: no such task{nearest(task, TASKS)}", fix=f"tasks are {', '.join(TASKS)}"
        )
    return importlib.import_module(f"graphwright.tasks.{task}.{part}")


def tasks_with_commands() -> list[str]:
    """Tasks that bring commands of their own, found without importing them."""
    folder = Path(__file__).parents[1] / "tasks"
    return [task for task in TASKS if (folder / task / "cli.py").is_file()]


def preset_names(task: str) -> list[tuple[str, str]]:
    """(full name, one line of description) of every preset of a task."""
    names: Iterable[tuple[str, str]] = task_module(task, "config").preset_names()
    return [(f"{task}/{name}", summary) for name, summary in names]


def resolve_preset(name: str, overrides: Sequence[str] = ()) -> TaskConfig:
    """The checked configuration of a preset with overrides.

    Raises:
        ConfigError: no such preset (the nearest is named), or an override is wrong.
    """
    task, _, rest = name.partition("/")
    module = task_module(task, "config")
    known = [preset for preset, _ in module.preset_names()]
    if rest and rest not in known:
        raise ConfigError(
            f"{name}: no such preset{nearest(rest, known)}", fix=f"graphwright list {task}"
        )
    preset: TaskConfig = module.preset(rest or known[0])
    return _overridden(preset, overrides)


def from_yaml(text: str, *, where: object = None) -> TaskConfig:
    """A checked configuration from the text of a saved `config.yaml`.

    Raises:
        ConfigError: malformed YAML, unknown task or key, wrong type.
    """
    from graphwright.config.check import check
    from graphwright.config.io import parse_yaml

    tree: dict[str, Any] = parse_yaml(text, where=where)
    if not isinstance(tree.get("task"), str):
        raise ConfigError("task: is required and missing", where=where)
    schema: type[TaskConfig] = task_module(tree["task"], "config").SCHEMA
    return check(schema, tree, where=where)


def load_config(path: Path, overrides: Sequence[str] = ()) -> TaskConfig:
    """A saved configuration, with overrides.

    Raises:
        ConfigError: the file cannot be read, or its contents are wrong.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration: {error}", where=path) from None
    return _overridden(from_yaml(text, where=path), overrides)


def _overridden(config: TaskConfig, overrides: Sequence[str]) -> TaskConfig:
    from graphwright.config.check import check
    from graphwright.config.io import to_dict

    if not overrides:  # Hydra takes 0.2 s to import: only where there is something for it to do
        return check(type(config), to_dict(config), where="preset")
    from graphwright.config.compose import compose

    return compose(config, overrides)
