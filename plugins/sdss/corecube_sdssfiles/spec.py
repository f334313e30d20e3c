"""Read spec files: one coadded spectrum, and its exposures in the full files.

Sources: SDSS data model page "spec" (BOSS_SPECTRO_REDUX/RUN2D/spectra/PLATE4/spec,
https://data.sdss.org/datamodel/); the idlspec2d scripts reformat_spectra.py and
reformat_sdss_spectra.py that write the files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood, FrameError
from corecube.fits import BinTable, Fits, Header
from corecube.frames import Array, Bits
from corecube.masks import MaskArray, value
from corecube.spectral import Medium, SpecSys, Spectral, log_index
from corecube.times import Times
from corecube.units import FLUX_DENSITY
from corecube_sdssfiles.maskbits import SPECTRUM_PLANES, SPPIXMASK, core_planes

SECONDS_PER_DAY: Final = 86400.0
NIGHT_BEFORE: Final = 0.3
"""Days: at Apache Point the night number N steps at MJD N - 0.3 (SDSS glossary, "MJD")."""

CALIB_UNIT: Final = "1e-17 erg / (Angstrom s cm2 electron)"
"""Unit of the column calib of an exposure."""

_EXPOSURE = re.compile(r"([BR][12])-(\d{8,})(?:-\d+)*\Z", re.IGNORECASE)
_SPECTRUM_COLUMNS: Final = ("FLUX", "LOGLAM", "IVAR")


@dataclass(frozen=True)
class SpecName:
    """What a spectrum is called.

    Attributes
    ----------
    plate, mjd, fiber : int
        The fibre is counted from 1, the MJD is that of the last night.
    run2d : str
        Name of the reduction: ``26``, ``103``, ``104``, ``v5_10_0``.
    """

    plate: int
    mjd: int
    fiber: int
    run2d: str

    @property
    def key(self) -> str:
        """Key of the shot: ``3126-54804-104``."""
        return f"{self.plate:04d}-{self.mjd:05d}-{self.run2d}"

    @property
    def entry(self) -> str:
        """Name of the fibre: ``0211``."""
        return f"{self.fiber:04d}"

    @property
    def observation(self) -> str:
        """The same for all instruments that know the spectrum: ``3126-54804-0211-104``."""
        return f"{self.plate:04d}-{self.mjd:05d}-{self.fiber:04d}-{self.run2d}"


@dataclass(frozen=True)
class Spectrum:
    """One spectrum as arrays of pixels, wavelengths rising.

    Attributes
    ----------
    wave : Spectral
        For (w,) pixels.
    flux, error : float32 array (w,), 1e-17 erg / (Angstrom s cm2)
    mask : uint32 array (w,)
        The core's planes.
    bits : mapping of str to Bits
        Each (w,).
    layers : mapping of str to Array
        Each (w,).
    notes : tuple of str
        What the user should know about the values.
    reversed : bool
        The file has the pixels in the other order.
    """

    wave: Spectral
    flux: npt.NDArray[np.float32]
    error: npt.NDArray[np.float32]
    mask: MaskArray
    bits: Mapping[str, Bits]
    layers: Mapping[str, Array]
    notes: tuple[str, ...]
    reversed: bool = False


@dataclass(frozen=True)
class Exposure:
    """One camera's exposure in a full spec file.

    Attributes
    ----------
    name : str
        Camera and exposure: ``b1-00020717``.
    hdu, pixels : int
    start, end : float
        MJD TAI, NaN where the header has no times.
    """

    name: str
    hdu: int
    pixels: int
    start: float
    end: float


_LAYERS: Final[Mapping[str, tuple[str, str]]] = {
    "sky": (FLUX_DENSITY, "Sky that was subtracted."),
    "wdisp": ("pix", "Sigma of the line spread function; a pixel is 1e-4 in log10 wavelength."),
    "model": (FLUX_DENSITY, "Best template of the pipeline, redshifted; 0 outside of it."),
    "calib": (
        CALIB_UNIT,
        "Flux of one electron: electrons are flux / calib.",
    ),
    "x": ("pix", "Centre of the spectrum along the detector's rows."),
}


def column_names(header: Header) -> set[str]:
    """Return the names of a table's columns in upper case; no other card is looked at."""
    return {str(header.get(card)).upper() for card in header if card.startswith("TTYPE")}


def looks_like_spec(header: Header) -> bool:
    """Tell by the header of HDU 1 whether this is a spec file.

    Parameters
    ----------
    header : Header
        Of HDU 1.
    """
    if header.get("XTENSION") != "BINTABLE":
        return False
    return column_names(header).issuperset(_SPECTRUM_COLUMNS)


