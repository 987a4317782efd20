"""What a chip under a release is expected to show: one module for each thing that tells it."""
