"""From the arrays of one amplifier in one exposure to frames.

The survey's files hold ``calfib`` as 1e-17 erg / (s cm2) in each pixel of 2 Angstrom; in the
archive it is per Angstrom, half the number of the file exactly (`corecube_hetdex.calibration`).
Native
spectra are in counts, which are electrons since the reduction multiplies by the gain
(grzeimann/Panacea, ccd.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.frames import Array, Fibers, Frame, Image
from corecube.masks import value
from corecube.provenance import Provenance
from corecube.spectral import Spectral
from corecube.times import Times
from corecube_hetdex import columns, quality
from corecube_hetdex.names import Exposure, field_of

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

GROUP: Final = "fibers"
NATIVE: Final = "native"

WAVE: Final[Floats] = np.linspace(3470.0, 5540.0, 1036)
"""Angstrom in air: centres of the rectified pixels."""
PIXELS: Final = 1032
"""Native pixels of a spectrum; columns of a detector."""

PER_PIXEL: Final = "1e-17 erg / (s cm2)"
"""Unit of the files: flux in a pixel of 2 Angstrom."""
COUNTS: Final = "electron"

RECTIFIED: Final = ("calfib", "calfibe", "calfib_counts", "calfibe_counts", "calfib_ffsky")
LAYERS: Final = {
    "spectrum": ("spectrum", COUNTS, "Extracted counts with the sky in them."),
    "sky": ("sky_spectrum", COUNTS, "Model of the sky."),
    "trace": ("trace", "pix", "Row of the fibre on the detector, from 0."),
    "chi2": ("chi2", "", "chi2 of the fit of the fibres' profile."),
    "rms": ("rms", COUNTS, "Scatter of the residuals of that fit."),
    "fiber_to_fiber": ("fiber_to_fiber", "", "Relative throughput of the fibre."),
}
"""Layers of native spectra: the array of the file, unit, description."""

NOT_MODELLED: Final = (
    "error of the sky model and of the flux calibration, common to many pixels",
    "correlation of neighbouring rectified pixels",
)


@dataclass(frozen=True)
class Places:
    """Where the fibres of an amplifier are.

    Attributes
    ----------
    ra, dec : float64 arrays (n,), degrees
    ifux, ifuy, fpx, fpy : float64 arrays (n,), arcsec
    table_offset : float32 array (n,), arcsec
        From the position that a table has; NaN where there is none.
    step : str
        How they were found.
    notes : tuple of str
    """

    ra: Floats
    dec: Floats
    ifux: Floats
    ifuy: Floats
    fpx: Floats
    fpy: Floats
    table_offset: Singles
    step: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conditions:
    """What is known of the exposure as a whole; NaN is unknown.

    Attributes
    ----------
    relflux, fwhm, response : float
        Relative flux, seeing (arcsec), throughput at 4540 Angstrom.
    arrays : mapping of str to Array
        Kept with the fibres: throughput, sky, dithers.
    notes : tuple of str
        What is missing.
    """

    relflux: float = float("nan")
    fwhm: float = float("nan")
    response: float = float("nan")
    arrays: Mapping[str, Array] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class AmplifierData:
    """All that is known of one amplifier in one exposure.

    Attributes
    ----------
    exposure : Exposure
    fibnum : int32 array (n,)
    native : mapping of str to float32 array (n, 1032)
        By the names of the files; what is not there is missing.
    rectified : mapping of str to float32 array (n, 1036)
        As in the files, per pixel of 2 Angstrom.
    images : mapping of str to float32 array (1032, 1032)
        ``image``, ``error``, ``clean_image``.
    places : Places
    conditions : Conditions
    times : Times
    contid, target : str
    header : str
    sources : tuple of str
    notes : tuple of str
    flags : int16 array (n, 1036), or None
        The survey's bits where the file has them.
    """

    exposure: Exposure
    fibnum: npt.NDArray[np.int32]
    native: Mapping[str, Singles]
    rectified: Mapping[str, Singles]
    images: Mapping[str, Singles]
    places: Places
    conditions: Conditions
    times: Times
    contid: str = ""
    target: str = ""
    header: str = ""
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    flags: npt.NDArray[np.int16] | None = None


def frames_of(data: AmplifierData, *, native: bool, images: bool) -> Iterator[Frame]:
    """Yield the frames of an amplifier: its image, its rectified and its native spectra.

    Parameters
    ----------
    data : AmplifierData
    native, images : bool
        What is wanted beside the rectified spectra.

    Raises
    ------
    FileNotUnderstood
        If an array has another shape than the others.
    """
    kinds = ((data.native, PIXELS), (data.rectified, len(WAVE)))
    for arrays, width in kinds:
        for name, values in arrays.items():
            if values.shape != (len(data.fibnum), width):
                raise FileNotUnderstood(
                    f"{data.exposure.entry}: {name} is {values.shape} instead of "
                    f"({len(data.fibnum)}, {width}); fetch the file again"
                )
    image = _image(data) if images else None
    if image is not None:
        yield image
    wavelength, notes = _wavelength(data)
    medians = quality.fiber_medians(_native(data, "fiber_to_fiber"))
    flags = quality.native_flags(_native(data, "spectrum"), _native(data, "chi2"), medians)
    fibers = _fibers(data, wavelength, flags, medians)
    yield fibers
    if native:
        yield _native_fibers(data, wavelength, flags, image, notes, fibers.id)


def _native(data: AmplifierData, name: str) -> Singles:
    found = data.native.get(name)
    if found is None:
        return np.full((len(data.fibnum), PIXELS), np.nan, np.float32)
    return found


def _wavelength(data: AmplifierData) -> tuple[Floats, tuple[str, ...]]:
    """Return wavelengths of native pixels; rows that do not rise are not known."""
    values = _native(data, "wavelength").astype(np.float64)
    with np.errstate(invalid="ignore"):
        rising = (values[:, 1:] > values[:, :-1]).all(axis=1) & (values[:, 0] > 0)
    bad = int(np.count_nonzero(~rising))
    if not bad:
        return values, ()
    values[~rising] = np.nan
    return values, (f"{bad} fibres have no rising wavelengths: their native pixels have none",)


def _fibers(
    data: AmplifierData, wavelength: Floats, native: quality.Flags, medians: Singles
) -> Fibers:
    count = len(data.fibnum)
    shape = (count, len(WAVE))
    blank = np.full(shape, np.nan, np.float32)
    flux = data.rectified.get("calfib", blank).copy()
    error = data.rectified.get("calfibe", blank).copy()
    calibrated = "calfib" in data.rectified
    empty = quality.no_data(flux, error)
    flux[empty] = np.nan
    error[empty] = np.nan
    flags = quality.rectified_flags(native, wavelength, WAVE, empty, data.conditions.response)
    steps = (
        "calfib and calfibe as in the file; where both are 0 there are no data, and both are NaN",
        data.places.step,
        "bits by the survey's rules from fiber_to_fiber, chi2, spectrum and wavelength",
    )
    if data.flags is not None:
        flags = data.flags.astype(np.uint16)
        steps = (*steps[:2], "bits as in CalfibDQ of the file")
    mask = quality.planes_of(flags)
    notes = data.notes + data.places.notes + data.conditions.notes
    if not calibrated:
        mask |= np.uint32(value("no_data", "not_calibrated"))
        notes += ("no cal file and no calfib in the file: there is no calibrated flux",)
    elif bool(empty.all()):
        notes += ("the calibrated flux of all fibres is 0: there are no data",)
    layers = {
        "counts": ("calfib_counts", COUNTS, "Rectified counts in a pixel of 2 Angstrom."),
        "counts_error": ("calfibe_counts", COUNTS, "1-sigma error of the rectified counts."),
        "ffsky": ("calfib_ffsky", PER_PIXEL, "Flux with the sky of the whole focal plane taken."),
    }
    return Fibers(
        name=GROUP,
        flux=flux,
        error=error,
        mask=mask,
        unit=PER_PIXEL,
        bits={"dq": quality.bits_of(flags)},
        layers={
            name: Array(
                data.rectified.get(array, blank).copy(), unit, ("fiber", "wave"), description
            )
            for name, (array, unit, description) in layers.items()
        },
        calibration=data.conditions.arrays,
        header=data.header,
        times=data.times,
        provenance=Provenance(
            sources=data.sources, steps=steps, not_modelled=NOT_MODELLED, notes=notes
        ),
        wave=Spectral(WAVE, medium="air"),
        id=data.exposure.fiber_ids(data.fibnum.tolist()),
        ra=data.places.ra,
        dec=data.places.dec,
        columns=_columns(data, medians),
    )


def _columns(data: AmplifierData, medians: Singles) -> dict[Any, Any]:
    count = len(data.fibnum)
    exposure, amplifier, places = data.exposure, data.exposure.amplifier, data.places
    number = {
        columns.SHOTID: exposure.shot.shotid, columns.EXPNUM: exposure.number,
        columns.RELFLUX: data.conditions.relflux, columns.FWHM: data.conditions.fwhm,
        columns.RESPONSE: data.conditions.response,
    }  # fmt: skip
    text = {
        columns.MULTIFRAME: amplifier.multiframe, columns.IFUSLOT: amplifier.ifuslot,
        columns.SPECID: amplifier.specid, columns.IFUID: amplifier.ifuid,
        columns.AMP: amplifier.amp, columns.CONTID: data.contid, columns.OBJECT: data.target,
        columns.FIELD: field_of(data.target),
    }  # fmt: skip
    values: dict[Any, Any] = {
        columns.ALIAS: exposure.aliases(data.fibnum.tolist()), columns.FIBNUM: data.fibnum,
        columns.FPX: places.fpx, columns.FPY: places.fpy, columns.IFUX: places.ifux,
        columns.IFUY: places.ifuy, columns.THROUGHPUT: medians,
        columns.TABLE_OFFSET: places.table_offset,
    }  # fmt: skip
    values |= {column: np.full(count, part, column.dtype) for column, part in number.items()}
    values |= {column: (part,) * count for column, part in text.items()}
    return {column: values[column] for column in columns.FIBERS}


def _native_fibers(
    data: AmplifierData,
    wavelength: Floats,
    flags: quality.Flags,
    image: Image | None,
    notes: tuple[str, ...],
    ids: tuple[str, ...],
) -> Fibers:
    flux = _native(data, "sky_subtracted").copy()
    error = data.native.get("error1D", data.native.get("error1Dfib"))
    error = _native(data, "error1D").copy() if error is None else error.copy()
    spectrum = _native(data, "spectrum")
    empty = quality.no_data(spectrum, error) | quality.no_data(flux, error)
    flux[empty] = np.nan
    error[empty] = np.nan
    missing = [name for name in ("sky_subtracted", "wavelength") if name not in data.native]
    if missing:
        notes += (f"the file has no {' and no '.join(missing)}",)
    return Fibers(
        name=NATIVE,
        flux=flux,
        error=error,
        mask=quality.planes_of(flags),
        unit=COUNTS,
        bits={"dq": quality.bits_of(flags)},
        layers={
            name: Array(_native(data, array), unit, ("fiber", "wave"), description)
            for name, (array, unit, description) in LAYERS.items()
        },
        times=data.times,
        provenance=Provenance(
            sources=data.sources,
            steps=("sky_subtracted and error1D as in the file",),
            not_modelled=NOT_MODELLED[:1],
            notes=notes,
        ),
        wave=Spectral(wavelength, medium="air"),
        id=ids,
        ra=data.places.ra,
        dec=data.places.dec,
        parent=GROUP,
        parent_id=ids,
        images=() if image is None else (image.name,),
        image=np.full(len(ids), -1 if image is None else 0, np.int32),
    )


def _image(data: AmplifierData) -> Image | None:
    flux = data.images.get("image")
    if flux is None or not flux.any():
        return None
    error = data.images.get("error")
    steps = ["image and error as in the file"]
    if error is not None:
        empty = quality.no_data(flux, error)
        if empty.any():
            flux = np.where(empty, np.float32(np.nan), flux)
            error = np.where(empty, np.float32(np.nan), error)
            steps.append("where both are 0 there are no data, and both are NaN")
    clean = data.images.get("clean_image")
    layers = {}
    if clean is not None:
        layers["clean_image"] = Array(clean, COUNTS, ("y", "x"), "The image, cleaned.")
    return Image(
        name=data.exposure.entry,
        flux=flux,
        error=error,
        unit=COUNTS,
        layers=layers,
        header=data.header,
        times=data.times,
        target=data.target,
        provenance=Provenance(sources=data.sources, steps=tuple(steps)),
    )
