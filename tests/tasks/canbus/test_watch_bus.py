"""Live buses: python-can's virtual one, and what says that frames were lost."""

from __future__ import annotations

import socket
import threading
import time
from types import SimpleNamespace

import pytest
from watch_helpers import BAD, FakeDetector, Kept

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.canbus.watch import Watch, open_pieces
from graphwright.tasks.canbus.watch.bus import (
    BusPieces,
    dropped_by_kernel,
    is_overrun,
    open_bus,
)
from graphwright.tasks.canbus.watch.inbox import Inbox

can = pytest.importorskip("can")


class Sender(threading.Thread):
    """Puts ids on a virtual bus; waits until somebody listens."""

    def __init__(self, channel, ids, pause_s=0.0):
        super().__init__(daemon=True)
        self.bus = can.Bus(interface="virtual", channel=channel)
        self.ids, self.pause_s = ids, pause_s

    def run(self):
        for ident in self.ids:
            message = can.Message(arbitration_id=ident, is_extended_id=False, data=b"\1\2")
            self.bus.send(message)
            if self.pause_s:
                time.sleep(self.pause_s)


def watch_virtual(channel, ids, detector, *, stop_after, pause_s=0.0, limit=200_000):
    """Watch until so many alarms were seen."""
    sender = Sender(channel, ids, pause_s)
    rejects, report = Rejects(None), Kept()
    pieces = BusPieces(open_bus(f"virtual:{channel}"), channel, detector.window, rejects, limit)
    sender.start()
    try:
        summary = Watch(detector, report, rejects, max_alarms=stop_after).run(pieces)
    finally:
        sender.join()
        sender.bus.shutdown()
    return report, summary


def test_windows_of_a_live_bus_are_scored_one_at_a_time():
    ids = [0x100 + k % 8 for k in range(300)]
    ids[250] = BAD
    detector = FakeDetector()
    report, summary = watch_virtual("live", ids, detector, stop_after=1, pause_s=2e-4)
    assert detector.batches == [1, 1, 1]
    assert (report.alarms[0].first_frame, report.alarms[0].last_frame) == (200, 299)
    assert (summary.frames, summary.lost, summary.waiting) == (300, 0, 0)
    assert report.alarms[0].latency_s < 1
    assert abs(report.alarms[0].end_time - time.time()) < 60  # the bus's own clock


def test_a_bus_that_is_too_fast_is_told_and_nothing_is_lost():
    ids = [0x100 + k % 8 for k in range(3_000)]
    ids[2_999] = BAD
    detector = FakeDetector(size=10, stride=10)
    detector.wait_s = 0.05
    report, summary = watch_virtual("fast", ids, detector, stop_after=1)
    assert (summary.frames, summary.windows, summary.lost) == (3_000, 300, 0)
    assert max(detector.batches) <= 64
    assert summary.most_waiting >= 640
    assert "faster than they are scored" in report.warnings[0][0]
    assert report.warnings[-1] == ("caught up, frames waiting", 0)
    assert report.alarms[0].first_frame == 2_990


def test_frames_beyond_the_limit_are_counted_as_lost():
    ids = [BAD] * 2_000
    detector = FakeDetector(size=10, stride=10)
    detector.wait_s = 0.2
    sender = Sender("flood", ids)
    rejects, report = Rejects(None), Kept()
    pieces = BusPieces(open_bus("virtual:flood"), "flood", detector.window, rejects, limit=300)
    sender.start()
    summary = Watch(detector, report, rejects, max_alarms=20).run(pieces)
    sender.join()
    sender.bus.shutdown()
    assert summary.lost > 0
    assert any("lost" in what for what, _ in report.warnings)
    assert f"frames lost, they came too fast: {summary.lost}" in summary.to_text()


