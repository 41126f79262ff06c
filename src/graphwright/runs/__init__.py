"""What a run is on disk: its folder, status, events and provenance, and the trackers' mirrors."""
