"""The watch itself: pieces of frames in, alarms out, in bounded memory.

Legend: C = windows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.thresholds import prefix_threshold
from graphwright.tasks.canbus.watch.alarms import Alarm, Summary
from graphwright.tasks.canbus.watch.detector import Detector, Scores
from graphwright.tasks.canbus.watch.latency import Latencies
from graphwright.tasks.canbus.watch.pieces import BATCH, Piece, Pieces
from graphwright.tasks.canbus.watch.pressure import Pressure
from graphwright.tasks.canbus.watch.report import Report
from graphwright.tasks.canbus.windows import WindowGraphs, stream_window_graphs

__all__ = ["Watch"]

_HIGHEST = 1.0


class Watch:
    """Scores the windows of one source as they are completed.

    Args:
        detector: the model.
        report: is told of every alarm at once.
        rejects: that the source was opened with; for the summary.
        calibrate_s: seconds from the first frame on that are known to be benign: they give no
            alarms but the threshold (`prefix_threshold`); 0 keeps the detector's.
        max_alarms: stop after so many; 0 is never.
    """

    def __init__(
        self,
        detector: Detector,
        report: Report,
        rejects: Rejects,
        *,
        calibrate_s: float = 0.0,
        max_alarms: int = 0,
    ) -> None:
        self.detector, self.report, self.rejects = detector, report, rejects
        self.max_alarms = max_alarms
        self.frames = self.windows = self.alarms = 0
        self.threshold: float | None = None if calibrate_s else detector.threshold
        self._prefix = _Prefix(calibrate_s, detector.false_positive_rate)
        self._latencies = Latencies()
        window = detector.window
        self._pressure = Pressure(BATCH * window.stride, window.stride, report.warning)
        self._piece: Piece | None = None
        self._source: Pieces | None = None
        self._used = 0
        self._began: float | None = None
        self._seconds = 0.0
        self._is_interrupted = False

    def run(self, pieces: Pieces) -> Summary:
        """Until the source ends, `max_alarms` is reached or somebody interrupts.

        The summary goes to the report, too, and is there also when an error ends the source.

        Raises:
            DataError: the source failed, or it was too short to calibrate on.
        """
        self._source = pieces
        try:
            self._follow(pieces)
            self._finish_prefix()
        except KeyboardInterrupt:
            self._is_interrupted = True
        finally:
            self._seconds = 0.0 if self._began is None else time.perf_counter() - self._began
            summary = self.summary()
            if self._began is not None or self._is_interrupted:
                self.report.summary(summary)
        return summary

    def _follow(self, pieces: Pieces) -> None:
        frames = self._noted(pieces)
        try:
            for graphs in stream_window_graphs(frames, self.detector.window):
                self._judge(graphs)
                if self.max_alarms and self.alarms >= self.max_alarms:
                    return
        finally:
            frames.close()  # type: ignore[attr-defined]

    def summary(self) -> Summary:
        """What happened so far."""
        source = self._source
        return Summary(
            frames=self.frames,
            windows=self.windows,
            calibrated_on=len(self._prefix),
            alarms=self.alarms,
            threshold=self.threshold,
            unscored=max(0, self.frames - self._used),
            rejected=self.rejects.by_reason(),
            lost=0 if source is None else source.lost,
            overruns=0 if source is None else source.overruns,
            most_waiting=self._pressure.most,
            waiting=0 if self._piece is None else self._piece.waiting,
            seconds=self._seconds,
            frames_per_s=self.frames / self._seconds if self._seconds > 0 else 0.0,
            latency_p50_s=self._latencies.percentile(50),
            latency_p99_s=self._latencies.percentile(99),
            interrupted=self._is_interrupted,
        )

    def _noted(self, pieces: Pieces) -> Iterator[Frames]:
        """The frames of the pieces; the latest piece is kept, as windows end in it."""
        for piece in pieces:
            if len(piece.frames) and self._began is None:
                self._began = time.perf_counter()
                self._prefix.start = float(piece.frames.time[0])
            self._piece = piece
            self.frames += len(piece.frames)
            self._pressure.seen(piece.waiting, pieces.lost, pieces.overruns)
            yield piece.frames

    def _judge(self, graphs: WindowGraphs) -> None:
        scores = self.detector.score(graphs)
        rows = np.arange(len(graphs))
        if self.threshold is None:
            rows = rows[self._calibrate(graphs, scores) :]
        if self.threshold is not None:
            # a score that is not a number is an alarm, too
            self._tell(graphs, scores, rows[~(scores[rows] <= self.threshold)])
        self._latencies.add(time.perf_counter() - self._arrival(graphs))
        self.windows += len(graphs)
        self._used = int(graphs.end[-1])

    def _calibrate(self, graphs: WindowGraphs, scores: Scores) -> int:
        """How many of the windows belong to the prefix; behind its last one, the threshold."""
        taken = self._prefix.take(graphs.end_time, scores)
        if taken < len(graphs):
            self._finish_prefix()
        return taken

    def _finish_prefix(self) -> None:
        if self.threshold is None and self._began is not None:
            self.threshold = self._prefix.threshold()
            self.report.calibrated(self.threshold, len(self._prefix))

    def _tell(self, graphs: WindowGraphs, scores: Scores, rows: NDArray[np.int64]) -> None:
        if len(rows) == 0 or self.threshold is None:
            return
        found = _windows_at(graphs, rows)
        latency = time.perf_counter() - self._arrival(found)
        for k, suspects in enumerate(self.detector.suspects(found)):
            alarm = Alarm(
                window=self.windows + int(rows[k]),
                first_frame=int(found.start[k]),
                last_frame=int(found.end[k]) - 1,
                start_time=float(found.start_time[k]),
                end_time=float(found.end_time[k]),
                score=float(scores[rows[k]]),
                threshold=self.threshold,
                suspects=suspects,
                latency_s=float(latency[k]),
            )
            self.report.alarm(alarm)
            self.alarms += 1
            if self.max_alarms and self.alarms >= self.max_alarms:
                return

    def _arrival(self, graphs: WindowGraphs) -> NDArray[np.float64]:
        """When the last frame of every window was there. It lies in the latest piece: before that
        one the window was not whole."""
        assert self._piece is not None
        return self._piece.arrival[graphs.end - 1 - (self.frames - len(self._piece.frames))]


class _Prefix:
    """Scores of the windows that are known to be benign."""

    def __init__(self, seconds: float, rate: float) -> None:
        self.seconds, self.rate, self.start = seconds, rate, 0.0
        self._scores: list[float] = []
        self._times: list[float] = []

    def __len__(self) -> int:
        return len(self._scores)

    def take(self, end_time: NDArray[np.float64], scores: Scores) -> int:
        """Keep the windows before the first one that ends too late; their number."""
        late = np.flatnonzero(end_time - self.start > self.seconds)
        count = int(late[0]) if len(late) else len(scores)
        self._scores += scores[:count].tolist()
        self._times += end_time[:count].tolist()
        return count

    def threshold(self) -> float:
        if not self._scores:
            raise DataError(
                f"no window ends in the first {self.seconds:g} s, nothing to calibrate on",
                fix="calibrate on more seconds",
            )
        found = prefix_threshold(
            np.array(self._scores),
            np.array(self._times),
            start=self.start,
            seconds=self.seconds,
            rate=self.rate,
        )
        if found >= _HIGHEST:
            raise DataError(
                f"benign windows of the first {self.seconds:g} s have the highest score there is: "
                "nothing could be an alarm",
                fix="train on traffic like this, or with data.window.id_free=true",
            )
        return found


def _windows_at(graphs: WindowGraphs, rows: NDArray[np.int64]) -> WindowGraphs:
    """Some of the windows, `rows` ascending."""
    keep_C = np.zeros(len(graphs), np.bool_)
    keep_C[rows] = True
    keep_N, keep_E = np.repeat(keep_C, graphs.node_counts), np.repeat(keep_C, graphs.edge_counts)
    own = {"node_id": keep_N, "node_x": keep_N, "edge_x": keep_E}
    values: dict[str, Any] = {
        field.name: getattr(graphs, field.name)[own.get(field.name, keep_C)]
        for field in fields(graphs)
        if field.name != "edge_index"
    }
    return WindowGraphs(**values, edge_index=graphs.edge_index[:, keep_E])
