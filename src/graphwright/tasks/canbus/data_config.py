"""What the input side of the canbus task can be told. Frozen, keyword-only, no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

__all__ = [
    "CanbusData",
    "EventConfig",
    "FolderSource",
    "SplitConfig",
    "TrafficSource",
    "WindowConfig",
]

Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, kw_only=True)
class EventConfig:
    """Which columns of an event log mean what (modalities internet and watertreatment)."""

    time: str = "time"
    source: str = "source"
    fields: tuple[str, ...] = ()
    """Columns of numbers, the payload; empty: the captures are no event logs."""
    label: str = "label"
    """Empty: there is none, and nothing is an attack."""
    benign: tuple[str, ...] = ("0", "benign", "false", "no", "normal")
    """Labels, in any case, of what is no attack."""


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """A folder of captures, `{train_01…,test_01…}/NAME-k.csv[.gz]`, or of several such folders."""

    kind: Literal["folder"] = "folder"
    path: str
    dataset: str = ""
    """The folder below `path`, such as set_04; empty: `path` itself, with all sets in it."""
    format: str = "auto"
    """A format of `readers`, or auto: found by suffix and first lines."""
    events: EventConfig = field(default_factory=EventConfig)
    limit: Count = 0
    """At most so many frames of each capture; 0 is all."""


@dataclass(frozen=True, kw_only=True)
class TrafficSource:
    """Generated traffic of a few vehicles with every attack family (`traffic`)."""

    kind: Literal["traffic"] = "traffic"
    seed: Count = 0
    seconds: Annotated[float, Field(ge=1, lt=1e6)] = 10.0
    """Length of a capture; about 1,500 frames a second."""
    repeats: Annotated[int, Field(ge=1)] = 1
    """Captures of each kind: of two known vehicles and an unknown one, with every attack."""


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """How frames become graphs."""

    size: Annotated[int, Field(ge=2, le=4096)] = 100
    """Frames of a window."""
    stride: Annotated[int, Field(ge=1)] = 100
    """Frames from the start of a window to the start of the next."""
    features: Literal["basic", "rich"] = "basic"
    id_free: bool = False
    """Withhold ids from the model: for vehicles that were never seen. The graphs are the same."""


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Which training windows validate. Tests are the `test_*` folders, whatever is chosen here."""

    by: Literal["capture", "time", "legacy_random"] = "time"
    """capture: whole captures; time: a block of every capture; legacy_random: windows at random, as
    published, which puts neighbours on both sides."""
    val: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the training windows."""
    embargo_s: Annotated[float, Field(ge=0)] = 1.0
    """time: seconds of traffic around the validation block that belong to nobody."""
    block: Literal["last", "balanced"] = "last"
    """time: the end of every capture; or where the block has its share of the capture's attacks,
    the latest such place: attacks of real captures often stop well before the end."""
    seed: Count | None = None
    """None: the run's seed."""


@dataclass(frozen=True, kw_only=True)
class CanbusData:
    """Captures, the windows cut from them, and who is held out."""

    source: Annotated[FolderSource | TrafficSource, Field(discriminator="kind")] = field(
        default_factory=TrafficSource
    )
    window: WindowConfig = field(default_factory=WindowConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    deduplicate: bool = True
    """Read captures of equal content once, the training folders first."""
    strict: bool = False
    """Stop at the first bad row instead of writing it aside."""
