"""A detector on held-out captures, per folder, attack and capture, beside baselines.

G = windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphwright.errors import DataError
from graphwright.tasks.canbus.baselines import Scored, guess_windows
from graphwright.tasks.canbus.events import GAP_S
from graphwright.tasks.canbus.report_tables import (
    Results,
    behind_parts,
    flat_metrics,
    folder_table,
    result_rows,
    summary_table,
)
from graphwright.tasks.canbus.thresholds import Threshold, prefix_rows
from graphwright.tasks.canbus.verdicts import (
    Verdicts,
    calibrated_verdicts,
    mean_of,
    measure,
    plain_verdicts,
    scopes,
)
from graphwright.tasks.canbus.window_table import Windows
from graphwright.training.task import Columns, Evaluation

__all__ = ["CALIBRATED", "Asked", "evaluate_windows"]

CALIBRATED = ", calibrated"  # behind the name of a row
MAIN = ("f1", "auroc", "ap", "fpr", "events_caught")  # that a comparison of runs shows


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is evaluated, in the words that the report uses.

    Attributes:
        model: its name, for the tables.
        split: name of the split.
        threshold: of the model's score.
        unsupervised: the model is taught no labels; see `baselines.guess_windows`.
        rate: false positives that are wanted where a threshold is fitted here.
        prefix_s: seconds at the start of each capture for the calibrated rows; 0: no such rows.
        gap_s: seconds without an attack window that do not end an event (`events`).
        parts: names of extra rows behind which the model should not fall.
        split_rule: how training and validation windows were parted, such as "by time".
        dropped: a line for each capture that was left out for its content.
        seed: of the forests.
    """

    model: str
    split: str = "test"
    threshold: Threshold
    unsupervised: bool = False
    rate: float = 0.01
    prefix_s: float = 10.0
    gap_s: float = GAP_S
    parts: tuple[str, ...] = ()
    split_rule: str = ""
    dropped: Sequence[str] = ()
    seed: int = 0


def evaluate_windows(
    columns: Columns,
    test: Windows,
    asked: Asked,
    *,
    train: Windows | None,
    val: Windows | None,
    extra: Mapping[str, Scored] | None = None,
) -> Evaluation:
    """Metrics of a split, tables with baselines, every verdict.

    The primary metric is the F1 of the attack class, mean over the folders that have attacks; on
    data without any attack it is the mean false-positive rate.

    Args:
        columns: of the model, one row a test window: `score`, higher is more of an attack, and
            whatever else the predictions should tell.
        test: the windows that were scored, in the same order.
        asked: names and settings.
        train: windows that the model was trained on; None: not at hand, then there are no forests.
        val: validation windows, for the threshold of the isolation forest.
        extra: further rows by name: parts of a fusion, the same student without distillation.

    Raises:
        DataError: no windows, not one score a window, or names of rows that do not fit.
    """
    rows, notes = _rows(columns, test, asked, train, val, extra or {})
    verdicts = {name: plain_verdicts(scored) for name, scored in rows.items()}
    if asked.prefix_s > 0:
        verdicts = _with_calibrated(verdicts, rows, test, asked)
    levels = {
        level: _measured(verdicts, test, level, asked) for level in ("folder", "attack", "capture")
    }
    about = [_about(test, asked, train, rows), *_about_calibration(verdicts, test, asked), *notes]
    report = _report(levels, asked, bool(test.attack.any()), " ".join(about))
    return Evaluation(report, _columns(columns, verdicts, test, asked))


def _rows(
    columns: Columns,
    test: Windows,
    asked: Asked,
    train: Windows | None,
    val: Windows | None,
    extra: Mapping[str, Scored],
) -> tuple[dict[str, Scored], list[str]]:
    """The model, the extra rows and the baselines, in the order of the tables."""
    own = Scored(np.asarray(columns["score"], np.float64), asked.threshold)
    guesses, notes = guess_windows(
        train, val, test, unsupervised=asked.unsupervised, rate=asked.rate, seed=asked.seed
    )
    groups: tuple[Mapping[str, Scored], ...] = ({asked.model: own}, extra, guesses)
    rows = {name: scored for group in groups for name, scored in group.items()}
    if len(rows) != sum(map(len, groups)) or not set(asked.parts) <= set(extra):
        raise DataError(f"names of rows that do not fit: {', '.join([*extra, *asked.parts])}")
    for name, scored in rows.items():
        if scored.score.shape != (len(test),) or not len(test):
            raise DataError(f"{name}: scores {scored.score.shape} of {len(test)} windows")
    return rows, notes


def _with_calibrated(
    plain: Mapping[str, Verdicts], rows: Mapping[str, Scored], test: Windows, asked: Asked
) -> dict[str, Verdicts]:
    """Each row, and behind it the calibrated one where there is one."""
    found = {}
    for name, scored in rows.items():
        found[name] = plain[name]
        # a score that is not a number has been told already, and calibrates nothing
        if scored.calibrated and not np.isnan(scored.score).any():
            found[name + CALIBRATED] = calibrated_verdicts(
                test, scored, seconds=asked.prefix_s, rate=asked.rate
            )
    return found


def _measured(verdicts: Mapping[str, Verdicts], test: Windows, level: str, asked: Asked) -> Results:
    return [
        (scope, {n: measure(test, v, scope.rows, asked.gap_s) for n, v in verdicts.items()})
        for scope in scopes(test, level)
    ]


