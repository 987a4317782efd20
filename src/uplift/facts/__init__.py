"""What is true of a machine: captures, snapshots, parsers and imports."""
