"""The files of a simulated plate, in the formats of idlspec2d v5.

Source: SDSS data model, BOSS_SPECTRO_REDUX/RUN2D/PLATE4 (https://data.sdss.org/datamodel/).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

ROWS: Final = {"b": 4112, "r": 4128}
PADDED: Final = 4128
"""Rows of spCFrame and spFluxcorr, for blue too."""
PIXELS: Final = 4620
"""Of the coadds."""
COEFF0: Final = 3.552

_START: Final = 50400.0
"""Seconds after the beginning of the MJD of the first exposure."""


@dataclass(frozen=True)
class Fiber:
    """A fibre and what it looks at; see `corecube_boss.simulate.true_flux`."""

    number: int
    ra: float
    dec: float
    objtype: str
    kind: str
    z: float
    level: float
    slope: float
    lines: tuple[tuple[float, float, float], ...]

    @property
    def spectrograph(self) -> str:
        """``1`` or ``2``."""
        return "1" if self.number <= 500 else "2"


@dataclass(frozen=True)
class Plate:
    """What all files of a plate share."""

    plate: int
    mjd: int
    run2d: str
    ra: float
    dec: float
    fibers: tuple[Fiber, ...]
    exposures: tuple[str, ...]
    flat: str
    spec: int
    cameras: tuple[str, ...]

    def cards(self) -> list[tuple[str, Any]]:
        """Return the cards that all headers have."""
        return [
            ("TELESCOP", "SDSS 2.5-M"), ("MJD", self.mjd), ("PLATEID", self.plate),
            ("NAME", f"{self.plate:04d}-{self.mjd}-01"), ("RA", self.ra), ("DEC", self.dec),
            ("VERS2D", self.run2d), ("RUN2D", self.run2d), ("HELIO_RV", 7.5), ("VACUUM", True),
        ]  # fmt: skip


@dataclass(frozen=True)
class Camera:
    """One exposure of one camera; arrays (n, rows)."""

    name: str
    exposure: str
    fibers: tuple[Fiber, ...]
    read_noise: tuple[float, float, float, float]
    wave: Floats
    jump: tuple[float, float, float] | None
    sigma: Floats
    x: Floats
    superflat: Floats
    fiberflat: Floats
    loglam: Floats
    eflux: Floats
    eivar: Floats
    mask: npt.NDArray[np.int64]
    esky: Floats
    fluxcalib: Floats
    corr: Floats
    add: Floats
    flux: Floats
    ivar: Floats
    sky: Floats


def write_camera(directory: Path, plate: Plate, camera: Camera) -> list[str]:
    """Write spFrame, spCFrame, spFlat, spFluxcalib and spFluxcorr; return their names."""
    from astropy.io import fits

    c = camera
    number = plate.exposures.index(c.exposure)
    start = 86400.0 * plate.mjd + _START + 1000.0 * number
    cards = [
        *plate.cards(), ("FLAVOR", "science"), ("CAMERAS", c.name), ("EXPOSURE", int(c.exposure)),
        ("EXPTIME", 900.0), ("AIRMASS", 1.1), ("TAI-BEG", start), ("TAI-END", start + 900.0),
        *((f"RDNOISE{q}", noise) for q, noise in enumerate(c.read_noise)),
        ("XSIGMA", float(c.sigma[:, 0].mean())), ("FLATFILE", f"sdR-{c.name}-{plate.flat}.fit"),
    ]  # fmt: skip
    plugmap = _plugmap(c.fibers)
    image = fits.ImageHDU
    rows = c.eflux.shape[1]
    width = np.full((len(c.fibers), 4), 0.0)
    width[:, 0] = 1.1
    frame = (
        _primary(c.eflux, cards), image(_f4(c.eivar)), image(c.mask.astype(np.int32)),
        _traces(c.wave, rows, c.jump), _traces(width, rows), plugmap, image(_f4(c.esky)),
        image(_f4(c.x)), image(_f4(c.superflat)),
    )  # fmt: skip
    loglam = np.empty((len(c.fibers), PADDED))
    loglam[:, :rows] = c.loglam
    last = c.loglam[:, -1:] - c.loglam[:, -2:-1]
    loglam[:, rows:] = c.loglam[:, -1:] + last * np.arange(1, PADDED - rows + 1)
    named: list[tuple[str, Any]] = [
        ("IVAR", _padded(c.ivar)), ("MASK", _padded(c.mask).astype(np.int32)),
        ("WAVELENGTH", loglam), ("WAVEDISP", _padded(np.full(c.flux.shape, 1.0))),
    ]  # fmt: skip
    cframe = (
        _primary(_padded(c.flux), [*cards, ("BUNIT", "1E-17 erg/cm^2/s/Ang")]),
        *(image(values, name=name) for name, values in named),
        _plugmap(c.fibers, "PLUGMAP"), image(_padded(c.sky), name="SKY"),
        image(_padded(c.x), name="X"), image(_padded(c.superflat), name="SUPERFLAT"),
    )  # fmt: skip
    about = [*plate.cards(), ("FLAVOR", "flat"), ("CAMERAS", c.name), ("EXPOSURE", int(plate.flat))]
    flat = (
        _primary(c.fiberflat, about), _traces(width, rows),
        image(np.zeros(len(c.fibers), np.int32)), _traces(c.sigma, rows),
    )  # fmt: skip
    ends = [("WAVEMIN", float(10 ** c.loglam.min())), ("WAVEMAX", float(10 ** c.loglam.max()))]
    made = {
        f"spFrame-{c.name}-{c.exposure}.fits.gz": frame,
        f"spCFrame-{c.name}-{c.exposure}.fits": cframe,
        f"spFluxcalib-{c.name}-{c.exposure}.fits.gz": (_primary(c.fluxcalib, ends),),
        f"spFluxcorr-{c.name}-{c.exposure}.fits.gz": (
            _primary(_padded(c.corr, 1.0), []), image(_padded(c.add)),
        ),
    }  # fmt: skip
    if number == 0:
        made[f"spFlat-{c.name}-{plate.flat}.fits.gz"] = flat
    for name, hdus in made.items():
        _write(directory / name, hdus)
    return list(made)


def write_plate(
    directory: Path, plate: Plate, true: Floats, flux: Floats, ivar: Floats, distort: Floats
) -> list[str]:
    """Write spPlate, spFluxdistort, spAll, platelist and spec files; return their names."""
    from astropy.io import fits

    cards = [
        *plate.cards(), ("MJDLIST", str(plate.mjd)), ("EXPTIME", 900.0 * len(plate.exposures)),
        ("COEFF0", COEFF0), ("COEFF1", 1e-4), ("CRVAL1", COEFF0), ("CD1_1", 1e-4), ("CRPIX1", 1),
    ]  # fmt: skip
    names = [f"{camera}-{e}" for camera in plate.cameras for e in plate.exposures]
    arc = f"{int(plate.flat) - 1:08d}"
    identities = [
        (f"EXPID{number:02d}", f"{name}-{plate.flat}-{arc}") for number, name in enumerate(names, 1)
    ]
    zeros, ones = np.zeros(flux.shape), np.ones(flux.shape)
    image = fits.ImageHDU
    lost = np.where(ivar > 0, 0, 1 << 18).astype(np.int32)
    spplate = (
        _primary(flux, [*cards, *identities, ("NEXP", len(names))]), image(_f4(ivar), name="IVAR"),
        image(lost, name="ANDMASK"), image(lost, name="ORMASK"), image(_f4(ones), name="WAVEDISP"),
        _plugmap(plate.fibers, "PLUGMAP"), image(_f4(zeros), name="SKY"),
    )  # fmt: skip
    stem = f"{plate.plate:04d}-{plate.mjd}"
    survey = fits.PrimaryHDU()
    made = {
        f"spPlate-{stem}.fits": spplate,
        f"spFluxdistort-{stem}.fits": (_primary(distort, cards),),
        f"spAll-{plate.run2d}.fits": (survey, _survey(plate, plate.fibers)),
    }
    loglam = (COEFF0 + 1e-4 * np.arange(flux.shape[1])).astype(np.float32)
    for row, fiber in enumerate(plate.fibers[: plate.spec]):
        values = {
            "FLUX": _f4(flux[row]), "LOGLAM": loglam, "IVAR": _f4(ivar[row]),
            "AND_MASK": lost[row], "OR_MASK": lost[row], "WDISP": _f4(ones[row]),
            "SKY": _f4(zeros[row]), "MODEL": _f4(true[row]),
        }  # fmt: skip
        columns = [
            fits.Column(name, "J" if part.dtype.kind == "i" else "E", array=part)
            for name, part in values.items()
        ]
        own = [("PLUG_RA", fiber.ra), ("PLUG_DEC", fiber.dec), ("FIBERID", fiber.number)]
        made[f"spec-{stem}-{fiber.number:04d}.fits"] = (
            _primary(None, [*cards, *own, ("NEXP", 0)]),
            fits.BinTableHDU.from_columns(columns), _survey(plate, [fiber]),
        )  # fmt: skip
    for name, hdus in made.items():
        _write(directory / name, hdus)
    return list(made)


def _f4(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)


def _padded(values: npt.NDArray[Any], blank: float = 0.0) -> npt.NDArray[np.float32]:
    more = PADDED - values.shape[1]
    return _f4(np.pad(values, ((0, 0), (0, more)), constant_values=blank))


def _primary(values: npt.NDArray[Any] | None, cards: Sequence[tuple[str, Any]]) -> Any:
    from astropy.io import fits

    hdu = fits.PrimaryHDU(None if values is None else _f4(values))
    for name, value in cards:
        hdu.header[name] = value
    return hdu


def _traces(coefficients: Floats, rows: int, jump: tuple[float, float, float] | None = None) -> Any:
    from astropy.io import fits

    count, terms = coefficients.shape
    columns = [
        fits.Column("FUNC", "8A", array=["legendre"]), fits.Column("XMIN", "D", array=[0.0]),
        fits.Column("XMAX", "D", array=[rows - 1.0]),
        fits.Column(
            "COEFF", f"{count * terms}D", dim=f"({terms},{count})", array=coefficients[None]
        ),
    ]  # fmt: skip
    for name, value in zip(("XJUMPLO", "XJUMPHI", "XJUMPVAL"), jump or (), strict=False):
        columns.append(fits.Column(name, "E", array=[value]))
    return fits.BinTableHDU.from_columns(columns)


def _plugmap(fibers: Sequence[Fiber], name: str = "") -> Any:
    from astropy.io import fits

    values: list[tuple[str, str, list[Any]]] = [
        ("FIBERID", "J", [f.number for f in fibers]),
        ("SPECTROGRAPHID", "J", [int(f.spectrograph) for f in fibers]),
        ("OBJTYPE", "16A", [f.objtype for f in fibers]),
        ("RA", "D", [f.ra for f in fibers]), ("DEC", "D", [f.dec for f in fibers]),
    ]  # fmt: skip
    columns = [fits.Column(n, form, array=part) for n, form, part in values]
    return fits.BinTableHDU.from_columns(columns, name=name or None)


def _survey(plate: Plate, fibers: Sequence[Fiber]) -> Any:
    from astropy.io import fits

    count = len(fibers)
    values: list[tuple[str, str, list[Any]]] = [
        ("PLATE", "J", [plate.plate] * count), ("MJD", "J", [plate.mjd] * count),
        ("FIBERID", "J", [f.number for f in fibers]), ("RUN2D", "7A", [plate.run2d] * count),
        ("OBJTYPE", "16A", [f.objtype for f in fibers]), ("PLUG_RA", "D", [f.ra for f in fibers]),
        ("PLUG_DEC", "D", [f.dec for f in fibers]), ("CLASS", "7A", [f.kind for f in fibers]),
        ("Z", "E", [f.z for f in fibers]), ("Z_ERR", "E", [1e-4] * count),
        ("ZWARNING", "J", [0] * count), ("BOSS_TARGET1", "K", [0] * count),
        ("PLATEQUALITY", "8A", ["good"] * count),
    ]  # fmt: skip
    columns = [fits.Column(n, form, array=part) for n, form, part in values]
    return fits.BinTableHDU.from_columns(columns)


def _write(path: Path, hdus: Sequence[Any]) -> None:
    import gzip
    import io

    from astropy.io import fits

    buffer = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(buffer)
    data = buffer.getvalue()
    # no time in the packed file: the same seed gives the same bytes
    path.write_bytes(gzip.compress(data, 1, mtime=0) if path.suffix == ".gz" else data)
