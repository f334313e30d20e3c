"""One exposure of one camera: spCFrame and spFrame, with all that led from one to the other.

Sources: SDSS data model pages "spFrame", "spCFrame", "spFlat", "spFluxcalib", "spFluxcorr",
"spFluxdistort" and "spXYthrucorr" (https://data.sdss.org/datamodel/); idlspec2d v5_7_0,
``pro/spec2d/extract_object.pro`` and ``pro/spec2d/spcoadd_v5.pro``. HDUs by their number: those of
v5 have no names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.fits import Fits, Header
from corecube.frames import Array, Bits, Fibers
from corecube.masks import MaskArray
from corecube.provenance import Provenance
from corecube.shots import Context, ShotPlan, Source
from corecube.spectral import Spectral
from corecube.times import Times
from corecube.tracesets import TraceSet
from corecube.units import FLUX_DENSITY
from corecube_boss.columns import plugmap_of, rows_of
from corecube_boss.names import FULL_HALVES, fiber_id, from_ranges
from corecube_boss.noise import since, version_of
from corecube_boss.plate import WDISP, bare_rows
from corecube_boss.traces import trace_set, upside_down
from corecube_sdssfiles.fibers import COADD, EXPOSURE_COLUMNS
from corecube_sdssfiles.maskbits import SPECTRUM_PLANES, SPPIXMASK, core_planes
from corecube_sdssfiles.spec import SECONDS_PER_DAY, error_of_ivar

BLUE_ROWS: Final = 4112
PADDED_ROWS: Final = 4128
"""Rows of the blue detectors, and of blue spCFrame and spFluxcorr, which are padded."""

ELECTRON: Final = "electron"
CALIB: Final = "1e17 Angstrom s cm2 electron / erg"
"""Unit of spFluxcalib: electrons for one unit of flux, per row of 1e-4 in log10 wavelength."""

FloatArray = npt.NDArray[np.floating[Any]]

_X: Final = "Centre of the spectrum along the detector's rows."
_VECTORS: Final = (
    ("spFluxcalib", 0, "fluxcalib", CALIB, "Flat-fielded electrons for one unit of flux."),
    ("spFluxcorr", 0, "fluxcorr", "", "Correction of the exposure that is multiplied."),
    ("spFluxcorr", 1, "fluxcorr_add", FLUX_DENSITY, "Correction of the exposure that is added."),
    ("spXYthrucorr", 0, "xythrucorr", "", "Correction of the throughput by place on the plate."),
)
"""Kind of file, HDU, name of the layer, unit and meaning."""

_NOT_MODELLED: Final = ("error of the flux calibration",)


@dataclass
class _Camera:
    """What is read of one exposure of one camera; arrays (n, w) in the order of the fibres."""

    plan: ShotPlan
    entry: str
    context: Context
    header: Header
    main: Fits
    sources: dict[str, Source]
    fibers: npt.NDArray[np.int64]
    rows: int
    layers: dict[str, Array] = field(default_factory=dict)
    calibration: dict[str, Array] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def fits(self, kind: str) -> Fits:
        source = self.sources[kind]
        return Fits(self.context.read(source), source.path)

    def keep(
        self, name: str, values: FloatArray, unit: str, description: str,
        axes: tuple[str, ...] = ("fiber", "wave"),
    ) -> None:  # fmt: skip
        array = np.ascontiguousarray(values, dtype=np.float32)
        self.layers[name] = Array(array, unit, axes, description)

    def image(self, kind: str, fits: Fits, hdu: int, joined: npt.NDArray[np.int64]) -> Any:
        """Return rows of an image, cut to the detector's rows."""
        values = fits.image(hdu)
        if values.ndim != 2 or values.shape[1] < self.rows:
            raise FileNotUnderstood(
                f"{self.sources[kind].path}: HDU {hdu} has {values.shape} pixels, {self.rows} are "
                "wanted; is it of another camera?"
            )
        return values[joined, : self.rows]

    def half_rows(self, kind: str, count: int) -> npt.NDArray[np.int64]:
        """Return the rows of a file without a plug map: the frame's, or a full spectrograph's."""
        if count == len(self.fibers):
            return np.arange(count)
        if count in FULL_HALVES:
            return (self.fibers - 1) % count
        raise FileNotUnderstood(
            f"{self.sources[kind].path}: {count} fibres, the frame has {len(self.fibers)}; is it "
            "of another plate?"
        )

    def half(self, kind: str, fits: Fits, hdu: int = 0) -> Any:
        return self.image(kind, fits, hdu, self.half_rows(kind, fits.shape(hdu)[0]))


