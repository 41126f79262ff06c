"""The user's own functions by name: 'package.module:function'.

Importing runs the user's code. It happens only for a name that a person wrote.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphwright.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Builder", "name_of", "resolve_builder", "resolve_function"]


@dataclass(frozen=True)
class Builder:
    """Builds a `torch.nn.Module`; what goes wrong inside is told for people.

    Attributes:
        function: the user's: returns a module, or (module, example inputs).
        name: as the person wrote it, for errors.
        arguments: keyword arguments of the function.
    """

    function: Callable[..., Any]
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> nn.Module | tuple[nn.Module, Any]:
        """Call the function.

        Raises:
            DataError: it raises, or returns something else.
        """
        from torch import nn

        try:
            built = self.function(**self.arguments)
        except (Exception, SystemExit) as error:
            raise DataError(
                f"{self.name} raised {_told(error)}", where=_place(error), fix=_mend(error)
            ) from error
        module = built[0] if isinstance(built, tuple) and len(built) == 2 else built
        if not isinstance(module, nn.Module):
            raise DataError(
                f"{self.name} returned {type(module).__name__}, not a torch.nn.Module",
                fix="return the module, or (module, example inputs)",
            )
        return built  # type: ignore[no-any-return]


def resolve_builder(name: str, arguments: Mapping[str, Any] | None = None) -> Builder:
    """The builder that a name such as 'package.module:function' stands for.

    Args:
        name: module and function (or class), with a colon between; dots after it are attributes.
        arguments: keyword arguments that it is going to be called with.

    Raises:
        ConfigError: no such module or function, or one that does not take these arguments.
        DataError: the module raises while it is imported.
    """
    function, given = resolve_function(name), dict(arguments or {})
    try:
        inspect.signature(function).bind(**given)
    except ValueError:  # a builtin: nobody knows its arguments before the call
        pass
    except TypeError as error:
        known = inspect.signature(function).parameters
        hint = next((nearest(key, known) for key in given if key not in known), "")
        raise ConfigError(
            f"{name} cannot be called with ({', '.join(given)}): {error}{hint}",
            fix=f"its arguments are {inspect.signature(function)}",
        ) from error
    return Builder(function, name, given)


def resolve_function(name: str) -> Callable[..., Any]:
    """Import the function that a name such as 'package.module:function' stands for.

    The current folder is searched first, as `python -m` does.

    Raises:
        ConfigError: not such a name; no such module or attribute; not callable.
        DataError: the module raises while it is imported.
    """
    module_name, colon, path = name.partition(":")
    parts = [*module_name.split("."), *path.split(".")]
    if not colon or not all(part.isidentifier() for part in parts):
        raise ConfigError(
            f"{name!r} does not name a function", fix="write 'package.module:function'"
        )
    found: Any = _import(module_name)
    for part in path.split("."):
        if not hasattr(found, part):
            hint = nearest(part, [known for known in dir(found) if not known.startswith("_")])
            raise ConfigError(
                f"{name}: no {part} in {getattr(found, '__name__', module_name)}{hint}",
                where=getattr(found, "__file__", None),
            )
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(
            f"{name} is {type(found).__name__}, not a function",
            fix="name a function or class that returns a torch.nn.Module",
        )
    return found  # type: ignore[no-any-return]


def name_of(function: object) -> str:
    """A function's or class's name, for errors."""
    return str(getattr(function, "__qualname__", type(function).__name__))


def _import(name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()  # the user may just have written the file
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise DataError(
                f"importing {name} raised {_told(error)}",
                where=_place(error),
                fix=f"install {error.name}, or take its import out",
            ) from error
        raise ConfigError(
            f"no module named {error.name}",
            where=f"{name}, searched from {here}",
            fix="start graphwright in the folder that holds it, or install it",
        ) from error
    except (Exception, SystemExit) as error:
        raise DataError(f"importing {name} raised {_told(error)}", where=_place(error)) from error


def _told(error: BaseException) -> str:
    first = str(error).strip().split("\n")[0][:300]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _place(error: BaseException) -> str | None:
    """File and line of the user's code that raised: the innermost outside of torch."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    found, step = None, error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        is_own = file == __file__ or file.startswith("<") or "site-packages" in file
        if not is_own and f"{Path(importlib.__file__).parent}" not in file:
            found = f"{file}:{step.tb_lineno}"
        step = step.tb_next
    return found


def _mend(error: BaseException) -> str | None:
    if "meta" not in str(error):
        return None
    return (
        "modules are built on the meta device, which has shapes and no values: compute numbers "
        "in plain Python, or under `with torch.device('cpu')`"
    )
