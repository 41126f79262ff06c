"""One score out of those of a VGAE and a GAT."""