def read_camera(plan: ShotPlan, entry: str, context: Context) -> Iterator[Fibers]:
    """Yield the fibres of one exposure of one camera, before them parents that have no coadd.

    Flux and error are those of the spCFrame, else of the spFrame. What the spFrame was extracted
    with and calibrated by stands in the layers: `electrons` and `electrons_sky` as they were
    detected (flat not divided out) with `electrons_error`, `flat`, `sigma` of the profile, `x`, and
    the vectors of the calibration, each from its own file.

    Parameters
    ----------
    plan : ShotPlan
        Of a plate.
    entry : str
        Camera and exposure: ``b1-00158842``.
    context : Context

    Yields
    ------
    Fibers

    Raises
    ------
    FileNotUnderstood
        If a file is damaged, or a companion is of another camera.
    """
    sources = {source.kind: source for source in plan.entries[entry]}
    main = plan.entries[entry][0]
    fits = Fits(context.read(main), main.path)
    header = fits.header(0)
    fibers = fits.table(5).column("FIBERID").astype(np.int64)
    width = fits.shape(0)[1]
    if main.kind == "spCFrame" and "spFrame" in sources:
        frame = Fits(context.read(sources["spFrame"]), sources["spFrame"].path)
        width = frame.shape(0)[1]
    elif entry.startswith("b") and width == PADDED_ROWS:
        width = BLUE_ROWS
    camera = _Camera(plan, entry, context, header, fits, sources, fibers, width)
    ids = tuple(fiber_id(fiber) for fiber in fibers.tolist())
    plugmap = fits.table(5)
    ra, dec = (plugmap.column(name).astype(np.float64) for name in ("RA", "DEC"))
    bare = plan.settings.get("bare", {}).get(entry, "")
    if bare:
        numbers = from_ranges(bare)
        where = rows_of(fibers, numbers)
        yield bare_rows(
            plan, context, numbers, ra[where], dec[where], plugmap_of(plugmap, numbers), header
        )
    yield _fibers(camera, ids, ra, dec)


def _fibers(
    camera: _Camera, ids: tuple[str, ...], ra: npt.NDArray[np.float64], dec: npt.NDArray[np.float64]
) -> Fibers:
    header, name = camera.header, camera.entry
    calibrated = "spCFrame" in camera.sources
    kind = "spCFrame" if calibrated else "spFrame"
    unit = FLUX_DENSITY if calibrated else ELECTRON
    every = np.arange(len(camera.fibers))
    flux = np.ascontiguousarray(camera.image(kind, camera.main, 0, every), np.float32)
    ivar = camera.image(kind, camera.main, 1, every)
    error, mask, notes = error_of_ivar(ivar, flux)
    camera.notes += notes
    bits = {"mask": _bits(camera.image(kind, camera.main, 2, every))}
    camera.keep("sky", camera.image(kind, camera.main, 6, every), unit, "Sky that was subtracted.")
    camera.keep("x", camera.image(kind, camera.main, 7, every), "pix", _X)
    traces: TraceSet | None = None
    if "spFrame" in camera.sources:
        traces = _extraction(camera, bits, calibrated)
    if calibrated:
        camera.keep("wdisp", camera.image(kind, camera.main, 4, every), "pix", WDISP)
    _vectors(camera)
    _lacking(camera)
    noise = _read_noise(header)
    if noise is not None:
        camera.calibration["readnoise"] = Array(
            noise, ELECTRON, ("amplifier",), "Read noise of the four amplifiers (RDNOISE0 to 3)."
        )
    wave, turned = _wave(camera, traces, kind, every)
    mask |= core_planes(bits["mask"].values, SPPIXMASK, SPECTRUM_PLANES)
    start, end = (_days(header, card) for card in ("TAI-BEG", "TAI-END"))
    exptime, airmass = (_number(header, card) for card in ("EXPTIME", "AIRMASS"))
    count = len(ids)
    values = (np.full(count, exptime), np.full(count, airmass), np.full(count, turned))
    block = Fibers(
        name=name, flux=flux, unit=unit, error=error, mask=mask, wave=wave, id=ids, ra=ra, dec=dec,
        bits=bits, layers=camera.layers, calibration=camera.calibration,
        columns={
            column: part.astype(column.dtype)
            for column, part in zip(EXPOSURE_COLUMNS, values, strict=True)
        },
        parent=COADD, parent_id=ids, header=header.lines(),
        times=Times(start, end, "exact" if np.isfinite(start + end) else "unknown"),
        provenance=Provenance(
            sources=tuple(PurePath(s.path).name for s in camera.plan.entries[name]),
            steps=(
                f"flux, inverse variance and mask as in HDU 0 to 2 of the {kind}",
                *(("pixels reversed, so that wavelengths rise",) if turned else ()),
            ),
            not_modelled=_NOT_MODELLED if calibrated else (),
            notes=tuple(camera.notes),
        ),
    )  # fmt: skip
    return _reversed(block) if turned else block


