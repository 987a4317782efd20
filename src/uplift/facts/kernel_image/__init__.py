"""What a kernel knows, read out of its package: no version is asked, for distributions backport."""

from uplift.facts.kernel_image.reader import read_kernel_image

__all__ = ["read_kernel_image"]
