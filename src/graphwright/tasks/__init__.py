"""One folder a task; no task imports another. Names map to module paths (`config/presets.py`)."""
