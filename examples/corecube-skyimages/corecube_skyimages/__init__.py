"""Plain sky images without errors: collapsed IFU images of VIRUS, and SWarp mosaics of SDSS frames.

Sources: Hill et al. 2021, AJ 162, 298 (VIRUS); Bertin 2002, ASP Conf. 281, 228 (SWarp, whose
headers name the frames that went in); SDSS data model, page "frame" (unit of the frames).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube import tan
from corecube.config import about
from corecube.errors import FileNotUnderstood
from corecube.frames import Column, Frame, Image
from corecube.hookspecs import API, Instrument, hookimpl
from corecube.provenance import Provenance
from corecube.shots import Context, FileHead, FileInfo, NotMine, ShotPlan, Source
from corecube.times import Times

COLLAPSED, MOSAIC = "collapsed", "mosaic"

_NAME = re.compile(r"CoFeS(\d{8})T(\d{6}\.\d)_(\d{3})_sci\.")
_FRAME = re.compile(r"frame-([ugriz])-\d{6}-\d-\d{4}\.fits")
_WCS = ("CTYPE1", "CTYPE2", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2",
        "CD1_1", "CD1_2", "CD2_1", "CD2_2")  # fmt: skip

_NOON = 19 / 24
"""Noon at McDonald Observatory (UTC - 7 h in winter time), days after midnight UTC."""

_MINUS_ONE_SIGMA = 15.87
"""Percentile of a normal distribution one sigma below its middle."""


@dataclass(frozen=True)
class SkyImagesConfig:
    """What the files do not say.

    Attributes
    ----------
    collapsed_unit, mosaic_unit : str
    """

    collapsed_unit: str = field(
        default="", metadata=about("unit of collapsed images; their headers have none")
    )
    mosaic_unit: str = field(
        default="nanomaggy", metadata=about("unit of mosaics; by default that of SDSS frames")
    )


@hookimpl
def corecube_instrument() -> Instrument:
    """Say what the instrument is."""
    return Instrument(
        title="Plain sky images: collapsed VIRUS IFU images and SWarp mosaics of SDSS frames",
        api=(API, API),
        data_version=1,
        config=SkyImagesConfig,
    )


@hookimpl
def corecube_archive_columns(config: SkyImagesConfig) -> Mapping[str, Sequence[Column]]:
    """Promise nothing: there are no fibres."""
    return {}


@hookimpl
def corecube_identify(file: FileHead, config: SkyImagesConfig) -> FileInfo | NotMine | None:
    """Know a collapsed image by what its header lacks, a mosaic by the program that made it."""
    if not file.head.startswith(b"SIMPLE  ="):
        return None
    cards = file.cards()
    if cards.get("NAXIS") != 2 or cards.get("BITPIX") != -32:
        return None
    if str(cards.get("SOFTNAME", "")).strip() == "SWarp":
        band = _FRAME.match(str(cards.get("FILE0001", "")))
        wcs = {name: value for name in _WCS if (value := cards.get(name)) is not None}
        if band is None:
            return NotMine("a mosaic by SWarp that is not of SDSS frames")
        if not _is_usable(wcs):
            return NotMine("a mosaic without a TAN projection")
        key = f"mosaic/{wcs['CRVAL1']:.4f}{wcs['CRVAL2']:+.4f}"
        return FileInfo(replace(file.source, kind=MOSAIC), key, band[1])
    if "CRPIX1" not in cards or "CTYPE1" in cards or "BUNIT" in cards:
        return None
    # the header has neither time nor slot: only the name has
    name = _NAME.match(file.name)
    if name is None:
        return NotMine("a bare image whose name does not tell time and slot, as CoFeS files do")
    day, time, slot = name.groups()
    return FileInfo(replace(file.source, kind=COLLAPSED), f"{day}/{slot}", time)


def _is_usable(wcs: Mapping[str, Any]) -> bool:
    """Say whether these cards are a TAN projection at a place on the sky."""
    numbers = [wcs.get(name) for name in _WCS[2:]]
    return (
        all(isinstance(number, int | float) for number in numbers)
        and 0 <= wcs["CRVAL1"] < 360
        and tan.is_plain(wcs)
    )


@hookimpl
def corecube_read_frames(
    plan: ShotPlan, entry: str, config: SkyImagesConfig, context: Context
) -> Iterator[Frame]:
    """Read the one image of a file."""
    (source,) = plan.entries[entry]
    flux, header = _content(source, context)
    name = source.path.rsplit("/", 1)[-1]
    if source.kind == MOSAIC:
        cards = {card: header[card] for card in _WCS}
        yield Image(
            name=entry,
            flux=flux,
            unit=config.mosaic_unit,
            cards=cards,
            footprint=tan.outline(cards, (flux.shape[0], flux.shape[1])),
            band=entry,
            target=str(header.get("OBJECT", "")).strip(),
            header=header.tostring(sep="\n"),
            provenance=Provenance(
                sources=(name,),
                notes=("the unit is not in the file; that of the SDSS frames it was made of",),
            ),
        )
    else:
        yield Image(
            name=entry,
            flux=flux,
            unit=config.collapsed_unit,
            header=header.tostring(sep="\n"),
            times=_night(f"{plan.key[:8]}T{entry}"),
            provenance=Provenance(
                sources=(name,),
                notes=("neither unit nor pointing is in the file; only the night is known",),
            ),
        )


def _content(source: Source, context: Context) -> tuple[npt.NDArray[np.float32], Any]:
    """Return the pixels, (ny, nx), and the header."""
    from astropy.io import fits

    try:
        with context.open(source) as file, fits.open(file, memmap=False) as hdus:
            header = hdus[0].header
            flux = np.array(hdus[0].data, dtype=np.float32)  # native byte order
            if flux.ndim != 2:
                raise ValueError(f"the image has {flux.ndim} axes")
            header.tostring()  # damaged cards are found when they are written
            return flux, header
    except OSError as error:
        if error.errno is not None:  # the disk, not the file
            raise
        raise _damaged(source, error) from error
    except FileNotUnderstood:
        raise
    except Exception as error:  # astropy raises what it meets in damaged files
        raise _damaged(source, error) from error


def _damaged(source: Source, error: Exception) -> FileNotUnderstood:
    text = " ".join(str(error).split())
    return FileNotUnderstood(f"{source.path}: is damaged ({text}); fetch the file again")


def _night(start: str) -> Times:
    """Return noon before and after a moment (UTC), MJD TAI: the end of exposures is not known."""
    from astropy.time import Time

    date = f"{start[:4]}-{start[4:6]}-{start[6:8]}T{start[9:11]}:{start[11:13]}:{start[13:]}"
    moment = float(Time(date, scale="utc").tai.mjd)
    noon = np.floor(moment - _NOON) + _NOON
    return Times(noon, noon + 1.0, "night")


@hookimpl
def corecube_estimate_noise(frame: Frame, config: SkyImagesConfig) -> Frame | None:
    """Give all pixels of an image one error: how far its sky scatters below its median."""
    values = frame.flux[np.isfinite(frame.flux)]
    if not values.size:
        return None
    low, middle = np.percentile(values, (_MINUS_ONE_SIGMA, 50.0))
    error = np.full_like(frame.flux, middle - low)
    return replace(
        frame,
        error=error,
        provenance=frame.provenance.add(
            f"error estimated: one value for the image, the distance of {middle - low:.3g} from "
            f"the median of all pixels down to their {_MINUS_ONE_SIGMA} percentile",
            not_modelled=(
                "photon noise of sources, which makes the error too small on them",
                "faint sources everywhere, which make the scatter of the sky too large",
                "correlation of neighbouring pixels by resampling",
            ),
        ),
    )
