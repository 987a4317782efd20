"""The output of ``lscpu``, as text or as JSON."""

from __future__ import annotations

import re

from uplift.errors import RecordingError
from uplift.facts.model import Capture, CaptureStatus, Snapshot
from uplift.facts.parsers import lscpu_output

NAME = "lscpu"

_ENGLISH = re.compile(rb"^(?:Architecture|CPU op-mode\(s\)|CPU\(s\)|Byte Order):\s", re.MULTILINE)
#: lscpu in any language begins with a field whose value is the architecture's name.
_ANY_LANGUAGE = re.compile(
    rb"\s*[^\n:]{3,60}[:\xef\xbc\x9a]{1,3}\s*"
    rb"(?:x86_64|i[3-6]86|aarch64|armv\w+|riscv64|s390x|ppc64(?:le)?|loongarch64)\r?\n"
)


def recognises(name: str, head: bytes) -> bool:
    """Whether a file looks like an output of lscpu, in English or not."""
    start = head[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:1] == b"{":
        return b'"lscpu"' in start[:200]
    return bool(_ENGLISH.search(start)) or bool(_ANY_LANGUAGE.match(start))


def load(name: str, data: bytes) -> Snapshot:
    """Keep the file as ``cmd:lscpu/text`` or ``cmd:lscpu/json``.

    :raises RecordingError: it is broken, or its field names are not English.
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        report = lscpu_output.read_bytes(data)
    except ValueError as error:
        raise RecordingError(
            f"cannot read {name}", str(error), "run: LC_ALL=C lscpu, or LC_ALL=C lscpu -J"
        ) from error
    is_json = data.lstrip()[:1] == b"{"
    capture = Capture(
        lscpu_output.JSON if is_json else lscpu_output.TEXT,
        CaptureStatus.OK,
        data,
        how="lscpu -J" if is_json else "lscpu",
    )
    return Snapshot({capture.id: capture}, origin=f"{NAME} {name}", arch=report.get("Architecture"))
