"""can-train-and-test CSV (Lampe & Meng, DTU data DOI 10.11583/DTU.24805533).

Header `timestamp,arbitration_id,data_field,attack`; ids of 3 hex digits, or 8 for extended ones;
payloads of 0 to 16 hex digits, of which none is a frame of length 0; attack 0 or 1.
"""

from __future__ import annotations

import numpy as np

from graphwright.tasks.canbus.readers.decode import (
    flag_column,
    id_column,
    payload_column,
    time_column,
)
from graphwright.tasks.canbus.readers.fields import Fields
from graphwright.tasks.canbus.readers.parsed import Parsed, parsed, rows_with

__all__ = ["HEADER", "parse"]

HEADER = "timestamp,arbitration_id,data_field,attack"


def parse(fields: Fields) -> Parsed:
    """The frames of some lines, and what is wrong with the others."""
    rows, verdict = rows_with(fields, np.int64(4))
    data = fields.data
    time = time_column(data, fields.column(rows, 0), verdict)
    ids, extended = id_column(data, fields.column(rows, 1), verdict)
    payload, length = payload_column(data, fields.column(rows, 2), verdict)
    attack = flag_column(data, fields.column(rows, 3), verdict, b"01")
    return parsed(
        fields,
        rows,
        verdict,
        time=time,
        id=ids,
        extended=extended,
        length=length,
        payload=payload,
        attack=attack,
    )
