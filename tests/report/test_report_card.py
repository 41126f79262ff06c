"""The model card."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graphwright.report.card import write_card


def test_a_card_says_what_it_must(make_run: Callable[..., Any], tmp_path: Path) -> None:
    run = make_run()
    out = write_card(run.path, tmp_path / "cards" / "card.md")
    card = out.read_text()
    for heading in ("Data", "Results", "Intended use and limits", "How to use it", "Provenance"):
        assert f"## {heading}" in card
    assert card.startswith("# painn for geometry")
    assert "**MAE 0.0213 a.u.** on the test split: 20.7× lower" in card
    assert "| painn (this model) | 0.0213 |" in card
    assert "| GCN | 0.4404 |" in card
    assert "9f2c" * 16 in card
    assert "Rejected samples: 3 (non-finite positions 2; fewer than 2 points 1)." in card
    assert "graphwright predict geometry/painn/qm7/run_000 INPUT" in card
    assert hashlib.sha256(b"w" * 2_325_004).hexdigest() in card
    assert "spread over seeds is not in this card" in card.replace("\n", " ")
    assert (run.path / "config.yaml").read_text().strip() in card


def test_a_failed_run_is_not_to_be_shipped(make_run: Callable[..., Any], tmp_path: Path) -> None:
    card = write_card(make_run("failed").path, tmp_path / "card.md").read_text()
    assert "do not ship" in card
    assert "no bundle" in card
    assert "There are no final results." in card
    assert "\\<NaN & co\\>" in card


def test_weak_results_are_told(make_run: Callable[..., Any], tmp_path: Path) -> None:
    run = make_run(mae=0.6)
    run.metrics(0.6, data={"splits": {"train": 9, "test": 12}}, equivariance={})
    run.json("provenance.json", {"command": "graphwright train `x`", "dirty": True})
    card = write_card(run.path, tmp_path / "card.md").read_text()
    assert "use the baseline" in card
    assert "Only 12 samples were tested" in card
    assert "````sh" not in card
    assert "graphwright train `x`" in card


def test_metrics_without_tables_are_listed(make_run: Callable[..., Any], tmp_path: Path) -> None:
    run = make_run()
    run.metrics(tables=[], metrics={"mae": 0.1, "mse": "Infinity"})
    card = write_card(run.path, tmp_path / "card.md").read_text()
    assert "| mae | 0.100 |" in card
    assert "Not finite: mse." in card
    assert "cannot be judged" in card
