"""From a plain mapping to a checked configuration, with errors that name the nearest spelling."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from graphwright.config.io import flatten
from graphwright.config.schema import SCHEMA_VERSION, TaskConfig
from graphwright.errors import ConfigError, nearest

__all__ = ["check"]

C = TypeVar("C", bound=TaskConfig)


def check(schema: type[C], tree: Mapping[str, Any], *, where: object = None) -> C:
    """Build `schema` from nested plain values, strictly: no unknown key, no converted type.

    Raises:
        ConfigError: naming every wrong key or value, its place and the nearest valid spelling.
    """
    _check_version(tree, where)
    _check_finite(tree, where)
    adapter: TypeAdapter[C] = _adapter(schema)  # type: ignore[arg-type] # a class is hashable
    try:
        # JSON mode is the strict mode in which lists may become tuples and mappings dataclasses
        config = adapter.validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        lines = [_explain(schema, item) for item in error.errors()]
        raise ConfigError("\n".join(lines), where=where) from None
    problems = config.problems()
    if problems:
        raise ConfigError("\n".join(problems), where=where)
    return config


@cache
def _adapter(schema: type[Any]) -> TypeAdapter[Any]:
    strict = ConfigDict(extra="forbid", strict=True)
    for section in {schema, *_dataclasses_in(schema, set())}:
        # pydantic reads this attribute from standard dataclasses; it changes nothing else
        section.__pydantic_config__ = strict  # type: ignore[attr-defined]
    return TypeAdapter(schema)


def _dataclasses_in(annotation: Any, seen: set[type]) -> set[type]:
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        if annotation not in seen:
            seen.add(annotation)
            for hint in get_type_hints(annotation).values():
                _dataclasses_in(hint, seen)
        return seen
    for argument in get_args(annotation):
        _dataclasses_in(argument, seen)
    return seen


def _check_version(tree: Mapping[str, Any], where: object) -> None:
    version = tree.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ConfigError(
            f"this configuration has schema version {version}; this program knows {SCHEMA_VERSION}",
            where=where,
            fix="use the newer graphwright that wrote it",
        )


def _check_finite(tree: Mapping[str, Any], where: object) -> None:
    for key, value in flatten(tree).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{key}={value}: a configuration holds finite numbers", where=where)


def _explain(schema: type, item: Any) -> str:
    kind, location = item["type"], [str(part) for part in item["loc"]]
    section, names = _descend(schema, location[:-1])
    key = ".".join([*names, location[-1]]) if location else "configuration"
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        fields = [f.name for f in dataclasses.fields(section)] if section else []
        return f"{key}: no such key{nearest(location[-1], fields)}"
    if kind in ("union_tag_invalid", "literal_error"):
        expected = item["ctx"].get("expected_tags") or item["ctx"].get("expected", "")
        value = item["input"].get("name") if isinstance(item["input"], dict) else item["input"]
        options = [option.strip("' ") for option in expected.replace(" or ", ", ").split(",")]
        return f"{key}={value}: choose one of {', '.join(options)}{nearest(str(value), options)}"
    if kind == "missing":
        return f"{key}: is required and missing"
    return f"{key}={item['input']!r}: {item['msg'][0].lower()}{item['msg'][1:]}"


def _descend(schema: type, location: Iterable[str]) -> tuple[Any, list[str]]:
    """The dataclass at a location, and the location without pydantic's union tags."""
    section: Any = schema
    names: list[str] = []
    options: list[type] = []
    for part in location:
        if options:  # a union's tag: the field `name` or `kind` of the option it chose
            section = next((o for o in options if part in _tags(o)), None)
            options = []
            continue
        names.append(part)
        hints = get_type_hints(section, include_extras=True) if section else {}
        found = _options(hints.get(part))
        section, options = (found[0], []) if len(found) == 1 else (None, found)
    return section, names


def _options(annotation: Any) -> list[type]:
    if isinstance(annotation, type):
        return [annotation] if dataclasses.is_dataclass(annotation) else []
    return [option for argument in get_args(annotation) for option in _options(argument)]


def _tags(option: type) -> set[str]:
    hints = get_type_hints(option)
    return {tag for key in ("name", "kind") for tag in get_args(hints.get(key))}
