"""The model card: what a model is, what it learned from, how good it is, what is not known."""

from __future__ import annotations

import hashlib
import math
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from graphwright.config.io import flatten
from graphwright.report.load import RunReport, load_report
from graphwright.report.results import Table
from graphwright.report.text import (
    format_duration,
    format_number,
    format_value,
    is_number,
    markdown_escape,
    markdown_table,
)
from graphwright.report.views import equivariance_tables, split_table
from graphwright.runs.files import write_text_atomic

__all__ = ["render_card", "write_card"]

FEW_SAMPLES = 200


def write_card(run: Path | str, out: Path | str) -> Path:
    """Write the model card of a run as Markdown.

    Args:
        run: a run folder; unfinished ones get a card that says so.
        out: the Markdown file; its folder is made if missing.

    Returns:
        The path of the file written.

    Raises:
        RunError: `run` is not a run folder, or the file cannot be written.
    """
    out = Path(out)
    text = render_card(load_report(run))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomic(out, text)
    return out


def render_card(report: RunReport) -> str:
    """The card as Markdown text."""
    sections = {
        "Data": _data(report),
        "Results": _results(report),
        "Intended use and limits": _limits(report),
        "How to use it": _usage(report),
        "Configuration": _fenced(report.config_text, "yaml") if report.config_text else "",
        "Provenance": _provenance(report),
    }
    body = [f"## {title}\n\n{text}" for title, text in sections.items() if text]
    return "\n\n".join([_head(report), *body]) + "\n"


def _head(report: RunReport) -> str:
    model = report.config.get("model")
    name = model.get("name") if isinstance(model, dict) else model
    title = f"{name} for {report.task}" if name else report.task
    facts: list[tuple[str, object]] = [
        ("run", report.name),
        ("state", report.state),
        ("parameters", report.metrics.get("parameters")),
        ("seed", report.seed),
        ("trained", f"{report.started:%Y-%m-%d}" if report.started else None),
        ("training time", format_duration(report.duration_s) if report.duration_s else None),
        ("error", report.error),
    ]
    rows = [fact for fact in facts if fact[1] is not None]
    lines = [f"# {markdown_escape(title)}", markdown_table(("", ""), rows)]
    if report.state != "finished":
        lines.insert(1, f"**This run is not finished ({report.state}): do not ship this model.**")
    return "\n\n".join(lines)


def _data(report: RunReport) -> str:
    parts = []
    splits = split_table(report)
    if splits is not None:
        parts.append(markdown_table(splits.columns, splits.rows))
    rejected = report.data.get("rejected")
    if isinstance(rejected, dict):
        reasons = rejected.get("reasons") or {}
        why = f" ({markdown_escape(format_value(reasons))})" if reasons else ""
        parts.append(f"Rejected samples: {format_value(rejected.get('count', 0))}{why}.")
    left = {k: v for k, v in report.data.items() if k not in ("splits", "rejected")}
    digests = [f"- {markdown_escape(k)}: `{_code(v)}`" for k, v in flatten(left).items()]
    settings = report.config.get("data")
    if isinstance(settings, dict) and settings:
        pairs = ", ".join(f"`{_code(k)} = {_code(v)}`" for k, v in flatten(settings).items())
        digests.append(f"- settings: {pairs}")
    return "\n\n".join([*parts, *(["\n".join(digests)] if digests else [])])


def _results(report: RunReport) -> str:
    parts = []
    head = report.headline
    if head is not None:
        unit = f" {markdown_escape(head.unit)}" if head.unit else ""
        parts.append(
            f"**{markdown_escape(head.label)} {format_number(head.value)}{unit}** on the "
            f"{markdown_escape(head.split)} split: {markdown_escape(head.verdict)}."
        )
    parts += [_table(table) for table in report.tables]
    equivariance = equivariance_tables(report.metrics.get("equivariance"))
    parts += [_table(table, "Equivariance: ") for table in equivariance]
    if not report.tables and report.scalars:
        parts.append(markdown_table(("metric", "value"), list(report.scalars.items())))
    return "\n\n".join(parts) or "There are no final results."


def _table(table: Table, prefix: str = "") -> str:
    note = f"\n\n{markdown_escape(table.note)}" if table.note else ""
    title = markdown_escape(prefix + table.title)
    rows = [
        (f"{row[0]} (this model)" if str(row[0]) == table.highlight else row[0], *row[1:])
        for row in table.rows
    ]
    return f"### {title}{note}\n\n{markdown_table(table.columns, rows)}"


def _limits(report: RunReport) -> str:
    return "\n".join(f"- {sentence}" for sentence in _limit_sentences(report))


def _limit_sentences(report: RunReport) -> Iterator[str]:
    yield (
        f"Meant for the task {markdown_escape(report.task)}, on inputs from the same kind of "
        "source as the data above, prepared in the same way. Elsewhere nothing is known of its "
        "errors."
    )
    head = report.headline
    if head is not None and head.beats_baseline is False:
        yield "**A baseline is better than this model or as good: use the baseline.**"
    if head is not None and head.beats_baseline is None:
        yield "No baseline stands beside the headline number, so it cannot be judged."
    yield (
        f"The numbers are those of one training (seed {format_value(report.seed)}); their spread "
        "over seeds is not in this card."
    )
    splits = report.data.get("splits")
    count = splits.get(head.split) if head is not None and isinstance(splits, dict) else None
    if isinstance(count, int) and count < FEW_SAMPLES:
        yield f"Only {count} samples were tested: small differences mean little."
    broken = [name for name, value in report.scalars.items() if not math.isfinite(value)]
    if broken:
        yield f"Not finite: {markdown_escape(', '.join(broken))}."
    if report.state == "finished":
        yield "How much a wrong prediction costs depends on its use, and was not studied."


def _usage(report: RunReport) -> str:
    if not report.bundle_files:
        return "This run has no bundle yet, so there is nothing to load."
    size = sum(count for _, count in report.bundle_files)
    files = ", ".join(f"`{_code(name)}`" for name, _ in report.bundle_files)
    weights = report.path / "bundle" / "weights.safetensors"
    run = shlex.quote(report.name)
    command = _fenced(f"graphwright predict {run} INPUT -o predictions.csv", "sh")
    python = _fenced(
        f"from graphwright import load_run\n\nmodel = load_run({report.name!r})", "python"
    )
    digest = f"\n\nSHA-256 of the weights: `{_sha256(weights)}`" if weights.is_file() else ""
    return (
        f"The bundle ({files}; {size / 1e6:.2g} MB) holds all that a prediction needs; it contains "
        f"no pickle.\n\n{command}\n\n{python}{digest}"
    )


def _provenance(report: RunReport) -> str:
    rows = [(key, value) for key, value in flatten(report.provenance).items() if key != "command"]
    command = report.provenance.get("command")
    parts = []
    if command:
        line = command if isinstance(command, str) else shlex.join(map(str, command))
        parts.append(_fenced(line, "sh"))
    if rows:
        parts.append(markdown_table(("", ""), [(key, _plain(value)) for key, value in rows]))
    return "\n\n".join(parts)


def _plain(value: object) -> str:
    # a commit or a version is not a quantity: no thousands separators
    return str(value) if is_number(value) else format_value(value)


def _code(value: object) -> str:
    """Text for a code span: a backtick would end it."""
    return " ".join(str(value).split()).replace("`", "'")


def _fenced(text: str, language: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
