"""uplift: follow every feature of a chip through the server stack."""

__version__ = "0.1.0"
