"""What comes from outside: names that would be paths, and files that unpack to too much."""

from __future__ import annotations

import gzip
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphwright.data.limits import LimitError
from graphwright.errors import DataError
from graphwright.launch.serve.uploads import check_unpacked, safe_name

LIMIT = 1_000_000


@given(st.text())
def test_a_name_is_never_a_path(text: str) -> None:
    name = safe_name(text, ("",))
    assert name not in ("", ".", "..")
    assert not set(name) & set("/\\:\0 ")
    assert not name.startswith(("-", "."))
    assert len(name) <= 100


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("mine.npz", "mine.npz"),
        ("../../etc/passwd.npz", "passwd.npz"),
        ("C:\\data\\My File.NPZ", "My_File.NPZ"),
        ("os:system.npz", "os_system.npz"),
    ],
)
def test_names(given_name: str, expected: str) -> None:
    assert safe_name(given_name, (".npz",)) == expected


def test_another_ending_is_refused() -> None:
    with pytest.raises(DataError, match="ending") as caught:
        safe_name("x.pkl", (".npz", ".xyz"))
    assert ".npz, .xyz" in str(caught.value)


def _npz(rows: int) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, pos=np.zeros(rows))
    return file.getvalue()


def _blf(containers: int) -> bytes:
    packed = zlib.compress(bytes(600_000))
    head = struct.pack("<4sHHII", b"LOBJ", 16, 1, 32 + len(packed), 10)
    one = head + struct.pack("<H6xI4x", 2, 600_000) + packed
    one += bytes((32 + len(packed)) % 4)
    return b"LOGG" + (144).to_bytes(4, "little") + bytes(136) + one * containers


BOMBS = {
    "zip": _npz(200_000),
    "zip behind an empty one": b"PK\x05\x06" + bytes(18) + _npz(200_000),
    "gzip": gzip.compress(bytes(2_000_000)),
    "gzip members": gzip.compress(bytes(600_000)) * 2,
    "blf": _blf(2),
    "blf in gzip": gzip.compress(_blf(2)),
}
GOOD = {
    "zip": _npz(1000),
    "gzip": gzip.compress(b"text"),
    "cut gzip": gzip.compress(bytes(1000))[:-4],
    "gzip and noise": gzip.compress(b"text") + b"\0\0noise",
    "blf": _blf(1),
    "text": b"G1 G2\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_found_before_they_are_unpacked(name: str) -> None:
    assert len(BOMBS[name]) < 20_000
    with pytest.raises(LimitError, match="unpacks to more than 1,000,000"):
        check_unpacked(BOMBS[name], LIMIT, "x")


@pytest.mark.parametrize("name", GOOD)
def test_others_pass(name: str) -> None:
    check_unpacked(GOOD[name], LIMIT, "x")


@given(st.binary(max_size=200), st.sampled_from([b"PK\x03\x04", b"\x1f\x8b\x08", b"LOGG", b""]))
def test_noise_is_an_error_for_people_or_the_reader_s(noise: bytes, start: bytes) -> None:
    wheres = []
    try:
        check_unpacked(start + noise, LIMIT, "x")
    except DataError as error:
        wheres.append(error.where)
    assert wheres in ([], ["x"])
