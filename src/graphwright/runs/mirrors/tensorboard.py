"""Mirror to TensorBoard event files in `<run>/mirrors/tensorboard`.

Written with TensorBoard's own protocol buffers: neither torch nor TensorFlow is needed. A resumed
run adds a file, and TensorBoard shows all files of a folder as one run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphwright.runs.events import Record
from graphwright.runs.mirrors.base import Outcome, RunFacts

__all__ = ["TensorboardTracker"]


class TensorboardTracker:
    """Settings: `folder`, where the event files go."""

    def __init__(self, folder: Path, root: Path, settings: Mapping[str, Any]) -> None:
        self._folder = Path(settings.get("folder") or folder / "mirrors" / "tensorboard")
        self._writer: Any = None

    def begin(self, facts: RunFacts, tracker_id: str | None) -> str:
        """Open an event file and log the parameters for the HPARAMS page."""
        from tensorboard.plugins.hparams import metadata, plugin_data_pb2  # type: ignore[import-untyped]
        from tensorboard.summary.writer.event_file_writer import EventFileWriter  # type: ignore[import-untyped]

        self._folder.mkdir(parents=True, exist_ok=True)
        self._writer = EventFileWriter(str(self._folder))
        start = plugin_data_pb2.SessionStartInfo(
            start_time_secs=facts.started, group_name=facts.name
        )
        for key, value in facts.params.items():
            _set(start.hparams[key], value)
        data = plugin_data_pb2.HParamsPluginData(session_start_info=start)
        self._hparams(metadata.SESSION_START_INFO_TAG, data, facts.started)
        return str(self._folder)

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


def _set(slot: Any, value: object) -> None:
    """A protobuf `Value` has one field per type; None stays unset."""
    if isinstance(value, bool):
        slot.bool_value = value
    elif isinstance(value, int | float):
        slot.number_value = value
    elif value is not None:
        slot.string_value = str(value)
