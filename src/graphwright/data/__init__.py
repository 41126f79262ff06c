"""Packed graphs, batches, loaders, splits and scaling: data without any task's knowledge."""
