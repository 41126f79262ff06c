"""The reference of the commands, read off click."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

__all__ = ["command_reference"]


def command_reference(_: str = "") -> str:
    """Every command with its help, arguments and options, as Markdown."""
    from graphwright.cli import app

    return "\n\n".join(_sections(app, "graphwright", None, depth=2))


def _sections(
    command: click.Command, name: str, parent: click.Context | None, depth: int
) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    if parent is not None:
        yield f"{'#' * depth} {context.command_path}"
        depth += 1
    yield _described(command, context)
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None and not found.hidden:
                yield from _sections(found, child, context, min(depth, 4))


def _described(command: click.Command, context: click.Context) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"```text\n{usage}\n```", _help(command)]
    options = [p for p in command.get_params(context) if isinstance(p, click.Option)]
    rows = [_row(one, context) for one in options if not one.hidden and "--help" not in one.opts]
    table = ["| option | default | |", "|---|---|---|", *rows] if rows else []
    return "\n\n".join([*parts, "\n".join(table)]).rstrip()


def _help(command: click.Command) -> str:
    """Paragraphs; those that click is told not to wrap stay as they are."""
    text = inspect.cleandoc(command.help or "").split("\f")[0]
    parts = [
        f"```text\n{part[2:]}\n```" if part.startswith("\b\n") else part
        for part in text.split("\n\n")
    ]
    return "\n\n".join(parts)


def _row(option: click.Option, context: click.Context) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if not option.is_flag and not option.count:
        metavar = option.make_metavar(context)
        names += f" `{', '.join(metavar.strip('[]').split('|'))}`"
    extra = [" Needed."] * option.required + [" Repeatable."] * option.multiple
    note = f"{option.help or ''}{''.join(extra)}".strip()
    return "| " + " | ".join(_cell(text) for text in (names, _default(option), note)) + " |"


def _default(option: click.Option) -> str:
    value = option.to_info_dict()["default"]
    if option.is_flag or value is None or value == () or callable(value):
        return ""
    return f"`{value}`" if str(value) else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
