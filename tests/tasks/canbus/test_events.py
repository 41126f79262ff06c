"""Events caught, time to alarm, false alarms per hour: by hand, and by an obvious loop."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from canbus_windows import windows
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.errors import DataError
from graphwright.tasks.canbus.events import Alarms, attack_events, score_alarms
from graphwright.tasks.canbus.window_table import Windows

FLAGS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30)


def test_runs_of_attack_windows_are_events_of_their_capture() -> None:
    table = windows([0, 1, 1, 0, 0, 1], [1, 0, 1])
    # 0.1 s lie between the end of a window and the next start, 1.1 s where a benign one is between
    np.testing.assert_array_equal(attack_events(table), [-1, 0, 0, -1, -1, 1, 2, -1, 3])
    joined = attack_events(table, gap_s=1.2)
    np.testing.assert_array_equal(joined, [-1, 0, 0, -1, -1, 1, 2, -1, 2])
    assert score_alarms(table, np.zeros(9)).events == 4


def test_time_to_alarm_is_from_the_start_of_the_event_to_the_end_of_the_alarmed_window() -> None:
    table = windows([0, 1, 1, 1, 0, 0, 0, 1, 0])
    found = score_alarms(table, [1, 0, 0, 1, 1, 0, 0, 0, 0])
    assert (found.events, found.caught) == (2, 1)
    np.testing.assert_allclose(found.delay_s, [2.9])
    assert found.median_delay_s == pytest.approx(2.9)


def test_an_alarm_in_a_gap_of_an_event_is_false_and_catches_nothing() -> None:
    table = windows([1, 0, 1, 0])
    found = score_alarms(table, [0, 1, 0, 0], gap_s=2.0)
    assert (found.events, found.caught, found.false_alarms) == (1, 0, 1)
    assert math.isnan(found.median_delay_s)


def test_false_alarms_that_follow_each_other_count_once() -> None:
    table = windows([0, 0, 0, 1, 0, 0], [0, 0])
    found = score_alarms(table, [0, 1, 1, 1, 1, 0, 1, 1])
    # before the attack, behind it, and one in the other capture
    assert found.false_alarms == 3
    assert found.benign_hours == pytest.approx(7 * 0.9 / 3600)
    assert found.false_alarms_per_hour == pytest.approx(3 * 3600 / 6.3)


def test_windows_that_are_no_neighbours_are_two_false_alarms() -> None:
    table = windows([0, 0, 0]).take([0, 2])
    assert score_alarms(table, [1, 1]).false_alarms == 2


def test_windows_that_overlap_share_their_time() -> None:
    table = windows([0, 0, 0], length_s=2.0)
    assert table.seconds().tolist() == [1.0, 1.0, 2.0]


def test_a_clock_that_goes_backwards_adds_no_time_and_no_event() -> None:
    table = windows([0, 1, 1, 0])
    back = np.array([0.0, 0.0, -50.0, 0.0])
    table = dataclasses.replace(
        table, start_time=table.start_time + back, end_time=table.end_time + back
    )
    found = score_alarms(table, [0, 0, 1, 0])
    assert (found.events, found.caught) == (1, 1)
    assert found.delay_s.tolist() == [0.0]
    assert (table.seconds() >= 0).all()


def test_nothing_at_all() -> None:
    found = score_alarms(windows([]), np.zeros(0))
    assert (found.events, found.caught, found.false_alarms) == (0, 0, 0)
    assert math.isnan(found.false_alarms_per_hour)
    assert score_alarms(windows([1]), [1]).benign_hours == 0


def test_parts_add_up() -> None:
    one, two = windows([0, 1, 0, 0]), windows([1, 1, 0])
    both = windows([0, 1, 0, 0], [1, 1, 0])
    alarms = np.array([1, 1, 0, 1, 0, 1, 1])
    added = score_alarms(one, alarms[:4]) + score_alarms(two, alarms[4:])
    whole = score_alarms(both, alarms)
    assert (added.events, added.false_alarms) == (whole.events, whole.false_alarms) == (2, 3)
    assert added.benign_hours == pytest.approx(whole.benign_hours)
    np.testing.assert_allclose(added.delay_s, whole.delay_s)


@settings(deadline=None)
@given(FLAGS, FLAGS, st.sampled_from([0.0, 0.5, 1.5, 2.5]))
def test_an_obvious_loop_finds_the_same(
    one: list[tuple[bool, bool]], two: list[tuple[bool, bool]], gap_s: float
) -> None:
    table = windows([label for label, _ in one], [label for label, _ in two])
    alarm = np.array([flag for _, flag in [*one, *two]], np.bool_)
    found, slow = score_alarms(table, alarm, gap_s), loop(table, alarm, gap_s)
    assert (found.events, found.false_alarms) == (slow.events, slow.false_alarms)
    np.testing.assert_allclose(found.delay_s, slow.delay_s)


def loop(table: Windows, alarm: np.ndarray, gap_s: float) -> Alarms:
    events, delays, false, seconds = 0, [], 0, 0.0
    for capture in range(len(table.places)):
        last_end, begin, caught, ringing = None, 0.0, False, False
        for i in np.flatnonzero(table.capture == capture):
            if not table.label[i]:
                seconds += table.end_time[i] - table.start_time[i]
                false += bool(alarm[i] and not ringing)
                ringing = bool(alarm[i])
                continue
            ringing = False
            if last_end is None or table.start_time[i] - last_end > gap_s:
                events, begin, caught = events + 1, table.start_time[i], False
            last_end = table.end_time[i]
            if alarm[i] and not caught:
                delays.append(table.end_time[i] - begin)
                caught = True
    return Alarms(
        events=events,
        delay_s=np.array(delays, float),
        false_alarms=false,
        benign_hours=seconds / 3600,
    )


def test_windows_out_of_order_are_refused() -> None:
    table = windows([0, 1, 0])
    with pytest.raises(DataError, match="by capture and position"):
        table.take([1, 0])
    with pytest.raises(DataError, match="different lengths"):
        dataclasses.replace(table, label=table.label[:2])
    with pytest.raises(DataError, match="verdicts"):
        score_alarms(table, [1])
