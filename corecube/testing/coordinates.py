"""F7 to F10: where on the sky, at which wavelength, which fibre, when."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from corecube.frames import Fibers, Image
from corecube.testing import chain
from corecube.testing.case import Case, Entry
from corecube.testing.frames import refused
from corecube.testing.model import DoesNotApply, check

_PIXEL = 1e-3
"""Pixels by which a position may come back elsewhere."""

_CORNER = 2.0
"""Pixels by which a footprint may differ from the WCS."""

_FIRST_MJD, _LAST_MJD = 0.0, 100_000.0
"""1858 to 2132; a Julian date or seconds since 1970 lie outside."""


@check("F7", "frame", "positions are ICRS degrees; pixel to sky to pixel comes back")
def positions_are_good(case: Case) -> Iterator[str]:
    """Look at fibres, footprints and WCSs."""
    yield from refused(case, "F7")
    seen = False
    for where, frame in case.frames():
        if isinstance(frame, Fibers):
            seen |= bool(np.isfinite(frame.ra).any())
            yield from _on_sky(where, frame.ra, frame.dec)
        elif isinstance(frame, Image):
            if frame.footprint is not None:
                seen = True
                yield from _on_sky(f"{where}: footprint", *frame.footprint.T)
            if frame.cards is not None:
                seen = True
                yield from _there_and_back(where, frame)
    if not seen:
        raise DoesNotApply("no frame has a position")


def _on_sky(where: str, ra: npt.NDArray[np.float64], dec: npt.NDArray[np.float64]) -> Iterator[str]:
    known = np.isfinite(ra)
    if not np.array_equal(known, np.isfinite(dec)):
        yield f"{where}: a position with only one of RA and Dec"
    known &= np.isfinite(dec)
    if np.any((ra[known] < 0) | (ra[known] >= 360) | (np.abs(dec[known]) > 90)):
        yield f"{where}: a position outside of 0 <= RA < 360, -90 <= Dec <= 90 degrees"


def _there_and_back(where: str, image: Image) -> Iterator[str]:
    ny, nx = image.flux.shape
    x = np.array([0.0, nx - 1.0, nx - 1.0, 0.0, (nx - 1) / 2])
    y = np.array([0.0, 0.0, ny - 1.0, ny - 1.0, (ny - 1) / 2])
    wcs = image.wcs
    sky = wcs.all_pix2world(np.stack([x, y], axis=1), 0)
    ra, dec = (sky[:, 0], sky[:, 1]) if wcs.wcs.lng == 0 else (sky[:, 1], sky[:, 0])
    yield from _on_sky(where, ra, dec)
    back = wcs.all_world2pix(sky, 0)
    if not np.abs(back - np.stack([x, y], axis=1)).max() <= _PIXEL:
        yield f"{where}: a corner or the middle of the WCS does not come back within {_PIXEL} pixel"
    if image.footprint is None:
        return
    corners = np.array([[-0.5, -0.5], [nx - 0.5, -0.5], [nx - 0.5, ny - 0.5], [-0.5, ny - 0.5]])
    outline = wcs.all_world2pix(image.footprint, 0)
    if len(outline) == 4 and not all(
        np.hypot(*(outline - corner).T).min() <= _CORNER for corner in corners
    ):
        yield f"{where}: the footprint is not the outline of the image by its WCS"


@check("F8", "frame", "wavelengths rise, and are said to be in air or vacuum, with a unit")
def wavelengths_are_good(case: Case) -> Iterator[str]:
    """Look at the wavelengths of all fibres; frames refuse those that fall."""
    yield from refused(case, "F8")
    seen = False
    for where, fibers in case.fibers():
        seen = True
        wave = fibers.wave
        if wave.unit == "pix":
            continue
        if not wave.medium:
            yield f"{where}: wavelengths that are neither in air nor in vacuum"
        values = wave.wavelength()
        known = values[np.isfinite(values)]
        if fibers.flux.size and (not known.size or known.min() <= 0):
            yield f"{where}: wavelengths that are not positive"
    if not seen:
        raise DoesNotApply("no frame has spectra")


@check("F9", "frame", "ids are unique and do not depend on the order of files", needs=("F12",))
def ids_are_stable(case: Case) -> Iterator[str]:
    """Identify and plan the files in reverse order, and compare names and ids."""
    yield from refused(case, "F9")
    infos = chain.infos_of(case.caller, case.config, reversed(case.files))
    plans = {plan.key: plan for plan in chain.planned(case.caller, case.config, infos)}
    if set(plans) != {plan.key for plan in case.plans}:
        yield f"keys in reverse order of files: {', '.join(plans)}"
        return
    for plan in case.plans:
        if set(plan.entries) != set(plans[plan.key].entries):
            yield f"{plan.key}: other entries in reverse order of files"
    ids: dict[tuple[str, str], set[str]] = {}
    for entry in case.sample:
        other = plans[entry.plan.key]
        try:
            first = case.stages(entry)
        except Exception:  # F0 says it
            continue
        for stage in first:
            if isinstance(stage.done, Fibers):
                seen = ids.setdefault((entry.plan.key, stage.done.name), set())
                if not seen.isdisjoint(stage.done.id):
                    yield f"{entry.where}: an id of group '{stage.done.name}' comes twice"
                seen.update(stage.done.id)
        if other.to_json() == entry.plan.to_json() or entry.name not in other.entries:
            continue
        second = case.read(Entry(other, entry.name), keep=False)
        if [_names(s.done) for s in first] != [_names(s.done) for s in second]:
            yield f"{entry.where}: names or ids depend on the order of files"


def _names(frame: object) -> object:
    return (getattr(frame, "name", ""), getattr(frame, "id", ()), getattr(frame, "parent_id", ()))


@check("F10", "frame", "times are MJD, or said to be unknown")
def times_are_good(case: Case) -> Iterator[str]:
    """Look at start and end of all frames."""
    yield from refused(case, "F10")
    for where, frame in case.frames():
        start, end = np.atleast_1d(frame.times.start), np.atleast_1d(frame.times.end)
        known = np.isfinite(start) & np.isfinite(end)
        if not known.any():
            if frame.times.quality != "unknown" and start.size:
                yield f"{where}: no time is known, but their quality is '{frame.times.quality}'"
            continue
        if frame.times.quality == "unknown":
            yield f"{where}: times are given, but their quality is 'unknown'"
        if np.any(start[known] > end[known]):
            yield f"{where}: an exposure that ends before it starts"
        if start[known].min() < _FIRST_MJD or end[known].max() > _LAST_MJD:
            yield f"{where}: times that are no MJD: {start[known].min()} to {end[known].max()}"
