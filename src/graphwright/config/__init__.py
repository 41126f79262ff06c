"""Typed configuration: schema, presets, overrides, canonical YAML and digest."""
