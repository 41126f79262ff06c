"""Detect intrusions on a CAN bus, and anomalies in other logs of events."""
