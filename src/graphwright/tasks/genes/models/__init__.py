"""The model of gene interactions and its parts."""
