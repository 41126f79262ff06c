"""The models of windows: what traffic looks like (VGAE), and whether it is an attack (GAT)."""