def test_messages_that_are_no_data_frames_are_rejected():
    sender = Sender("mixed", [0x100] * 10)
    detector, rejects = FakeDetector(size=10, stride=10), Rejects(None)
    pieces = BusPieces(open_bus("virtual:mixed"), "mixed", detector.window, rejects)
    for _ in range(3):
        sender.bus.send(can.Message(arbitration_id=1, is_remote_frame=True))
    detector.threshold = -1.0  # every window is an alarm
    sender.start()
    summary = Watch(detector, Kept(), rejects, max_alarms=1).run(pieces)
    sender.join()
    sender.bus.shutdown()
    assert (summary.frames, dict(summary.rejected)) == (10, {"remote frame": 3})


def test_a_bus_that_fails_ends_the_watch_with_what_was_found():
    class Broken:
        def __init__(self):
            self.left = 150
            self.is_down = False

        def recv(self, timeout):
            if not self.left:
                raise can.CanOperationError("network is down")
            self.left -= 1
            return can.Message(arbitration_id=BAD, is_extended_id=False, timestamp=1.0)

        def shutdown(self):
            self.is_down = True

    bus, report, detector = Broken(), Kept(), FakeDetector()
    with pytest.raises(DataError, match="network is down"):
        Watch(detector, report, Rejects(None)).run(
            BusPieces(bus, "can0", detector.window, Rejects(None))
        )
    assert (report.summaries[0].alarms, report.summaries[0].unscored) == (1, 50)
    assert bus.is_down


def test_no_such_bus():
    with pytest.raises(DataError, match="cannot open the bus"):
        open_pieces("nonsense:can0", FakeDetector().window, Rejects(None))


def test_overruns_of_the_controller_are_recognised():
    def error(kind, detail):
        return SimpleNamespace(
            is_error_frame=True, arbitration_id=kind, data=bytes([0, detail, 0, 0, 0, 0, 0, 0])
        )

    assert is_overrun(error(0x4, 0x1))
    assert not is_overrun(error(0x4, 0x4))  # a warning level
    assert not is_overrun(error(0x40, 0x1))  # bus off
    assert not is_overrun(can.Message(arbitration_id=4, data=b"\0\1"))


def test_overruns_are_counted_and_told():
    frames = [can.Message(arbitration_id=BAD, is_extended_id=False)] * 100
    frames.insert(30, can.Message(arbitration_id=4, is_error_frame=True, data=b"\0\1" + bytes(6)))

    class Listed:
        def recv(self, timeout):
            return frames.pop(0) if frames else None

        def shutdown(self):
            pass

    detector, report, rejects = FakeDetector(), Kept(), Rejects(None)
    pieces = BusPieces(Listed(), "can0", detector.window, rejects)
    summary = Watch(detector, report, rejects, max_alarms=1).run(pieces)
    assert (summary.overruns, dict(summary.rejected)) == (1, {"error frame": 1})
    assert report.warnings == [("the controller ran over and lost frames, times", 1)]


def test_the_kernel_tells_what_it_dropped():
    """A datagram socket that nobody reads runs over as a socket of a bus does."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        bus = SimpleNamespace(socket=listener)
        if len(listener.getsockopt(socket.SOL_SOCKET, 55, 36)) != 36:
            pytest.skip("this kernel does not tell")
        assert dropped_by_kernel(bus) == 0
        for _ in range(500):
            sender.sendto(b"x" * 100, listener.getsockname())
        if dropped_by_kernel(bus) == 0:
            pytest.skip("this kernel does not count drops")
        assert 0 < dropped_by_kernel(bus) < 500
    assert dropped_by_kernel(bus) == 0  # closed
    assert dropped_by_kernel(SimpleNamespace()) == 0


def test_the_inbox_wakes_its_reader_for_a_whole_window():
    inbox = Inbox(limit=5)
    for number in range(7):
        inbox.put(number)
    assert (len(inbox), inbox.lost) == (5, 2)
    assert inbox.take(3, 4, 1.0) == [0, 1, 2, 3]
    begin = time.perf_counter()
    assert inbox.take(3, 4, 0.05) == [4]  # too few, after a while
    assert time.perf_counter() - begin >= 0.04
    inbox.put(5)
    inbox.close()
    assert inbox.take(3, 4, 60.0) == [5]
    assert inbox.take(3, 4, 60.0) is None
