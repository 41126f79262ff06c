"""The reference of the settings, read off the configuration's dataclasses.

A key's meaning is what stands beside its field in the source: a comment behind or above it, or the
string below it.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import io
import json
import sys
import tokenize
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ["field_notes", "key_rows", "settings_reference"]

SHARED = ("seed", "training", "loading", "tracking")
Comments = dict[int, tuple[bool, str]]  # by line: whether it has the line to itself, its text
SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def settings_reference(task: str = "") -> str:
    """Tables of all keys of a task, or of what all tasks share, as Markdown."""
    from graphwright.config.presets import task_module
    from graphwright.config.schema import TaskConfig

    schema = task_module(task, "config").SCHEMA if task else TaskConfig
    hints = get_type_hints(schema, include_extras=True)
    own = {name: hints[name] for name in hints if (name in SHARED) != bool(task)}
    skipped = ("task", "schema_version", "groups", "carried")
    return "\n\n".join(_sections(schema, {n: h for n, h in own.items() if n not in skipped}, ""))


def _sections(owner: type, hints: dict[str, Any], prefix: str) -> Iterator[str]:
    """A table of the plain keys, then one section for every nested group."""
    nested = {name: options for name, hint in hints.items() if (options := _dataclasses(hint))}
    plain = [name for name in hints if name not in nested]
    if plain:
        rows = key_rows(owner, {name: hints[name] for name in plain}, prefix)
        yield "\n".join(["| key | values | default | |", "|---|---|---|---|", *rows])
    for name, options in nested.items():
        for option in options:
            yield from _section(option, f"{prefix}{name}", chosen=len(options) > 1)


def _section(option: type, key: str, *, chosen: bool) -> Iterator[str]:
    tag = getattr(option, "name", None) or getattr(option, "kind", None) if chosen else None
    yield f"## {key}={tag}" if tag else f"## {key}"
    yield inspect.cleandoc(option.__doc__ or "")
    hints = get_type_hints(option, include_extras=True)
    names = [one.name for one in dataclasses.fields(option)]
    yield from _sections(option, {name: hints[name] for name in names}, f"{key}.")


def key_rows(owner: type, hints: dict[str, Any], prefix: str = "") -> list[str]:
    """One row of a Markdown table for each key: name, values, default, meaning."""
    fields = {one.name: one for one in dataclasses.fields(owner)}
    rows = []
    for name, hint in hints.items():
        cells = (f"`{prefix}{name}`", _type(hint), _default(fields[name]), _note(owner, name))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return rows


def _dataclasses(hint: Any) -> list[type]:
    """The dataclasses that a hint allows; several are alternatives."""
    if get_origin(hint) is Annotated:
        return _dataclasses(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return [found for one in get_args(hint) for found in _dataclasses(one)]
    return [hint] if isinstance(hint, type) and dataclasses.is_dataclass(hint) else []


def _type(hint: Any) -> str:
    """In words that a user of the command line knows."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        bounds = [_bound(part) for extra in arguments[1:] for part in _constraints(extra)]
        return " ".join([_type(arguments[0]), ", ".join(filter(None, bounds))]).strip()
    if origin is Literal:
        return ", ".join(f"`{json.dumps(value).strip(chr(34))}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(one) for one in arguments)
    if origin in (tuple, list):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"mapping of {_type(arguments[0])} to {_type(arguments[1])}"
    names = {int: "int", float: "float", str: "text", bool: "`true`, `false`", type(None): "`null`"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def _constraints(extra: Any) -> list[Any]:
    """Bounds of a pydantic `Field` or of annotated_types."""
    return list(getattr(extra, "metadata", [extra]))


def _bound(part: Any) -> str:
    for name, sign in SIGNS.items():
        if (value := getattr(part, name, None)) is not None:
            return f"{sign} {value:g}"
    return ""


def _default(one: dataclasses.Field[Any]) -> str:
    if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
        return "needed"
    value = one.default if one.default_factory is dataclasses.MISSING else one.default_factory()
    return f"`{json.dumps(value, ensure_ascii=False)}`" if value != "" else "empty"


def _note(owner: type, name: str) -> str:
    for base in owner.__mro__:
        if name in (notes := field_notes(base)):
            return notes[name]
    return ""


@functools.cache
def field_notes(owner: type) -> dict[str, str]:
    """What the source says of each field of a dataclass."""
    if not dataclasses.is_dataclass(owner):
        return {}
    text = Path(sys.modules[owner.__module__].__file__ or "").read_text()
    comments = _comments(text)
    body = next(
        node.body
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef) and node.name == owner.__name__
    )
    notes = {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            notes[node.target.id] = _beside(node, after, comments)
    return notes


def _beside(node: ast.AnnAssign, after: ast.stmt | None, comments: Comments) -> str:
    said, line = [], node.lineno - 1
    while line in comments and comments[line][0]:
        said.insert(0, comments[line][1])
        line -= 1
    if node.end_lineno in comments:
        said.append(comments[node.end_lineno][1])
    if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
        said.append(inspect.cleandoc(str(after.value.value)))
    return " ".join(" ".join(said).split())


def _comments(text: str) -> Comments:
    """Comments by line: whether one has the line to itself, and what it says."""
    lines = text.splitlines()
    return {
        token.start[0]: (
            lines[token.start[0] - 1].lstrip().startswith("#"),
            token.string.lstrip("#: ").strip(),
        )
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