class SpecFile:
    """A spec file in memory.

    Parameters
    ----------
    buffer : bytes
        The unpacked file.
    name : str, optional
        Name of the file, for errors.

    Raises
    ------
    FileNotUnderstood
        If it is no spec file.
    """

    def __init__(self, buffer: bytes, name: str = "") -> None:
        self._name = name
        self.fits = Fits(buffer, name)
        self.header = self.fits.header(0)
        if not looks_like_spec(self.fits.header(1)):
            raise self._error("HDU 1 has no columns flux, loglam and ivar; is this a spec file?")

    @cached_property
    def summary(self) -> BinTable:
        """HDU 2: one row of the survey's table of spectra, SPECOBJ or SPALL."""
        table = self.fits.table(2)
        if table.rows != 1:
            raise self._error(f"HDU 2 has {table.rows} rows instead of 1")
        return table

    @property
    def has_plate(self) -> bool:
        """True if HDU 0 or HDU 2 name a plate; spectra of SDSS-V have none."""
        if "PLATEID" in self.header:
            return True
        return len(self.fits) > 2 and "PLATE" in column_names(self.fits.header(2))

    @cached_property
    def spec_name(self) -> SpecName:
        """Plate, MJD, fibre and reduction.

        Raises
        ------
        FileNotUnderstood
            If one is missing, or HDU 0 and HDU 2 disagree.
        """
        run2d = self.header.get("RUN2D")
        if run2d is None and "RUN2D" in self.summary:
            run2d = str(self.summary.column("RUN2D")[0])
        if not run2d or not str(run2d).strip():
            raise self._error("neither HDU 0 nor HDU 2 has RUN2D")
        return SpecName(
            plate=self._number("PLATEID", "PLATE"),
            mjd=self._number("MJD", "MJD"),
            fiber=self._number("FIBERID", "FIBERID"),
            run2d=str(run2d).strip(),
        )

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Grid index of the first pixel of the coadd, and the number of pixels.

        The integers are those of `corecube.spectral`. The card COEFF0 is not used: in files of
        SDSS-I/II leading pixels without data are cut off and COEFF0 is not the first pixel.
        """
        loglam = self.fits.table(1).column("loglam")
        try:
            index = log_index(loglam)
        except FrameError as error:
            raise self._error(f"HDU 1: {error}") from error
        if index.size == 0 or np.any(np.diff(index) != 1):
            raise self._error("HDU 1: the wavelengths do not rise by one step of the grid")
        return int(index[0]), index.size

    @cached_property
    def exposures(self) -> tuple[Exposure, ...]:
        """The exposures of a full file, in the file's order; none in a lite file."""
        found: list[Exposure] = []
        for hdu in range(3, len(self.fits)):
            header = self.fits.header(hdu)
            match = _EXPOSURE.match(str(header.get("EXTNAME", "")).strip())
            if match is None or not looks_like_spec(header):
                continue
            name = f"{match[1].lower()}-{match[2]}"
            if name in (exposure.name for exposure in found):
                raise self._error(f"HDU {hdu}: exposure {name} is in the file twice")
            start, end = (_seconds(header, card) / SECONDS_PER_DAY for card in _TIMES)
            found.append(Exposure(name, hdu, header.integer("NAXIS2"), start, end))
        return tuple(found)

    @property
    def is_full(self) -> bool:
        """True if the file has exposures beside the coadd."""
        return bool(self.exposures)

    @property
    def specsys(self) -> SpecSys:
        """``heliocentric`` where a heliocentric correction was applied."""
        return "heliocentric" if isinstance(self.header.get("HELIO_RV"), float) else ""

    def medium(self, header: Header) -> Medium:
        """Vacuum or air, by the card VACUUM of a header, else of HDU 0."""
        vacuum = header.get("VACUUM", self.header.get("VACUUM"))
        return "" if not isinstance(vacuum, bool) else "vacuum" if vacuum else "air"

    def times(self) -> Times:
        """Return when the spectrum was taken, as arrays of one value.

        Exact from the exposures of a full file. A lite file only has its nights: TAI in its
        header is the mean of the exposures, over several nights a time at which none ran. Night N
        reaches from MJD N - 0.3 to N + 0.7.
        """
        start = np.array([exposure.start for exposure in self.exposures])
        end = np.array([exposure.end for exposure in self.exposures])
        if start.size and np.isfinite(start + end).all():
            return Times(start.min(keepdims=True), end.max(keepdims=True), "exact")
        nights = [int(night) for night in str(self.header.get("MJDLIST", "")).split() if night]
        nights = nights or [self.spec_name.mjd]
        first, last = min(nights) - NIGHT_BEFORE, max(nights) + 1 - NIGHT_BEFORE
        return Times(np.array([first]), np.array([last]), "night")

    def coadd(self) -> Spectrum:
        """Return the coadded spectrum, on the grid of `corecube.spectral`.

        Raises
        ------
        FileNotUnderstood
            If a column is missing or the wavelengths are not on the grid.
        """
        first, count = self.grid
        wave = Spectral.log_grid(first, count, self.medium(self.header), self.specsys)
        return _spectrum(self.fits.table(1), wave, ("and_mask", "or_mask"), "and_mask", False)

    def exposure(self, exposure: Exposure) -> Spectrum:
        """Return the spectrum of one exposure, with its own wavelengths.

        The blue exposures of SDSS-I/II have falling wavelengths; they are reversed.

        Raises
        ------
        FileNotUnderstood
            If a column is missing or the wavelengths neither rise nor fall.
        """
        table = self.fits.table(exposure.hdu)
        loglam = table.column("loglam").astype(np.float64)
        falling = bool(loglam.size > 1 and loglam[-1] < loglam[0])
        if falling:
            loglam = loglam[::-1]
        if not np.all(np.diff(loglam) > 0):
            raise self._error(f"HDU {exposure.hdu}: the wavelengths neither rise nor fall")
        header = self.fits.header(exposure.hdu)
        values = np.power(10.0, loglam)
        wave = Spectral(values=values, medium=self.medium(header), specsys=self.specsys)
        return _spectrum(table, wave, ("mask",), "mask", falling)

    def _number(self, card: str, column: str) -> int:
        """Return a number that HDU 0 has as a card and HDU 2 as a column."""
        number = self.header.get(card)
        row = int(self.summary.column(column)[0]) if column in self.summary else None
        if number is None:
            number = row
        if isinstance(number, bool) or not isinstance(number, int):
            raise self._error(f"HDU 0 has no card {card}; is this a spec file of SDSS or BOSS?")
        if row is not None and row != number:
            raise self._error(f"HDU 0 says {card} {number}, HDU 2 says {column} {row}")
        return number

    def _error(self, line: str) -> FileNotUnderstood:
        return FileNotUnderstood(f"{self._name}: {line}" if self._name else line)


