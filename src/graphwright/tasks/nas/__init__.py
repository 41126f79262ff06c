"""Predict how accurate a neural architecture will be, and search with it."""
