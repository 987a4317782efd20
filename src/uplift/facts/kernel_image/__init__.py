"""What a kernel knows, read out of its package: no version is asked, for distributions backport."""
