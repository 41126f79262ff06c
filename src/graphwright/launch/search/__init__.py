"""Search for the best settings with Optuna, by the same workers as a sweep."""
