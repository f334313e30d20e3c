"""Late masks: what lists say of a shot's fibres and images after it was stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.masks import MaskSpan
from corecube.shots import Shot
from corecube_hetdex import lists
from corecube_hetdex.frames import GROUP, NATIVE, PIXELS, WAVE
from corecube_hetdex.names import Amplifier
from corecube_hetdex.quality import nearest_native
from corecube_hetdex.settings import HetdexConfig

METEOR_ARCSEC: Final = 12.0
"""Half the width of what a meteor spoils."""
SATELLITE_ARCSEC: Final = 6.0
"""Half the width of what a satellite spoils."""
NEAR_0: Final = 1.0
"""Degrees from RA 0 where shots may lie on both sides of it; their fields are a third of that."""
GALAXY_SCALE: Final = 3.0
"""Semi-axes of the mask over those of the table."""

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Fibers:
    """Names and places of the fibres of a shot, in the order of their rows."""

    multiframe: npt.NDArray[np.str_]
    fibnum: npt.NDArray[np.int64]
    exposure: npt.NDArray[np.int64]
    ra: npt.NDArray[np.float64]
    dec: npt.NDArray[np.float64]
    shotid: int

    @classmethod
    def of(cls, shot: Shot) -> _Fibers:
        parts: dict[str, list[Any]] = {name: [] for name in ("multiframe", "fibnum", "expnum")}
        sky: list[Any] = []
        shotid = 0
        for block in shot.blocks(GROUP):
            columns = {column.name: values for column, values in block.columns.items()}
            for name, values in parts.items():
                values.append(np.asarray(columns[name]))
            sky.append((block.ra, block.dec))
            shotid = int(columns["shotid"][0])
        joined = {name: np.concatenate(values) for name, values in parts.items()}
        ra, dec = (np.concatenate([part[axis] for part in sky]) for axis in (0, 1))
        return cls(
            joined["multiframe"].astype(np.str_), joined["fibnum"].astype(np.int64),
            joined["expnum"].astype(np.int64), ra, dec, shotid,
        )  # fmt: skip


def late_masks(shot: Shot, config: HetdexConfig) -> Iterator[MaskSpan]:
    """Yield the pixels that the lists of the configuration name.

    Parameters
    ----------
    shot : Shot
    config : HetdexConfig

    Yields
    ------
    MaskSpan
        On the rectified and the native spectra, and on images; plane ``late``, for galaxies
        ``source``.

    Raises
    ------
    ConfigurationError
        If a list cannot be read.
    FileNotUnderstood
        If a list is of another kind.
    """
    named = {
        name: path for name in (*_WHOLE, "badpix")
        if (path := getattr(config, name)) is not None
    }  # fmt: skip
    if not named or GROUP not in shot.groups or not shot.row_count(GROUP):
        return
    fibers = _Fibers.of(shot)
    for name, find in _WHOLE.items():
        path = named.get(name)
        if path is None:
            continue
        for what, bad in find(path, fibers):
            plane = "source" if name == "galaxies" else "late"
            yield from _whole(shot, np.flatnonzero(bad), f"{path.name}: {what}", plane)
            if name in ("badamps", "badamps_single", "badshots"):
                yield from _images(shot, fibers, bad, f"{path.name}: {what}")
    if "badpix" in named:
        yield from _boxes(shot, fibers, named["badpix"])


def _whole(shot: Shot, rows: Rows, source: str, plane: str = "late") -> Iterator[MaskSpan]:
    """Yield all pixels of fibres; native rows are those of the rectified ones."""
    if not len(rows):
        return
    for group, width in ((GROUP, len(WAVE)), (NATIVE, PIXELS)):
        if group in shot.groups and shot.row_count(group) == shot.row_count(GROUP):
            first, last = 0 * rows, 0 * rows + width - 1
            yield _span(group, source, rows, first, last, plane)


def _span(
    frame: str, source: str, row: Rows, first: Rows, last: Rows, plane: str = "late"
) -> MaskSpan:
    return MaskSpan(
        frame, source, row.astype(np.int32), first.astype(np.int32), last.astype(np.int32), plane
    )


def _images(shot: Shot, fibers: _Fibers, bad: Bools, source: str) -> Iterator[MaskSpan]:
    """Yield all pixels of the images of bad amplifiers."""
    pairs = set(zip(fibers.exposure[bad].tolist(), fibers.multiframe[bad].tolist(), strict=True))
    for exposure, multiframe in sorted(pairs):
        name = f"exp{exposure:02d}_{multiframe}"
        if name in shot.images:
            rows = np.arange(PIXELS)
            yield _span(name, source, rows, 0 * rows, 0 * rows + PIXELS - 1)


Found = Iterator[tuple[str, Bools]]


def _bad_amplifiers(path: Path, fibers: _Fibers) -> Found:
    date = fibers.shotid // 1000
    for name in dict.fromkeys(
        bad.multiframe for bad in lists.bad_amplifiers(path) if bad.first <= date <= bad.last
    ):
        yield name, fibers.multiframe == name


def _bad_amplifiers_of_shots(path: Path, fibers: _Fibers) -> Found:
    for shotid, name in sorted(lists.bad_amplifiers_of_shots(path)):
        if shotid == fibers.shotid:
            yield name, fibers.multiframe == name


def _bad_fibers(path: Path, fibers: _Fibers) -> Found:
    for name, number in sorted(lists.bad_fibers(path)):
        bad = (fibers.multiframe == name) & (fibers.fibnum == number)
        if bad.any():
            yield f"{name} {number}", bad


def _bad_shots(path: Path, fibers: _Fibers) -> Found:
    if fibers.shotid in lists.bad_shots(path):
        yield str(fibers.shotid), np.ones(len(fibers.fibnum), bool)


def _satellites(path: Path, fibers: _Fibers) -> Found:
    yield from _tracks(lists.satellites(path), fibers, SATELLITE_ARCSEC)


def _meteors(path: Path, fibers: _Fibers) -> Found:
    yield from _tracks(lists.meteors(path), fibers, METEOR_ARCSEC)


def _tracks(tracks: list[lists.Track], fibers: _Fibers, reach: float) -> Found:
    for track in tracks:
        if track.shotid != fibers.shotid:
            continue
        near = distance(track, fibers.ra, fibers.dec) <= reach
        if track.exposure:
            near &= fibers.exposure == track.exposure
        yield f"{track.shotid} exposure {track.exposure or 'all'}", near


def distance(
    track: lists.Track, ra: npt.NDArray[np.float64], dec: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return distances of positions from a track, arcsec, float64; NaN stays NaN.

    With x = (ra - ra_f) cos(dec) the line is straight near a fibre at ra_f: its shortest distance
    is ``|a + b ra_f - dec_f| / sqrt(1 + (b / cos(dec_f))^2)``. Within a degree of RA 0 it is not
    said in which turn of RA a track was fitted: there the nearest counts. Elsewhere there is but
    one, and another would move a track of small slope to a place nearby where it never was.
    """
    slope = np.sqrt(1.0 + (track.slope / np.cos(np.radians(dec))) ** 2)

    def in_turn(turn: Any) -> npt.NDArray[np.float64]:
        line = track.intercept + track.slope * (ra + turn)
        return np.asarray(np.abs(line - dec) / slope * 3600.0)

    found = in_turn(0.0)
    beside = (ra < NEAR_0) | (ra > 360.0 - NEAR_0)
    if not beside.any():
        return found
    return np.where(beside, np.minimum(found, in_turn(np.where(ra < 180.0, 360.0, -360.0))), found)


