"""Recordings made by other programs, as snapshots."""
