"""Patches that teach other projects a chip or a bit they lack, from what the catalog knows."""