def _galaxies(path: Path, fibers: _Fibers) -> Found:
    known = np.isfinite(fibers.ra) & np.isfinite(fibers.dec)
    if not known.any():
        return
    for galaxy in lists.galaxies(path):
        if galaxy.dec - 1 > fibers.dec[known].max() or galaxy.dec + 1 < fibers.dec[known].min():
            continue
        inside = within(galaxy, fibers.ra, fibers.dec)
        if inside.any():
            yield galaxy.name, inside


def within(
    galaxy: lists.Galaxy, ra: npt.NDArray[np.float64], dec: npt.NDArray[np.float64]
) -> Bools:
    """Return True for positions in the ellipse of a galaxy's mask."""
    east = (ra - galaxy.ra + 180.0) % 360.0 - 180.0
    east = east * np.cos(np.radians(galaxy.dec)) * 60.0
    north = (dec - galaxy.dec) * 60.0
    angle = np.radians(galaxy.angle)
    along = (east * np.sin(angle) + north * np.cos(angle)) / (GALAXY_SCALE * galaxy.major)
    across = (east * np.cos(angle) - north * np.sin(angle)) / (GALAXY_SCALE * galaxy.minor)
    with np.errstate(invalid="ignore"):
        inside: Bools = along**2 + across**2 <= 1.0
    return inside


