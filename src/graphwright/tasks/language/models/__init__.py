"""Language models of stacked experts."""