def _bits(values: npt.NDArray[Any]) -> Bits:
    return Bits(np.ascontiguousarray(values, np.int32).view(np.uint32), SPPIXMASK)


def _extraction(camera: _Camera, bits: dict[str, Bits], calibrated: bool) -> TraceSet:
    """Read the spFrame and its flat; return the wavelengths' trace set."""
    source = camera.sources["spFrame"]
    frame = camera.fits("spFrame")
    known = frame.table(5).column("FIBERID").astype(np.int64)
    joined = rows_of(known, camera.fibers)
    if np.any(joined < 0):
        raise FileNotUnderstood(
            f"{source.path}: fibre {camera.fibers[joined < 0][0]} of the spCFrame is not in it; "
            "is it of another plate?"
        )
    if calibrated:
        bits["frame_mask"] = _bits(camera.image("spFrame", frame, 2, joined))
    flux = camera.image("spFrame", frame, 0, joined)
    ivar = camera.image("spFrame", frame, 1, joined)
    sky = camera.image("spFrame", frame, 6, joined)
    flat: Any = np.float32(1)
    if frame.shape(8) and len(frame.shape(8)) == 2 and frame.shape(8)[1] >= camera.rows:
        flat = camera.image("spFrame", frame, 8, joined)  # else one number: not applied
    what = "as detected"
    if "spFlat" in camera.sources:
        file = camera.fits("spFlat")
        flat = flat * camera.half("spFlat", file)
        sigma = trace_set(file.table(3), f"{camera.sources['spFlat'].path}: HDU 3")
        rows = camera.half_rows("spFlat", len(sigma.coefficients))
        values = sigma.evaluate(np.arange(camera.rows, dtype=np.float64))[rows]
        camera.keep("sigma", values, "pix", "Gaussian sigma of the profile across the spectrum.")
        camera.keep("flat", flat, "", "Superflat times fibre flat.")
    else:
        flat = np.float32(1)
        what = "divided by the flat, which is not at hand"
        camera.notes.append(
            "no spFlat: electrons are divided by the flat, and no noise is predicted"
        )
    camera.keep("electrons", flux * flat, ELECTRON, f"Electrons of the object, {what}.")
    camera.keep("electrons_sky", sky * flat, ELECTRON, f"Electrons of the sky, {what}.")
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.where(ivar > 0, flat / np.sqrt(ivar), np.nan)
    camera.keep("electrons_error", errors, ELECTRON, "1-sigma error of object with sky.")
    traces = trace_set(frame.table(3), f"{source.path}: HDU 3")
    return replace(traces, coefficients=traces.coefficients[joined])


