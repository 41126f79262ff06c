"""Frames as JSON are those of `candump`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.canbus.json_frames import frames_from_json
from graphwright.tasks.canbus.readers import read_frames

FRAMES = [
    [1672531200.25, "1A0", "0011AAFF"],
    [1672531200.5, "7ff", ""],
    [1672531201.0, "1FFFFFFF", "0102030405060708"],
    [1672531201.0, "00000001", "ab"],
]


def test_frames_are_those_of_candump(tmp_path: Path) -> None:
    path = tmp_path / "drive.log"
    path.write_text("".join(f"({t:.6f}) can0 {i}#{d}\n" for t, i, d in FRAMES))
    expected = read_frames(path, rejects=Rejects(None, strict=True))
    found = frames_from_json({"frames": FRAMES})
    for name in ("time", "id", "extended", "length", "payload", "attack"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (3, "not a list"),
        ([1.0, "1A0"], "not a list"),
        (["1", "1A0", ""], "time"),
        ([-1.0, "1A0", ""], "time"),
        ([float("nan"), "1A0", ""], "time"),
        ([True, "1A0", ""], "time"),
        ([1.0, 416, ""], "texts in hex"),
        ([1.0, "xyz", ""], "id is no hexadecimal"),
        ([1.0, "0x1", ""], "id is no hexadecimal"),
        ([1.0, "800", ""], "above 0x7FF"),
        ([1.0, "20000000", ""], "above 0x1FFFFFFF"),
        ([1.0, "1A0", "0"], "data is not hexadecimal"),
        ([1.0, "1A0", "00" * 9], "9 bytes"),
    ],
)
def test_what_is_no_frame_is_named(frame: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        frames_from_json({"frames": [FRAMES[0], frame]})
    assert caught.value.where == "frames[1]"


@pytest.mark.parametrize("value", [[], {}, {"frames": "x"}, None])
def test_no_list_of_frames(value: Any) -> None:
    with pytest.raises(DataError, match="no list of frames"):
        frames_from_json(value)
