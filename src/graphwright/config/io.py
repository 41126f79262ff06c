"""Configuration as text: dictionary, canonical YAML, digest, difference."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from graphwright.errors import ConfigError

__all__ = ["YAML_LOADER", "diff", "digest", "flatten", "parse_yaml", "to_dict", "to_yaml"]

# Both are safe; libyaml's is ten times faster, where PyYAML was built with it.
YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Fields that older configurations do not have, with the value that is as before: it does not count
# in the digest, so that their runs, checkpoints and sweeps are still found.
_LATER = {("training", "devices"): 1}


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration dataclass as nested plain dictionaries, lists and scalars."""
    plain = _plain(config)
    assert isinstance(plain, dict)
    return plain


def to_yaml(config: Any) -> str:
    """Canonical YAML: fields in the order of the schema, no tags, ends with a newline."""
    return yaml.safe_dump(
        to_dict(config), sort_keys=False, allow_unicode=True, default_flow_style=False, width=100
    )


def parse_yaml(text: str, *, where: object = None) -> dict[str, Any]:
    """The mapping in a YAML text.

    Raises:
        ConfigError: the text is not YAML, or not a mapping.
    """
    try:
        loaded = yaml.load(text, Loader=YAML_LOADER)
    except yaml.YAMLError as error:
        raise ConfigError(f"this is not valid YAML: {error}", where=where) from error
    if not isinstance(loaded, dict):
        raise ConfigError("a configuration is a mapping of keys to values", where=where)
    return loaded


def digest(config: Any) -> str:
    """SHA-256 of the configuration as sorted JSON; equal configurations have equal digests."""
    plain = to_dict(config)
    for (section, field), value in _LATER.items():
        part = plain.get(section)
        if isinstance(part, dict) and part.get(field) == value:
            del part[field]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}; lists and empty mappings are leaves."""
    return dict(_leaves(tree, prefix))


def diff(a: Any, b: Any) -> dict[str, tuple[Any, Any]]:
    """Dotted keys that differ between two configurations, with both values (None if absent)."""
    flat_a, flat_b = flatten(to_dict(a)), flatten(to_dict(b))
    keys = dict.fromkeys([*flat_a, *flat_b])
    return {
        key: (flat_a.get(key), flat_b.get(key))
        for key in keys
        if flat_a.get(key) != flat_b.get(key)
    }


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(f"a configuration holds plain values only, not {type(value).__name__}")
