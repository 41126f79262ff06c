"""One file per tracker. Their packages are imported in the mirror's own process only."""
