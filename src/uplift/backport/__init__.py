"""Upstream commits → what a branch has, lacks and needs → a reviewed, applicable series."""
