"""Measurements, each beside a named peer or as a rate per core; none is a test."""
