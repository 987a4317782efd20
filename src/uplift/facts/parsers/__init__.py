"""Pure parsers, one module per source."""
