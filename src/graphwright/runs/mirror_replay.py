"""Mirror runs that are there already, one after the other, to one destination."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphwright.errors import GraphwrightError, MissingExtraError
from graphwright.runs.folder import RunFolder
from graphwright.runs.mirror import missing_package
from graphwright.runs.mirrors.follow import Sent, follow_run, make_tracker

__all__ = ["Replayed", "replay"]

_PATIENCE_S = 2.0  # for a mirror of a training that goes on


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What became of one run: one of `sent` and `error` is set."""

    folder: RunFolder
    sent: Sent | None = None
    error: str | None = None


def replay(
    folders: Sequence[RunFolder],
    tracker: str,
    settings: Mapping[str, Any],
    *,
    tags: Mapping[str, Mapping[str, str]] | None = None,
    progress: Callable[[RunFolder, int], None] = lambda *_: None,
) -> Iterator[Replayed]:
    """Mirror runs as they stand; what the destination has already is not sent again.

    A run that fails is an item with an `error`, and the rest goes on, unless the tracker itself
    is gone.

    Args:
        folders: the runs.
        tracker: `mlflow`, `tensorboard` or `wandb`.
        settings: of the tracker, see its class.
        tags: more tags, by the path of the run.
        progress: told the run and how many bytes of its events are sent.

    Raises:
        MissingExtraError: the tracker's package is not installed.
        RunError: the settings make no sense, or the tracker cannot be reached.
    """
    if (package := missing_package(tracker)) is not None:
        raise MissingExtraError(package, tracker, f"mirroring to {tracker}")
    for number, folder in enumerate(folders):
        own = {**settings, "run_tags": dict((tags or {}).get(str(folder.path), {}))}
        if number == 0:
            make_tracker(tracker, folder, own).check()
        try:
            sent = follow_run(
                folder,
                tracker,
                own,
                follow=False,
                patience_s=_PATIENCE_S,
                progress=lambda count, folder=folder: progress(folder, count),  # type: ignore[misc]
            )
        except Exception as error:
            yield Replayed(folder=folder, error=_one_line(error))
            make_tracker(tracker, folder, own).check()
        else:
            yield Replayed(folder=folder, sent=sent)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, GraphwrightError) else f"{type(error).__name__}: {text}"
