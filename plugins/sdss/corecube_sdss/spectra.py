"""From a spec file to fibres: the coadd, and a child group for each exposure of each camera."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.frames import Array, Bits, Column, Factor, Fibers, NoiseCheck
from corecube.masks import valid
from corecube.provenance import Provenance
from corecube.shots import Context, ShotPlan
from corecube.times import Times
from corecube.units import FLUX_DENSITY
from corecube_sdss.settings import SdssConfig
from corecube_sdssfiles.spec import CALIB_UNIT, Exposure, SpecFile, Spectrum
from corecube_sdssfiles.summary import columns_of

COADD: Final = "coadd"

EXPOSURE_COLUMNS: Final = (
    Column("exptime", "float32", "s", "Exposure time."),
    Column("airmass", "float32", "", "Airmass."),
    Column("reversed", "bool", "", "The file has the pixels from red to blue."),
)

_NOT_MODELLED: Final = (
    "correlation of neighbouring pixels by the resampling onto the common grid",
    "error of the flux calibration",
)
EXTRA_ERROR: Final = 0.03
"""Part of an object's counts that the pipeline adds to its error before the calibration.

Source: idlspec2d, spframe_read, argument adderr as set by spcombine_v5.
"""
_EDGE_ROWS: Final = 100
"""First rows of an exposure in the file: in SDSS-I/II the pipeline tapers their weights."""


def read_fibers(
    plan: ShotPlan, entry: str, config: SdssConfig, context: Context
) -> Iterator[Fibers]:
    """Yield the coadd of one fibre, then its exposures.

    Parameters
    ----------
    plan : ShotPlan
        Of a plate.
    entry : str
        The fibre, four digits.
    config : SdssConfig
    context : Context

    Raises
    ------
    FileNotUnderstood
        If the file is damaged or of another fibre.
    """
    source = plan.entries[entry][0]
    file = SpecFile(context.read(source), source.path)
    name = file.spec_name
    if (name.key, name.entry) != (plan.key, entry):
        raise FileNotUnderstood(
            f"{source.path}: this is fibre {name.entry} of {name.key}, not {entry} of {plan.key}"
        )
    ra, dec = (_position(file, card) for card in ("PLUG_RA", "PLUG_DEC"))
    base: dict[str, Any] = {
        "id": (entry,),
        "ra": ra,
        "dec": dec,
        "unit": FLUX_DENSITY,
    }
    coadd = file.coadd()
    yield Fibers(
        name=COADD,
        **_arrays(coadd),
        **base,
        columns=columns_of(file),
        header=file.header.lines(),
        times=file.times(),
        provenance=Provenance(
            sources=(PurePath(source.path).name,),
            steps=("flux, inverse variance and masks as in HDU 1 of the spec file",),
            not_modelled=_NOT_MODELLED,
            notes=coadd.notes,
        ),
    )
    for exposure in file.exposures if config.exposures else ():
        yield _exposure(file, exposure, base, PurePath(source.path).name)


def _exposure(file: SpecFile, exposure: Exposure, base: dict[str, Any], source: str) -> Fibers:
    spectrum = file.exposure(exposure)
    header = file.fits.header(exposure.hdu)
    values = (header.get("EXPTIME"), header.get("AIRMASS"), spectrum.reversed)
    known = np.isfinite(exposure.start) and np.isfinite(exposure.end)
    return Fibers(
        name=exposure.name,
        **_arrays(spectrum),
        **base,
        columns={
            column: np.array([np.nan if number is None else number], dtype=column.dtype)
            for column, number in zip(EXPOSURE_COLUMNS, values, strict=True)
        },
        parent=COADD,
        parent_id=base["id"],
        header=header.lines(),
        times=Times(
            np.array([exposure.start]),
            np.array([exposure.end]),
            "exact" if known else "unknown",
        ),
        provenance=Provenance(
            sources=(source,),
            steps=(
                f"flux, inverse variance and mask as in HDU {exposure.hdu} of the spec file",
                *(("pixels reversed, so that wavelengths rise",) if spectrum.reversed else ()),
            ),
            not_modelled=_NOT_MODELLED[1:],
            notes=spectrum.notes,
        ),
    )


def factors(fibers: Fibers) -> Sequence[Factor]:
    """Return the step from electrons to flux of an exposure; a coadd has none.

    Parameters
    ----------
    fibers : Fibers
    """
    calib = fibers.layers.get("calib")
    if not fibers.parent or calib is None:
        return ()
    values = calib.values.astype(np.float64)
    return (Factor("calib", "multiply", values, CALIB_UNIT, "column calib of the spec file"),)


def check_noise(fibers: Fibers) -> NoiseCheck | None:
    """Compare the quoted errors with the spectra themselves.

    A coadd is compared with the pipeline's best model; the model's own misfit counts too. For an
    exposure the scatter of neighbouring pixels is taken, and the variance in electrons is fitted
    as a line in the counts: its slope should be a little above 1 and its floor the read noise of
    the pixels that were added up.

    Parameters
    ----------
    fibers : Fibers
        With errors.

    Returns
    -------
    NoiseCheck or None
        None if fewer than 100 pixels are valid.
    """
    if fibers.error is None or fibers.mask is None:
        return None
    good = valid(fibers.mask) & np.isfinite(fibers.error) & np.isfinite(fibers.flux)
    flux, error = fibers.flux.astype(np.float64), fibers.error.astype(np.float64)
    if fibers.parent:
        pulls = flux / np.where(good, error, np.nan)
        both = good[:, 1:] & good[:, :-1]
        sample = (pulls[:, 1:] - pulls[:, :-1])[both] / np.sqrt(2.0)
        recipe = (
            "half width of the differences of flux / error of neighbouring pixels over sqrt(2); "
            "line: variance in electrons against counts with sky, outliers rejected"
        )
    elif "model" in fibers.layers:
        model = fibers.layers["model"].values.astype(np.float64)
        good &= model != 0
        sample = ((flux - model)[good]) / error[good]
        recipe = "half width of (flux - model) / error; what the model misses counts too"
    else:
        return None
    if sample.size < 100:
        return None
    low, high = np.percentile(sample, (15.87, 84.13))
    slope, floor = _line(fibers, good) if fibers.parent else (np.nan, np.nan)
    return NoiseCheck(
        name=fibers.name,
        pixels=int(sample.size),
        width=float(high - low) / 2.0,
        slope=slope,
        floor=floor,
        recipe=recipe,
    )


def _line(fibers: Fibers, good: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Fit the variance in electrons as a line in the counts, float64; NaN where it cannot be."""
    if not {"calib", "sky"} <= fibers.layers.keys() or fibers.error is None:
        return np.nan, np.nan
    calib = fibers.layers["calib"].values.astype(np.float64)
    sky = fibers.layers["sky"].values.astype(np.float64)
    clean = fibers.bits["mask"].values == 0 if "mask" in fibers.bits else good
    with np.errstate(divide="ignore", invalid="ignore"):
        electrons = fibers.flux / calib
        counts = (fibers.flux + sky) / calib
        variance = (fibers.error / calib) ** 2 - (EXTRA_ERROR * np.maximum(electrons, 0)) ** 2
    used = good & clean & (calib > 0) & np.isfinite(counts) & (counts > 0)
    used &= _behind_the_edge(fibers)
    counts, variance = counts[used], variance[used]
    if counts.size < 100:
        return np.nan, np.nan
    weight = 1.0 / np.maximum(variance, 1.0)
    kept = np.ones(counts.shape, bool)
    slope, floor = np.nan, np.nan
    for _ in range(10):
        design = np.stack([counts[kept], np.ones(kept.sum())], axis=1) * weight[kept, None]
        slope, floor = np.linalg.lstsq(design, variance[kept] * weight[kept], rcond=None)[0]
        residual = (variance - slope * counts - floor) * weight
        centre = np.median(residual[kept])
        spread = 1.4826 * np.median(np.abs(residual[kept] - centre))
        again = np.abs(residual - centre) < 5.0 * spread
        if again.sum() < 100 or np.array_equal(again, kept):
            break
        kept = again
    return float(slope), float(floor)


