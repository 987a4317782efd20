"""The releases of a distribution as a series names them, from the catalog."""

from __future__ import annotations

import re
from collections.abc import Sequence

from uplift.backport.lint.model import SupportedRelease
from uplift.catalog.releases import SHIPPED, Place, load_release, release_names

_ARCH = "amd64"


def supported_releases(
    distribution: str = "ubuntu", places: Sequence[Place] = (Place(SHIPPED),)
) -> tuple[SupportedRelease, ...]:
    """Return the releases that the catalog knows of a distribution (``os.id``), oldest first.

    :raises UpliftError: a file of the catalog is broken.
    """
    found = []
    for name, architectures in release_names(places).items():
        if _ARCH not in architectures:
            continue
        chosen = load_release(name, _ARCH, places)
        values = {key: str(stated.value) for key, stated in chosen.stated.items()}
        if values.get("os.id") == distribution:
            release = chosen.release
            kernel = re.match(r"\d+\.\d+", values.get("kernel.release", ""))
            found.append(
                SupportedRelease(
                    release.id,
                    release.released,
                    release.supported_until,
                    kernel[0] if kernel else "",
                )
            )
    return tuple(sorted(found, key=lambda release: release.released))
