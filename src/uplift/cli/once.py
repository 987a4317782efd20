"""An option of which a second one is refused: it would take the place of the first unseen."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any


class Once(argparse.Action):
    """Take one value; refuse another."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Keep ``values``.

        :raises argparse.ArgumentError: there is one already.
        """
        if getattr(namespace, self.dest):
            raise argparse.ArgumentError(self, "name one at a time, and ask again for another")
        setattr(namespace, self.dest, values)
