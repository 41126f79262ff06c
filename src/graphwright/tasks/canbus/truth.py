"""The windows of a split, with what is really known of them, and their evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from graphwright.data.packed import PackedGraphs
from graphwright.data.source import IndexArray, SampleSource, Subset
from graphwright.tasks.canbus.baselines import FOREST, Scored, random_forest_scores
from graphwright.tasks.canbus.config import CanbusConfig
from graphwright.tasks.canbus.evaluation import Asked, evaluate_windows
from graphwright.tasks.canbus.loaded import Loaded
from graphwright.tasks.canbus.model import ALARM
from graphwright.tasks.canbus.parts import Joined, WithStates
from graphwright.tasks.canbus.thresholds import Threshold
from graphwright.tasks.canbus.window_table import Place, Windows, windows_of
from graphwright.tasks.canbus.windows import WindowGraphs
from graphwright.training.bundle import Bundle
from graphwright.training.infer import over_source
from graphwright.training.task import Evaluation, Infer, TaskData

__all__ = ["WindowRows", "evaluate_split", "one_capture", "rows_of"]

_PARTS = ("vgae", "gat")


class WindowRows(Subset):
    """Some windows of a store, which remembers the captures they are from.

    Args:
        loaded: the store and its captures.
        rows: places of the windows, ascending.
    """

    def __init__(self, loaded: Loaded, rows: IndexArray) -> None:
        super().__init__(loaded.store, rows)
        self.loaded = loaded

    @cached_property
    def windows(self) -> Windows:
        """What is known of them."""
        return windows_of(self.loaded, self.indices)


class _OneCapture(Subset):
    def __init__(self, store: PackedGraphs, windows: Windows) -> None:
        super().__init__(store, np.arange(len(store)))
        self.windows = windows


def one_capture(path: Path, graphs: WindowGraphs, store: PackedGraphs, stride: int) -> SampleSource:
    """The windows of a single file, as a split."""
    windows = Windows(
        places=(Place("test", path.name, path.name.split(".")[0]),),
        stride=stride,
        capture=np.zeros(len(graphs), np.int32),
        position=graphs.start,
        start_time=graphs.start_time,
        end_time=graphs.end_time,
        label=(graphs.attack_frames > 0).astype(np.uint8),
        attack_frames=graphs.attack_frames,
        stats=graphs.stats,
    )
    return _OneCapture(store, windows)


def rows_of(source: SampleSource) -> WindowRows | _OneCapture:
    """The windows of the store behind a source of the task, without weakened ones."""
    while isinstance(source, WithStates | Joined):
        source = source.source
    assert isinstance(source, WindowRows | _OneCapture)
    return source


def evaluate_split(
    infer: Infer, data: TaskData, split: str, config: CanbusConfig, plain: Bundle | None
) -> Evaluation:
    """A detector on a split, beside its parts, its undistilled twin, and the baselines.

    Args:
        infer: the trained model over a source.
        data: with the split; "train" and "val" where they are at hand.
        split: its name.
        config: of the model.
        plain: the same student without a teacher, where this one has had one.
    """
    test = rows_of(data.sources[split])
    columns = infer(test)
    extra = _extra_rows(columns)
    val = data.sources.get("val")
    benign = 0 if val is None else int((rows_of(val).windows.label == 0).sum())
    if plain is not None:
        other = over_source(plain.task, plain.model, batch_size=config.loading.eval_batch_size)
        score = other(test)["score"]
        extra["without distillation"] = Scored(score, alarm_threshold(plain.task.config, benign))
    # what taught a fusion's parts is what the forests have to be taught
    learnt = "seen" if "seen" in data.sources else "train"
    extra |= _forest_of_all(data.sources.get("train"), test.windows, config.seed)
    known = {
        name: rows_of(data.sources[name]).windows
        for name in (learnt, "val")
        if name in data.sources
    }
    asked = Asked(
        model=config.model.name,
        split=split,
        threshold=alarm_threshold(config, benign),
        unsupervised=config.learning_type == "unsupervised",
        rate=config.threshold.false_positive_rate,
        prefix_s=config.threshold.calibrate_s,
        parts=tuple(name for name in extra if name in _PARTS),
        split_rule=f"by {config.data.split.by}",
        dropped=data.summary.get("duplicates", ()),
        seed=config.seed,
    )
    return evaluate_windows(
        columns,
        test.windows,
        asked,
        train=known.get(learnt),
        val=known.get("val"),
        extra=extra,
    )


def alarm_threshold(config: CanbusConfig, benign: int) -> Threshold:
    """0.5 of a score that is made so: it stands for a quantile of benign validation windows.

    Args:
        config: of the model.
        benign: benign validation windows, 0 where they are not at hand.
    """
    if config.learning_type == "fusion":
        return Threshold(value=ALARM)
    rate = config.threshold.validation_rate
    return Threshold(value=ALARM, rule="benign_quantile", rate=rate, windows=benign)


def _forest_of_all(taught: SampleSource | None, test: Windows, seed: int) -> dict[str, Scored]:
    """A forest that is taught the weakened attacks too, where the model was."""
    if not isinstance(taught, Joined):
        return {}
    batches: list[Any] = [source.batch(np.arange(len(source))) for source in taught.further]
    graphs = [batch.graphs for batch in batches]
    known = rows_of(taught).windows
    stats = np.concatenate([known.stats, *(g["stats"].numpy() for g in graphs)])
    label = np.concatenate([known.label, *(g["label"].numpy() for g in graphs)])
    if not label.any() or label.all():
        return {}
    score = random_forest_scores(stats, label, test.stats, seed=seed)
    return {f"{FOREST}, weakened attacks too": Scored(score, Threshold(value=ALARM))}


def _extra_rows(columns: Mapping[str, Any]) -> dict[str, Scored]:
    return {
        name: Scored(np.asarray(columns[name], np.float64), Threshold(value=ALARM))
        for name in _PARTS
        if name in columns
    }
