"""Watching: captures and live buses through a trained model, window by window."""

from graphwright.tasks.canbus.watch.alarms import Alarm, Summary, Suspect
from graphwright.tasks.canbus.watch.detector import Detector, Scores
from graphwright.tasks.canbus.watch.loop import Watch
from graphwright.tasks.canbus.watch.pieces import Piece, Pieces, open_pieces
from graphwright.tasks.canbus.watch.report import JsonReport, Report, TextReport

__all__ = [
    "Alarm",
    "Detector",
    "JsonReport",
    "Piece",
    "Pieces",
    "Report",
    "Scores",
    "Summary",
    "Suspect",
    "TextReport",
    "Watch",
    "open_pieces",
]
