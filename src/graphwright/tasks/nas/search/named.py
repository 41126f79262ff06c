"""The user's own functions, by name. Their module is imported only because they named it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from graphwright.errors import ConfigError, nearest

__all__ = ["load_named"]


def load_named(name: str) -> Any:
    """What `package.module:function` names; the current folder is on the path.

    Raises:
        ConfigError: the name is malformed, or the module or function is not there.
    """
    module_name, _, function = name.partition(":")
    if not module_name or not function.isidentifier():
        raise ConfigError(f"{name!r} is not of the form package.module:function")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"cannot import {module_name}: {error}", where=name) from error
    if not callable(found := getattr(module, function, None)):
        raise ConfigError(
            f"{module_name} has no function {function}{nearest(function, dir(module))}", where=name
        )
    return found
