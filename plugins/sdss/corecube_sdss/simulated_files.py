"""Write simulated frames, psField and spec files, with the HDUs and cards of the real ones.

Sources: SDSS data model pages "frame", "psField", "spec" (https://data.sdss.org/datamodel/).
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BANDS: Final = "ugriz"
_FRAME_CARD: Final = {"r": 0, "i": 2, "u": 4, "z": 6, "g": 8}
_CAMROW: Final = {"r": 1, "i": 2, "u": 3, "z": 4, "g": 5}
_CENTRE: Final = (1024.0, 744.0)
"""Reference pixel (x, y), counted from 0."""
SCALE: Final = 1.1e-4
"""Degrees per pixel."""
PSF_PIXELS: Final = 51
"""Along each side of an eigenimage, as in real files."""


@dataclass(frozen=True)
class Geometry:
    """Where and when the simulated field was observed.

    Attributes
    ----------
    run, camcol, field : int
    ra, dec : float
        Degrees, of the reference pixel in a filter without offset.
    offsets : mapping of band to (float, float)
        Degrees along ra and dec.
    mjd : float
        MJD TAI at which row 0 is read in r.
    plate, night : int
        Plate and MJD of the spectra.
    """

    run: int
    camcol: int
    field: int
    ra: float
    dec: float
    offsets: Mapping[str, tuple[float, ...]]
    mjd: float
    plate: int
    night: int

    def centre(self, band: str) -> tuple[float, float]:
        """Return the position of the reference pixel, degrees."""
        return self.ra + self.offsets[band][0], self.dec + self.offsets[band][1]

    def to_sky(self, band: str, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return positions of pixels by the tangent projection: columns to north, rows to east."""
        ra0, dec0 = map(math.radians, self.centre(band))
        east = np.radians(SCALE * (y - _CENTRE[1]))
        north = np.radians(SCALE * (x - _CENTRE[0]))
        forward = math.cos(dec0) - north * math.sin(dec0)
        ra = ra0 + np.arctan2(east, forward)
        dec = np.arctan2(
            math.sin(dec0) + north * math.cos(dec0), np.sqrt(east * east + forward * forward)
        )
        return np.degrees(ra) % 360.0, np.degrees(dec)

    def to_pixel(self, band: str, ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
        """Return the pixels of positions, the inverse of `to_sky`."""
        ra0, dec0 = map(math.radians, self.centre(band))
        alpha, delta = np.radians(ra) - ra0, np.radians(dec)
        depth = math.sin(dec0) * np.sin(delta) + math.cos(dec0) * np.cos(delta) * np.cos(alpha)
        east = np.cos(delta) * np.sin(alpha) / depth
        north = (
            math.cos(dec0) * np.sin(delta) - math.sin(dec0) * np.cos(delta) * np.cos(alpha)
        ) / depth
        return _CENTRE[0] + np.degrees(north) / SCALE, _CENTRE[1] + np.degrees(east) / SCALE


@dataclass(frozen=True)
class Camera:
    """Electronics and sky of the simulated camera, by band.

    Attributes
    ----------
    gain : mapping
        Electrons per DN.
    dark_variance : mapping
        DN^2.
    sky : mapping
        DN.
    flux_per_dn : mapping
        Nanomaggies per DN.
    """

    gain: Mapping[str, float]
    dark_variance: Mapping[str, float]
    sky: Mapping[str, float]
    flux_per_dn: Mapping[str, float]


@dataclass(frozen=True)
class FrameContent:
    """What a frame file holds.

    Attributes
    ----------
    geometry : Geometry
    band : str
    image : float32 array (ny, nx), nanomaggies
    flux_per_dn : float32 array (nx,)
    sky : float32 array (192, 256), DN
    mjd : float
        MJD TAI at which row 0 is read.
    """

    geometry: Geometry
    band: str
    image: npt.NDArray[np.float32]
    flux_per_dn: npt.NDArray[np.float32]
    sky: npt.NDArray[np.float32]
    mjd: float

    @property
    def file_name(self) -> str:
        """Name of the file, not packed."""
        g = self.geometry
        return f"frame-{self.band}-{g.run:06d}-{g.camcol}-{g.field:04d}.fits"


def frame_bytes(content: FrameContent) -> bytes:
    """Return a frame file."""
    from astropy.io import fits

    g, band = content.geometry, content.band
    ra, dec = g.centre(band)
    seconds = content.mjd * 86400.0
    image = fits.PrimaryHDU(content.image)
    cards: list[tuple[str, Any]] = [
        ("BZERO", 0.0), ("BSCALE", 1.0), ("TAI", round(seconds, 2)), ("RA", ra + 0.6), ("DEC", dec),
        ("SPA", 90.0), ("ORIGIN", "SDSS"), ("TELESCOP", "2.5m"), ("TIMESYS", "TAI"), ("RUN", g.run),
        ("FRAME", g.field + _FRAME_CARD[band]), ("CCDLOC", 10 * _CAMROW[band] + g.camcol),
        ("STRIPE", 82), ("STRIP", "N"), ("FLAVOR", "science"), ("NODE", 95.0), ("INCL", 0.0),
        ("OBJECT", "82 N"), ("EXPTIME", "53.907456"), ("SYSTEM", "FK5"), ("CCDMODE", "DRIFT"),
        ("C_OBS", 26322), ("COLBIN", 1), ("ROWBIN", 1), ("CAMROW", _CAMROW[band]),
        ("EQUINOX", 2000.0), ("SOFTBIAS", 1000), ("BUNIT", "nanomaggy"), ("FILTER", band),
        ("CAMCOL", g.camcol), ("VERSION", "simulated"), ("RADECSYS", "ICRS"),
        ("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CUNIT1", "deg"), ("CUNIT2", "deg"),
        ("CRPIX1", _CENTRE[0] + 1.0), ("CRPIX2", _CENTRE[1] + 1.0), ("CRVAL1", ra), ("CRVAL2", dec),
        ("CD1_1", 0.0), ("CD1_2", SCALE), ("CD2_1", SCALE), ("CD2_2", 0.0),
        ("NMGY", float(content.flux_per_dn.mean())), ("NMGYIVAR", 0.1), ("RERUN", "301"),
    ]  # fmt: skip
    for name, value in cards:
        image.header[name] = value
    image.header.add_history("simulated by corecube")
    return _written(
        image, fits.ImageHDU(content.flux_per_dn), _sky_table(content), _terms(content, ra, dec)
    )


def _sky_table(content: FrameContent) -> Any:
    from astropy.io import fits

    x = ((np.arange(2048) + 0.5) / 8.0 - 0.5).astype(np.float32)
    y = ((np.arange(1489) + 0.5) / 8.0 + 0.5).astype(np.float32)
    return fits.BinTableHDU.from_columns(
        [
            fits.Column("ALLSKY", "49152E", dim="(256,192)", array=content.sky[None]),
            fits.Column("XINTERP", "2048E", array=x[None]),
            fits.Column("YINTERP", "1489E", array=y[None]),
        ]
    )


def _terms(content: FrameContent, ra: float, dec: float) -> Any:
    from astropy.io import fits

    g = content.geometry
    # On the equator mu and nu are ra and dec; (row, col) of SDSS are (y, x) + 0.5.
    per_row = SCALE / math.cos(math.radians(dec))
    values: dict[str, tuple[str, Any]] = {
        "RUN": ("J", g.run), "RERUN": ("3A", "301"), "CAMCOL": ("J", g.camcol),
        "FILTER": ("1A", content.band), "NODE": ("D", 95.0), "INCL": ("D", 0.0),
        "NAXIS": ("2J", [2048, 1489]), "FIELD": ("J", g.field),
        "A": ("D", ra - per_row * (_CENTRE[1] + 0.5)), "B": ("D", per_row), "C": ("D", 0.0),
        "D": ("D", dec - SCALE * (_CENTRE[0] + 0.5)), "E": ("D", 0.0), "F": ("D", SCALE),
    }  # fmt: skip
    for name in ("DROW", "DCOL"):
        values |= {f"{name}{power}": ("D", 0.0) for power in range(4)}
    values |= {name: ("D", 0.0) for name in ("CSROW", "CSCOL", "CCROW", "CCCOL")}
    values |= {"RICUT": ("D", 100.0), "MJD": ("D", content.mjd), "AIRMASS": ("D", 1.2)}
    values |= {"MUERR": ("E", 0.03), "NUERR": ("E", 0.03)}
    return fits.BinTableHDU.from_columns(
        [fits.Column(name, form, array=[value]) for name, (form, value) in values.items()]
    )


def write_psfield(
    directory: Path, geometry: Geometry, camera: Camera, psfs: Sequence[npt.NDArray[np.float32]]
) -> str:
    """Write a psField file with the true gain, dark variance and PSF; return its name.

    Parameters
    ----------
    directory : Path
    geometry : Geometry
    camera : Camera
    psfs : sequence of float32 array (ny, nx)
        Of each filter; the same all over the field.
    """
    from astropy.io import fits

    primary = fits.PrimaryHDU()
    for name, value in (
        ("RUN", geometry.run),
        ("CAMCOL", geometry.camcol),
        ("FIELD", geometry.field),
        ("FILTERS", "u g r i z"),
    ):
        primary.header[name] = value
    eigen = [
        fits.BinTableHDU.from_columns(
            [
                fits.Column("nrow_b", "J", array=[1]),
                fits.Column("ncol_b", "J", array=[1]),
                fits.Column("c", "25E", dim="(5,5)", array=np.ones((1, 5, 5), np.float32)),
                fits.Column("RNROW", "J", array=[psf.shape[0]]),
                fits.Column("RNCOL", "J", array=[psf.shape[1]]),
                fits.Column("RROWS", "PE()", array=[psf.ravel()]),
            ]
        )
        for psf in psfs
    ]
    width = [2.3548 * SCALE * 3600.0 / math.sqrt(4 * math.pi * float((p**2).sum())) for p in psfs]
    five = {
        "psf_width": width,
        "sky": [camera.sky[band] for band in BANDS],
        "gain": [camera.gain[band] for band in BANDS],
        "dark_variance": [camera.dark_variance[band] for band in BANDS],
    }
    status = fits.BinTableHDU.from_columns(
        [
            fits.Column("field", "J", array=[geometry.field]),
            fits.Column("psp_status", "J", array=[0]),
            *(fits.Column(name, "5E", array=[values]) for name, values in five.items()),
        ]
    )
    rest = [
        fits.BinTableHDU.from_columns([fits.Column("filter", "1A", array=list(BANDS))])
        for _ in range(3)
    ]
    name = f"psField-{geometry.run:06d}-{geometry.camcol}-{geometry.field:04d}.fit"
    (directory / name).write_bytes(_written(primary, *eigen, status, *rest))
    return name


@dataclass(frozen=True)
class SpecContent:
    """What a lite spec file of BOSS holds.

    Attributes
    ----------
    plate, mjd, fiber : int
    run2d : str
    ra, dec : float
        Degrees, of the fibre.
    first : int
        Grid index of the first pixel.
    flux, ivar, sky, model : float32 array (w,)
        1e-17 erg / (Angstrom s cm2), and its inverse square.
    and_mask, or_mask : int32 array (w,)
    redshift : float
    spectroflux : sequence of float
        Nanomaggies in u, g, r, i, z.
    """

    plate: int
    mjd: int
    fiber: int
    run2d: str
    ra: float
    dec: float
    first: int
    flux: npt.NDArray[np.float32]
    ivar: npt.NDArray[np.float32]
    and_mask: npt.NDArray[np.int32]
    or_mask: npt.NDArray[np.int32]
    sky: npt.NDArray[np.float32]
    model: npt.NDArray[np.float32]
    redshift: float
    spectroflux: Sequence[float]


def write_spec(directory: Path, content: SpecContent) -> str:
    """Write a lite spec file; return its name."""
    from astropy.io import fits

    c, size = content, len(content.flux)
    primary = fits.PrimaryHDU()
    cards: list[tuple[str, Any]] = [
        ("TELESCOP", "SDSS 2.5-M"), ("FLAVOR", "science"), ("MJD", c.mjd), ("MJDLIST", str(c.mjd)),
        ("PLATEID", c.plate), ("RA", c.ra + 0.3), ("DEC", c.dec + 0.2), ("RADECSYS", "FK5"),
        ("EXPTIME", 3600.0), ("RUN2D", c.run2d), ("HELIO_RV", 12.5), ("VACUUM", True),
        ("NWORDER", 2), ("WFITTYPE", "LOG-LINEAR"), ("COEFF0", 1e-4 * c.first), ("COEFF1", 1e-4),
        ("BUNIT", "1E-17 erg/cm^2/s/Ang"), ("PLUG_RA", c.ra), ("PLUG_DEC", c.dec),
        ("FIBERID", c.fiber), ("NEXP", 8), ("EXPID01", "b1-00100000-00100001-00100002"),
    ]  # fmt: skip
    for name, value in cards:
        primary.header[name] = value
    loglam = (1e-4 * np.arange(c.first, c.first + size)).astype(np.float32)
    wdisp = np.full(size, 1.1, np.float32)
    columns: list[tuple[str, str, Any]] = [
        ("flux", "E", c.flux), ("loglam", "E", loglam), ("ivar", "E", c.ivar),
        ("and_mask", "J", c.and_mask), ("or_mask", "J", c.or_mask), ("wdisp", "E", wdisp),
        ("sky", "E", c.sky), ("model", "E", c.model),
    ]  # fmt: skip
    row: list[tuple[str, str, Any]] = [
        ("PLATE", "J", c.plate), ("MJD", "J", c.mjd), ("FIBERID", "J", c.fiber),
        ("RUN2D", "7A", c.run2d), ("OBJTYPE", "16A", "NA"), ("PLUG_RA", "D", c.ra),
        ("PLUG_DEC", "D", c.dec), ("CLASS", "6A", "STAR"), ("SUBCLASS", "21A", "F5"),
        ("Z", "E", c.redshift), ("Z_ERR", "E", 1e-5), ("ZWARNING", "J", 0), ("RCHI2", "E", 1.0),
        ("DOF", "J", size), ("SN_MEDIAN_ALL", "E", float(np.median(c.flux * np.sqrt(c.ivar)))),
        ("SPECTROFLUX", "5E", list(c.spectroflux)), ("SPECTROFLUX_IVAR", "5E", [1.0] * 5),
    ]  # fmt: skip
    name = f"spec-{c.plate:04d}-{c.mjd}-{c.fiber:04d}.fits"
    make = fits.BinTableHDU.from_columns
    extensions = (
        make([fits.Column(n, form, array=values) for n, form, values in columns], name="COADD"),
        make([fits.Column(n, form, array=[value]) for n, form, value in row], name="SPALL"),
        make([fits.Column("LINENAME", "13A", array=[])], name="SPZLINE"),
    )
    (directory / name).write_bytes(_written(primary, *extensions))
    return name


def _written(*hdus: Any) -> bytes:
    from astropy.io import fits

    file = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(file, output_verify="fix+exception")
    return file.getvalue()
