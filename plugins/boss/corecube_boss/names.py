"""What the files of a plate are called, and how lists of fibres are written short.

Source: SDSS data model, BOSS_SPECTRO_REDUX/RUN2D/PLATE4 (https://data.sdss.org/datamodel/).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

CAMERAS: Final = ("b1", "b2", "r1", "r2")
FULL_HALVES: Final = (500, 320)
"""Fibres of a spectrograph: BOSS, and SDSS-I/II (Smee et al. 2013, AJ 146, 32, table 1)."""

_CAMERA_FILE: Final = re.compile(
    r"(sdR|spFrame|spCFrame|spFlat|spArc|spFluxcalib|spFluxcorr|spXYthrucorr)"
    r"-([br][12])-(\d{8,})\.",
    re.IGNORECASE,
)
_PLATE_FILE: Final = re.compile(
    r"(spFluxdistort|spPlate|spec)-\d{4,}-\d{5}(-\d{4,})?\.|(spAll)-v\d+_\d+_\d+\.|(platelist)\.",
    re.IGNORECASE,
)
_KINDS: Final = {
    kind.lower(): kind
    for kind in (
        *("sdR", "spFrame", "spCFrame", "spFlat", "spArc", "spFluxcalib", "spFluxcorr"),
        *("spXYthrucorr", "spFluxdistort", "spPlate", "spec", "spAll", "platelist"),
    )
}


class CameraName(NamedTuple):
    """A file of one camera and exposure: kind, ``b1``, ``00158842``."""

    kind: str
    camera: str
    exposure: str

    @property
    def entry(self) -> str:
        """Camera and exposure: ``b1-00158842``."""
        return f"{self.camera}-{self.exposure}"


def camera_name(name: str) -> CameraName | None:
    """Return what the name of a camera's file says, None for another name."""
    match = _CAMERA_FILE.search(name)
    if match is None:
        return None
    return CameraName(_KINDS[match[1].lower()], match[2].lower(), f"{int(match[3]):08d}")


def plate_file_kind(name: str) -> str:
    """Return the kind of a file of a plate or the survey by its name, "" for another name."""
    match = _PLATE_FILE.match(name)
    return "" if match is None else _KINDS[(match[1] or match[3] or match[4]).lower()]


def exposure_of(card: object) -> str:
    """Return the exposure that a card like FLATFILE names: ``sdR-b1-00158841.fit``; or ""."""
    found = camera_name(f"{card}.")
    return "" if found is None else found.exposure


def plate_key(plate: int, mjd: int, run2d: str) -> str:
    """Return the key of a plate's shot, as `corecube_sdssfiles.spec.SpecName` has it."""
    return f"{plate:04d}-{mjd:05d}-{run2d}"


def fiber_id(fiber: int) -> str:
    """Return the name of a fibre: ``0534``."""
    return f"{fiber:04d}"


def to_ranges(fibers: Iterable[int]) -> str:
    """Write numbers short, in their order: ``1-500`` or ``1,12,486``."""
    parts: list[list[int]] = []
    for fiber in fibers:
        if parts and fiber == parts[-1][1] + 1:
            parts[-1][1] = fiber
        else:
            parts.append([fiber, fiber])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def from_ranges(text: str) -> npt.NDArray[np.int64]:
    """Return what `to_ranges` was given."""
    numbers: list[int] = []
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return np.array(numbers, dtype=np.int64)