def _vectors(camera: _Camera) -> None:
    """Read the vectors of the calibration, each from its own file."""
    for kind, hdu, name, unit, text in _VECTORS:
        if kind in camera.sources:
            camera.keep(name, camera.half(kind, camera.fits(kind), hdu), unit, text)
    if "spFluxdistort" in camera.sources:
        fits = camera.fits("spFluxdistort")
        rows = _plate_rows(camera, fits.shape(0)[0])
        if rows is None:
            camera.notes.append(
                "no spPlate says which rows of spFluxdistort are of which fibres; it is left out"
            )
            return
        header = fits.header(0)
        step = header.number("CD1_1")
        first = header.number("CRVAL1") + (1.0 - header.number("CRPIX1", 1.0)) * step
        text = "Correction of distortion on the grid of the coadds (spFluxdistort)."
        camera.keep("fluxdistort", fits.image(0)[rows], "", text, ("fiber", "coadd"))
        camera.calibration["fluxdistort_grid"] = Array(
            np.array([first, step]), "", ("value",),
            "log10 of the first wavelength of fluxdistort in Angstrom, and its step.",
        )  # fmt: skip


def _lacking(camera: _Camera) -> None:
    """Note which files on the way from electrons to flux are not at hand."""
    wanted = ["spCFrame", "spFrame", "spFlat", "spFluxcalib", "spFluxcorr", "spFluxdistort"]
    if since(version_of(camera.header), 5, 10):
        wanted.append("spXYthrucorr")
    lacking = [kind for kind in wanted if kind not in camera.sources]
    if lacking:
        camera.notes.append(
            f"no {', '.join(lacking)}: the way from electrons to flux is not complete"
        )


def _plate_rows(camera: _Camera, count: int) -> npt.NDArray[np.int64] | None:
    """Return the rows of a file that has the rows of the spPlate."""
    known = camera.plan.settings.get("plate_rows", "")
    if known:
        numbers = from_ranges(known)
        rows = rows_of(numbers, camera.fibers)
        if len(numbers) == count and np.all(rows >= 0):
            return rows
    if count in (2 * half for half in FULL_HALVES):
        return camera.fibers - 1
    return None


def _wave(
    camera: _Camera, traces: TraceSet | None, kind: str, every: npt.NDArray[np.int64]
) -> tuple[Spectral, bool]:
    """Return the wavelengths, and whether they fall along the detector."""
    about: dict[str, Any] = {
        "medium": "air" if camera.header.get("VACUUM") in (False, "F") else "vacuum",
        "specsys": "heliocentric",
    }
    if traces is None:
        values = camera.image(kind, camera.main, 3, every).astype(np.float64)
        turned = bool(values.size and values[0, 0] > values[0, -1])
        values = np.power(10.0, values[:, ::-1] if turned else values)
        return Spectral(values=values, **about), turned
    ends = traces.evaluate(np.array([traces.xmin, traces.xmax]))
    turned = bool(ends[0, 0] > ends[0, -1])
    if turned:
        if traces.size != camera.rows:
            raise FileNotUnderstood(
                f"{camera.sources['spFrame'].path}: HDU 3 is for {traces.size} rows, the frame has "
                f"{camera.rows}"
            )
        traces = upside_down(traces)
    return Spectral(traces=traces, count=camera.rows, **about), turned


def _reversed(block: Fibers) -> Fibers:
    """Return a block with all its pixels in the other order, but for the wavelengths."""
    assert block.error is not None and block.mask is not None
    mask: MaskArray = np.ascontiguousarray(block.mask[:, ::-1])
    return replace(
        block,
        flux=np.ascontiguousarray(block.flux[:, ::-1]),
        error=np.ascontiguousarray(block.error[:, ::-1]),
        mask=mask,
        bits={
            name: Bits(np.ascontiguousarray(bits.values[:, ::-1]), bits.planes)
            for name, bits in block.bits.items()
        },
        layers={
            name: layer
            if "coadd" in layer.axes
            else replace(layer, values=np.ascontiguousarray(layer.values[:, ::-1]))
            for name, layer in block.layers.items()
        },
    )


def _read_noise(header: Header) -> npt.NDArray[np.float64] | None:
    """Return the read noise of the four amplifiers, None for the two of SDSS-I/II."""
    values = [header.get(f"RDNOISE{number}") for number in range(4)]
    if not all(isinstance(number, int | float) for number in values):
        return None
    return np.array(values, dtype=np.float64)


def _number(header: Header, card: str) -> float:
    number = header.get(card)
    return float(number) if isinstance(number, int | float) else np.nan


def _days(header: Header, card: str) -> float:
    seconds = _number(header, card)
    return seconds / SECONDS_PER_DAY if seconds > 0 else np.nan
