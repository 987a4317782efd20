"""Readers of upstream source trees that propose catalog data."""
