"""Mirror to TensorBoard event files, by default in `<run>/mirrors/tensorboard`.

Written with TensorBoard's own protocol buffers: neither torch nor TensorFlow is needed. A resumed
run adds a file, and TensorBoard shows all files of a folder as one run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphwright.errors import RunError
from graphwright.runs.events import Record
from graphwright.runs.files import storage_errors
from graphwright.runs.mirrors.base import Begun, Outcome, RunFacts

__all__ = ["TensorboardTracker"]


class TensorboardTracker:
    """Settings: `uri`, a folder that gets the event files under the run's path."""

    def __init__(self, folder: Path, root: Path, settings: Mapping[str, Any]) -> None:
        self._folder = folder / "mirrors" / "tensorboard"
        self.destination = ""
        self._logs = root
        if settings.get("uri"):
            logs = _log_folder(str(settings["uri"]))
            below = folder.relative_to(root) if folder.is_relative_to(root) else Path(folder.name)
            self._folder = logs / below
            self.destination, self._logs = str(self._folder), logs
        self.mark = -1
        self._writer: Any = None

    def check(self) -> None:
        """There is nobody to reach."""

    def holds(self, tracker_id: str) -> bool:
        """Whether there are event files."""
        return any(self._files())

    def begin(self, facts: RunFacts, tracker_id: str | None) -> Begun:
        """Open an event file and log the parameters for the HPARAMS page."""
        fresh = tracker_id is None or not self.holds(tracker_id)
        from tensorboard.plugins.hparams import metadata, plugin_data_pb2  # type: ignore[import-untyped]
        from tensorboard.summary.writer.event_file_writer import EventFileWriter  # type: ignore[import-untyped]

        with storage_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        earlier = self._files()
        self._writer = EventFileWriter(str(self._folder))
        (piece,) = self._files() - earlier
        start = plugin_data_pb2.SessionStartInfo(
            start_time_secs=facts.started, group_name=facts.name
        )
        for key, value in facts.params.items():
            _set(start.hparams[key], value)
        data = plugin_data_pb2.HParamsPluginData(session_start_info=start)
        self._hparams(metadata.SESSION_START_INFO_TAG, data, facts.started)
        return Begun(tracker_id=str(self._folder), fresh=fresh, piece=str(piece))

    def log(self, records: Sequence[Record]) -> None:
        """Scalars; on disk when this returns."""
        from tensorboard.compat.proto import event_pb2, summary_pb2  # type: ignore[import-untyped]

        for record in records:
            value = summary_pb2.Summary.Value(tag=record.name, simple_value=record.value)
            summary = summary_pb2.Summary(value=[value])
            event = event_pb2.Event(wall_time=record.time, step=record.step, summary=summary)
            self._writer.add_event(event)
        self._writer.flush()

    def finish(self, outcome: Outcome) -> None:
        """Final metrics as scalars, and the end state on the HPARAMS page."""
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

        self.log(
            [
                Record(outcome.last_step, -1, outcome.ended, name, value)
                for name, value in outcome.metrics.items()
            ]
        )
        status = {
            "finished": api_pb2.STATUS_SUCCESS,
            "failed": api_pb2.STATUS_FAILURE,
            "interrupted": api_pb2.STATUS_FAILURE,
        }.get(outcome.state, api_pb2.STATUS_RUNNING)
        end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=outcome.ended)
        data = plugin_data_pb2.HParamsPluginData(session_end_info=end)
        self._hparams(metadata.SESSION_END_INFO_TAG, data, outcome.ended)
        self._writer.close()

    def discard(self, piece: str) -> None:
        """Remove an event file."""
        Path(piece).unlink(missing_ok=True)

    def where(self) -> str:
        """The folder for `tensorboard --logdir`."""
        return str(self._logs)

    def _files(self) -> set[Path]:
        return set(self._folder.glob("events.out.tfevents.*"))

    def _hparams(self, tag: str, data: Any, time: float) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.plugins.hparams import metadata

        value = summary_pb2.Summary.Value(
            tag=tag,
            tensor=metadata.NULL_TENSOR,
            metadata=metadata.create_summary_metadata(data),
        )
        summary = summary_pb2.Summary(value=[value])
        self._writer.add_event(event_pb2.Event(wall_time=time, step=0, summary=summary))


def _log_folder(uri: str) -> Path:
    if "://" in uri and not uri.startswith("file://"):
        raise RunError(
            f"{uri!r} is no folder: TensorBoard reads files, it has no server to write to",
            fix="--uri FOLDER, then tensorboard --logdir FOLDER",
        )
    return Path(uri.removeprefix("file://")).expanduser().absolute()


def _set(slot: Any, value: object) -> None:
    """A protobuf `Value` has one field per type; None stays unset."""
    if isinstance(value, bool):
        slot.bool_value = value
    elif isinstance(value, int | float):
        slot.number_value = value
    elif value is not None:
        slot.string_value = str(value)
