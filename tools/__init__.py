"""What builds generated files of this repository."""
