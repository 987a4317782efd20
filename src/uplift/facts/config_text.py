"""A kernel configuration's text: every option that it names, set or not."""

from __future__ import annotations

import re
from collections.abc import Mapping

MAX_BYTES = 16 << 20  #: a distribution's configuration is 300 KB

_LINE = re.compile(
    r"^(?:(CONFIG_\w+)=(.*)|# (CONFIG_\w+) is not set[ \t\r]*)$", re.MULTILINE | re.ASCII
)
_BROKEN = re.compile(r"^(?!CONFIG_\w+=|#|[ \t\r]*$)", re.MULTILINE | re.ASCII)


def read_config(text: str) -> Mapping[str, str]:
    """Return option to value, as it stands there: ``y``, ``m``, ``250``, ``"lz4"``.

    An option that is *not set* gives ``n``. One that the text does not name does not exist on this
    architecture, or what it depends on is off.

    :raises ValueError: a line is no option and no comment, or there is no option at all.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"line 1: it has more than {MAX_BYTES} bytes")
    broken = _BROKEN.search(text)
    if broken:
        line = text.count("\n", 0, broken.start()) + 1
        raise ValueError(f"line {line}: neither CONFIG_…= nor a comment")
    found = {
        option or unset: value.rstrip() if option else "n"
        for option, value, unset in _LINE.findall(text)
    }
    if not found:
        raise ValueError("line 1: there is no line CONFIG_…=")
    return found
