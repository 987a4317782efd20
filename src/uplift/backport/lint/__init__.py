"""What a reviewer would say of a series, before the reviewer does."""