_WHOLE: Final[dict[str, Callable[[Path, _Fibers], Found]]] = {
    "badamps": _bad_amplifiers,
    "badamps_single": _bad_amplifiers_of_shots,
    "badfib": _bad_fibers,
    "badshots": _bad_shots,
    "satellites": _satellites,
    "meteors": _meteors,
    "galaxies": _galaxies,
}
"""Settings of lists that name whole fibres, and how their fibres are found."""


def _boxes(shot: Shot, fibers: _Fibers, path: Path) -> Iterator[MaskSpan]:
    """Yield bad boxes of images, and the pixels of spectra that lie in them.

    Native pixels whose trace runs through a box, and those rectified pixels whose nearest native
    pixel is one of these.
    """
    for box in lists.bad_boxes(path):
        source = f"{path.name}: {box.multiframe} {box.x1} {box.x2} {box.y1} {box.y2}"
        mine = fibers.multiframe == box.multiframe
        if not mine.any() or Amplifier.of_text(box.multiframe) is None:
            continue
        x1, x2 = max(box.x1, 0), min(box.x2, PIXELS - 1)
        y1, y2 = max(box.y1, 0), min(box.y2, PIXELS - 1)
        for exposure in np.unique(fibers.exposure[mine]).tolist():
            name = f"exp{exposure:02d}_{box.multiframe}"
            if name in shot.images and x1 <= x2 and y1 <= y2:
                rows = np.arange(y1, y2 + 1)
                yield _span(name, source, rows, 0 * rows + x1, 0 * rows + x2)
            if NATIVE not in shot.groups:
                continue
            rows = np.flatnonzero(mine & (fibers.exposure == exposure))
            first, last = int(rows[0]), int(rows[-1]) + 1
            native = shot.rows(NATIVE, first, last)
            trace = native.layers["trace"].values
            bad = np.zeros(trace.shape, bool)
            with np.errstate(invalid="ignore"):
                inside = (trace >= box.y1) & (trace <= box.y2)
            bad[:, x1 : x2 + 1] = inside[:, x1 : x2 + 1]
            places = nearest_native(native.wave.wavelength(), WAVE)
            for group, pixels in ((NATIVE, bad), (GROUP, np.take_along_axis(bad, places, axis=1))):
                row, start, end = _spans(pixels)
                if len(row):
                    yield _span(group, source, row + first, start, end)


def _spans(pixels: Bools) -> tuple[Rows, Rows, Rows]:
    """Return row, first and last pixel of each run of True."""
    padded = np.pad(pixels, ((0, 0), (1, 1))).astype(np.int8)
    change = np.diff(padded, axis=1)
    row, first = np.nonzero(change == 1)
    last = np.nonzero(change == -1)[1] - 1
    return row, first, last
