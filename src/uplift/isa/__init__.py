"""Which instructions a binary, package or archive contains, and how they are reached."""
