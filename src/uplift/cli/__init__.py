"""The command line: parse, call one function, show. Only this face prints and exits."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

from uplift.cli.parser import build_parser
from uplift.errors import USAGE, UpliftError

INTERRUPTED = 130
#: The catalog is many objects and no garbage: collecting every 700 costs a tenth of a scan.
_GC_THRESHOLD = 200_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    :return: 0 met, 1 found something it was asked to fail on, 2 usage or input, 3 unreachable.
    """
    gc.set_threshold(_GC_THRESHOLD)
    args = build_parser().parse_args(argv)
    try:
        return int(args.run(args))
    except UpliftError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return USAGE
