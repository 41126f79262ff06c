"""A watch for people, or as JSON lines for programs."""

from __future__ import annotations

import json
import math
from typing import Any, Protocol

import click

from graphwright.tasks.canbus.watch.alarms import Alarm, Summary

__all__ = ["JsonReport", "Report", "TextReport"]


class Report(Protocol):
    """Where a watch says what it finds, at once."""

    def alarm(self, alarm: Alarm) -> None: ...

    def warning(self, what: str, count: int) -> None: ...

    def calibrated(self, threshold: float, windows: int) -> None: ...

    def summary(self, summary: Summary) -> None: ...


class TextReport:
    """Alarms on stdout, everything else on stderr."""

    def alarm(self, alarm: Alarm) -> None:
        """One line."""
        click.echo(alarm.to_text())

    def warning(self, what: str, count: int) -> None:
        """One line."""
        click.echo(f"warning: {what}: {count}", err=True)

    def calibrated(self, threshold: float, windows: int) -> None:
        """One line."""
        click.echo(f"calibrated: threshold {threshold:.4g} by {windows} windows", err=True)

    def summary(self, summary: Summary) -> None:
        """A few lines."""
        click.echo(summary.to_text(), err=True)


class JsonReport:
    """One JSON object a line on stdout; its key `event` says what it is."""

    def alarm(self, alarm: Alarm) -> None:
        """`{"event": "alarm", …}` with the attributes of `Alarm`."""
        _say("alarm", alarm.to_json())

    def warning(self, what: str, count: int) -> None:
        """`{"event": "warning", "what": …, "count": …}`."""
        _say("warning", {"what": what, "count": count})

    def calibrated(self, threshold: float, windows: int) -> None:
        """`{"event": "calibrated", "threshold": …, "windows": …}`."""
        _say("calibrated", {"threshold": threshold, "windows": windows})

    def summary(self, summary: Summary) -> None:
        """`{"event": "summary", …}` with the attributes of `Summary`; always the last line."""
        _say("summary", summary.to_json())


def _say(event: str, values: dict[str, Any]) -> None:
    click.echo(json.dumps({"event": event, **_finite(values)}, allow_nan=False))  # echo flushes


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no infinity: a number that is not finite becomes null."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }
