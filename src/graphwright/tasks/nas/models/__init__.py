"""Predictors, one a module."""
