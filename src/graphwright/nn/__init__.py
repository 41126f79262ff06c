"""Operators and layers: they know tensors, never a task."""
