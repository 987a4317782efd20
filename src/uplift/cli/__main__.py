"""``python -m uplift.cli`` is ``uplift``."""

from __future__ import annotations

import sys

from uplift.cli import main

sys.exit(main())