def _behind_the_edge(fibers: Fibers) -> npt.NDArray[np.bool_]:
    """Tell which pixels lie behind the first rows of the file."""
    measured = np.isfinite(fibers.flux)
    rank = np.cumsum(measured, axis=1) - 1
    turned = next(
        (np.asarray(v) for c, v in fibers.columns.items() if c.name == "reversed"),
        np.zeros(len(rank), bool),
    )
    from_other_end = rank[:, -1:] - rank
    behind: npt.NDArray[np.bool_] = (
        np.where(turned[:, None], from_other_end, rank) > _EDGE_ROWS
    ) & measured
    return behind


def _position(file: SpecFile, name: str) -> npt.NDArray[np.float64]:
    """Return the fibre's position; the cards RA and DEC are the centre of the plate."""
    number = file.header.get(name)
    if number is None and name in file.summary:
        number = float(file.summary.column(name)[0])
    good = isinstance(number, int | float) and np.isfinite(number)
    return np.array([number if good else np.nan], dtype=np.float64)


def _arrays(spectrum: Spectrum) -> dict[str, Any]:
    """Return the arrays of one spectrum with an axis for its fibre."""
    wave = spectrum.wave
    if wave.values is not None:
        wave = replace(wave, values=wave.values[None, :])
    return {
        "wave": wave,
        "flux": spectrum.flux[None, :],
        "error": spectrum.error[None, :],
        "mask": spectrum.mask[None, :],
        "bits": {name: Bits(b.values[None, :], b.planes) for name, b in spectrum.bits.items()},
        "layers": {
            name: Array(a.values[None, :], a.unit, ("fiber", "wave"), a.description)
            for name, a in spectrum.layers.items()
        },
    }


def grid_of(counts: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return first and last index that cover all of (first, count)."""
    return min(first for first, _ in counts), max(first + count for first, count in counts) - 1
