"""Saved runs as jobs of a Slurm cluster."""
