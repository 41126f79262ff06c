"""Numbers and tables as people read them."""

from __future__ import annotations

import doctest
import math

import pytest

from graphwright.report import curves, svg, text


@pytest.mark.parametrize("module", [text, svg, curves])
def test_examples_in_docstrings_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0213, "0.0213"),
        (1.02, "1.02"),
        (88.0, "88"),
        (-1234567, "-1,234,567"),
        (4.1e-7, "4.1e-7"),
        (2.5e9 + 0.5, "2.5e9"),
        (math.nan, "NaN"),
        (-math.inf, "-inf"),
        (True, "yes"),
        (None, "–"),
        ([], "–"),
        ({"train": 5732, "val": 7}, "train 5,732; val 7"),
        ([1, "a"], "1, a"),
    ],
)
def test_values_are_short_and_exact_enough(value: object, shown: str) -> None:
    assert text.format_value(value) == shown


def test_columns_share_decimals_only_where_that_reads_well() -> None:
    assert text.format_column([3.1, 62.4, 88.0]) == ["3.10", "62.40", "88.00"]
    assert text.format_column([1, 2000]) == ["1", "2,000"]
    assert text.format_column([1e-9, 5.0, math.nan]) == ["1e-9", "5", "NaN"]


def test_durations_take_the_unit_that_fits() -> None:
    shown = [text.format_duration(s) for s in (0.0494, 2.54, 1834.2, 7300, math.nan)]
    assert shown == ["49.4 ms", "2.54 s", "30 min 34 s", "2 h 1 min", "–"]


def test_markdown_is_escaped_and_stays_in_its_cell() -> None:
    table = text.markdown_table(["a|b"], [["<b>*x*\nline_2_ `c`"]])
    assert table.splitlines()[0] == "| a\\|b |"
    assert table.splitlines()[2] == "| \\<b\\>\\*x\\* line_2\\_ \\`c\\` |"


def test_plain_tables_align_numbers_to_the_right() -> None:
    lines = text.plain_table(["model", "mae"], [["painn", 0.5], ["egnn", 12.25]]).splitlines()
    assert lines[1] == "-----  ------"
    assert lines[2].endswith("0.500")
    assert len(lines[2]) == len(lines[3])


def test_json_has_no_non_finite_numbers() -> None:
    found = text.json_safe({"a": [math.nan, math.inf, (-math.inf, 1.5)], 2: None})
    assert found == {"a": ["NaN", "Infinity", ["-Infinity", 1.5]], "2": None}


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-1.5, 1.5, [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert svg.linear_ticks(low, high) == ticks


def test_log_ticks_cover_few_and_many_decades() -> None:
    assert svg.log_ticks(0.02, 1.0) == [0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    assert svg.log_ticks(1e-8, 1e4)[0] == 1e-8
    assert 4 <= len(svg.log_ticks(1e-8, 1e4)) <= 8
    assert svg.linear_ticks(3.0, 3.0) == [3.0]


def test_tick_labels_are_short() -> None:
    shown = [svg.tick_label(v) for v in (0.0, 0.05, 12000.0, 3e6, 2e-5, -1.5)]
    assert shown == ["0", "0.05", "12k", "3M", "2e-5", "-1.5"]


def test_svg_escapes_text_and_attributes() -> None:
    drawn = svg.tag("text", "<script>", aria_label='"><script>')
    assert "<script>" not in drawn
    assert '"><' not in drawn.removesuffix("</text>").replace('">&lt;', "")