def _report(
    levels: Mapping[str, Results], asked: Asked, attacks: bool, note: str
) -> dict[str, Any]:
    folders = levels["folder"]
    names = list(folders[0][1])
    means = {name: mean_of([rows[name] for _, rows in folders]) for name in names}
    calibrated = asked.model + CALIBRATED if asked.model + CALIBRATED in names else None
    primary = "f1" if attacks else "fpr"
    # also where it is undefined: a model of no use must not look like one without a result
    metrics = {primary: means[asked.model].windows[primary]}
    whole = [("", means), *((f"{s.key}/", rows) for s, rows in [*folders, *levels["attack"]])]
    for prefix, rows in whole:
        metrics |= flat_metrics(rows, model=asked.model, calibrated=calibrated, prefix=prefix)
    tables = [summary_table(means, model=asked.model, split=asked.split, note=note)]
    if asked.parts:
        compared = [*folders, *levels["capture"]]
        tables.append(behind_parts(compared, model=asked.model, parts=asked.parts))
    return {
        "task": "canbus",
        "split": asked.split,
        "primary": primary,
        "higher_is_better": attacks,
        "main": [name for name in MAIN if name in metrics],
        "metrics": metrics,
        "tables": [*tables, *_folder_tables(levels, asked)],
        "results": result_rows(pair for results in levels.values() for pair in results),
    }


def _folder_tables(levels: Mapping[str, Results], asked: Asked) -> list[dict[str, Any]]:
    tables = []
    for scope, rows in levels["folder"]:
        name, windows = scope.folder, int(scope.rows.sum())
        attacks = [pair for pair in levels["attack"] if pair[0].folder == name]
        captures = [pair for pair in levels["capture"] if pair[0].folder == name]
        note = f"{windows:,} windows of {len(captures)} captures."
        parted = [(scope, rows), *attacks]
        tables.append(folder_table(name, parted, model=asked.model, note=note, heading="attack"))
        if len(captures) > len(attacks):
            title = f"{name}, each capture"
            tables.append(
                folder_table(title, captures, model=asked.model, note="", heading="capture")
            )
    return tables


def _about(test: Windows, asked: Asked, train: Windows | None, rows: Mapping[str, Scored]) -> str:
    """Which windows, whose thresholds, what was left out."""
    captures = len(np.unique(test.capture))
    parts = [
        f"{len(test):,} windows of {captures} captures, {int(test.attack.sum()):,} with an attack "
        "(any injected frame)."
    ]
    if train is not None:
        rule = f", parted from validation {asked.split_rule}" if asked.split_rule else ""
        parts.append(f"Forests are trained on the {len(train):,} training windows{rule}.")
    parts += [f"Threshold of {n}: {s.threshold.describe()}." for n, s in rows.items()]
    if asked.dropped:
        parts.append(f"Duplicates: {'; '.join(asked.dropped)}.")
    parts.append(
        f"Events: attack windows at most {asked.gap_s:g} s apart; alarms that follow each other in "
        "benign windows are one false alarm; time to alarm is of the events caught. What is "
        "undefined is left empty."
    )
    return " ".join(parts)


def _about_calibration(verdicts: Mapping[str, Verdicts], test: Windows, asked: Asked) -> list[str]:
    """What the calibrated rows promise, and where they could not."""
    names = [name for name in verdicts if name.endswith(CALIBRATED)]
    if not names:
        return []
    notes = [
        f"Rows that are calibrated take the first {asked.prefix_s:g} s of each capture as benign "
        f"and set its threshold for {100 * asked.rate:g} % false positives: nothing in that time "
        "is an alarm, its benign windows count in no number of the row, and windows are ranked by "
        "score - threshold."
    ]
    first = prefix_rows(test.capture, test.start_time, test.end_time, asked.prefix_s)
    wrong = np.unique(test.capture[first & test.attack])
    if len(wrong):
        named = ", ".join(f"{test.places[i].folder}/{test.places[i].name}" for i in wrong)
        notes.append(f"Captures with an attack in that time, against the assumption: {named}.")
    refused = {number: why for name in names for number, why in verdicts[name].refused.items()}
    for number, why in refused.items():
        place = test.places[number]
        notes.append(f"{place.folder}/{place.name} keeps the plain threshold: {why}.")
    return notes


def _columns(
    columns: Columns, verdicts: Mapping[str, Verdicts], test: Windows, asked: Asked
) -> Columns:
    """One row a window: where it is from, its label, score and verdict."""
    names, positions = test.named("name"), test.position.astype(str)
    folder = test.named("folder")
    ids = [f"{f}/{n}:{p}" for f, n, p in zip(folder, names, positions, strict=True)]
    found: Columns = {
        "id": np.array(ids),
        "split": np.full(len(test), asked.split),
        "folder": folder,
        "attack": test.named("attack"),
        "start_time": np.asarray(test.start_time),
        "end_time": np.asarray(test.end_time),
        "label": test.attack.astype(np.int8),
        "attack_frames": np.asarray(test.attack_frames),
        "score": np.asarray(columns["score"]),
        "alarm": verdicts[asked.model].alarm.astype(np.int8),
    }
    if asked.model + CALIBRATED in verdicts:
        found["alarm_calibrated"] = verdicts[asked.model + CALIBRATED].alarm.astype(np.int8)
    return found | {name: values for name, values in columns.items() if name not in found}