_TIMES: Final = ("TAI-BEG", "TAI-END")


def _seconds(header: Header, card: str) -> float:
    seconds = header.get(card)
    return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else float("nan")


def error_of_ivar(
    ivar: npt.NDArray[Any], flux: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.float32], MaskArray, tuple[str, ...]]:
    """Return errors and mask planes that follow from an inverse variance.

    ``error = 1 / sqrt(ivar)``. Where ivar is 0 there are no data: the flux is an interpolation
    that looks real, so the error is NaN and the planes ``no_data`` and ``no_error`` are set. A
    NaN counts as 0, a negative ivar gets ``negative_variance``; both are reported.

    Parameters
    ----------
    ivar, flux : float array (w,)

    Returns
    -------
    error : float32 array (w,)
    mask : uint32 array (w,)
    notes : tuple of str
        Counts of what should not be there.
    """
    weight = ivar.astype(np.float64)
    good = np.isfinite(weight) & (weight > 0)
    lost = ~np.isfinite(weight)
    negative = weight < 0
    unreal = good & ~np.isfinite(flux)
    error = np.full(weight.shape, np.nan)
    measured = good & ~unreal
    error[measured] = 1.0 / np.sqrt(weight[measured])
    mask = np.zeros(weight.shape, np.uint32)
    mask[~measured] = value("no_error")
    mask[(weight == 0) | (lost & ~negative) | unreal] |= np.uint32(value("no_data"))
    mask[negative] |= np.uint32(value("negative_variance"))
    notes = tuple(
        f"{np.count_nonzero(part)} pixels with {what}"
        for part, what in (
            (lost & ~negative, "an inverse variance that is no number, taken as no data"),
            (negative, "a negative inverse variance"),
            (unreal, "a flux that is no number"),
        )
        if part.any()
    )
    return error.astype(np.float32), mask, notes


def _spectrum(
    table: BinTable, wave: Spectral, masks: tuple[str, ...], informs: str, falling: bool
) -> Spectrum:
    """Read the columns of a coadd or an exposure."""
    step = -1 if falling else 1

    def column(name: str, dtype: type[np.generic]) -> npt.NDArray[Any]:
        values = table.column(name)
        if values.ndim != 1:
            raise FileNotUnderstood(f"column {name} has {values.ndim} axes; fetch the file again")
        return np.ascontiguousarray(values[::step], dtype=dtype)

    flux = column("flux", np.float32)
    error, mask, notes = error_of_ivar(column("ivar", np.float64), flux)
    bits = {}
    for name in masks:
        if name in table:
            bits[name] = Bits(column(name, np.int32).view(np.uint32), SPPIXMASK)
    if informs in bits:
        mask |= core_planes(bits[informs].values, SPPIXMASK, SPECTRUM_PLANES)
    layers = {
        name: Array(column(name, np.float32), unit, ("wave",), description)
        for name, (unit, description) in _LAYERS.items()
        if name in table
    }
    return Spectrum(wave, flux, error, mask, bits, layers, notes, falling)
