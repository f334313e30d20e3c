"""Raw amplifiers: overscan, trimming, orientation, gain.

The detector is read by two amplifiers from its ends; after LU and RL are turned by 180 degrees blue
is left, red right, and the fibres' order rises. Some have their columns reversed (AMPNAME LR, UL).

Sources: grzeimann/Panacea, ccd.py; grzeimann/Remedy, fiber_utils.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.fits import Fits, Header
from corecube.frames import Array, Factor, Frame, Image
from corecube.masks import value
from corecube.provenance import Provenance
from corecube.shots import Context, FileHead, FileInfo, ShotPlan
from corecube_hetdex.names import AMPS, three_digits
from corecube_hetdex.times import number, times_of

ADU: Final = "adu"
ELECTRONS: Final = "electron"
GAIN: Final = 0.85
"""Electrons per ADU where the header has none."""
READ_NOISE: Final = 3.0
"""Electrons where the header has none."""
FULL: Final = 65535
"""The largest value that the converter gives."""
DEAD: Final = 0.5
"""Part of saturated pixels from which on an amplifier is dead."""
_CLIP: Final = 3.0
"""Standard deviations at which values of the overscan are left out."""

_SECTION: Final = re.compile(r"\[(\d+):(\d+),(\d+):(\d+)\]")


def looks_like_raw(header: Header) -> bool:
    """Tell by a header whether this is a raw amplifier."""
    return header.get("NAXIS") == 2 and header.get("BITPIX") == 16 and "BIASSEC" in header


def identify(file: FileHead, header: Header) -> FileInfo:
    """Say what a raw amplifier belongs to: its night and slot.

    Raises
    ------
    FileNotUnderstood
        If the header does not tell amplifier or time.
    """
    slot = three_digits(header.get("IFUSLOT", ""))
    amp = str(header.get("CCDPOS", "")).strip() + str(header.get("CCDHALF", "")).strip()
    date = str(header.get("DATE-OBS", ""))[:10].replace("-", "")
    clock = re.fullmatch(r"(\d\d):(\d\d):(\d\d)(?:\.(\d)\d*)?", str(header.get("UT", "")).strip())
    kind = str(header.get("IMAGETYP", "")).strip()
    if not slot or amp not in AMPS or not date.isdecimal() or clock is None or not kind.isalnum():
        raise FileNotUnderstood(
            f"{file.source.path}: a raw amplifier whose header does not tell slot, amplifier "
            "(CCDPOS, CCDHALF), time (DATE-OBS, UT) or type (IMAGETYP)"
        )
    entry = f"{date}T{clock[1]}{clock[2]}{clock[3]}.{clock[4] or 0}_{slot}{amp}_{kind}"
    return FileInfo(
        replace(file.source, kind="raw"), f"raw/{date}/{slot}", entry, facts={"type": kind}
    )


def read_raw(plan: ShotPlan, entry: str, context: Context) -> Iterator[Frame]:
    """Read a raw amplifier, trimmed and oriented, in ADU with its bias.

    Parameters
    ----------
    plan : ShotPlan
    entry : str
    context : Context

    Yields
    ------
    Image
        With ``bias``, ``gain`` and ``read_noise`` in its calibration.

    Raises
    ------
    FileNotUnderstood
        If a section lies outside of the image.
    """
    source = plan.entries[entry][0]
    with context.open(source) as file:
        fits = Fits(file.read(), source.path)
    header = fits.header(0)
    values = fits.image(0)
    trim = _section(header, "TRIMSEC", values.shape)
    overscan = values[_section(header, "BIASSEC", values.shape)]
    amp = str(header.get("CCDPOS", "")).strip() + str(header.get("CCDHALF", "")).strip()
    counts = oriented(values[trim], amp, str(header.get("AMPNAME", "")).strip())
    full = counts >= FULL
    mask = np.where(full, np.uint32(value("saturated")), np.uint32(0))
    notes: tuple[str, ...] = ()
    if full.mean() >= DEAD:
        mask |= np.uint32(value("bad_detector"))
        notes += (f"the amplifier is dead: {100 * full.mean():.0f} % of its pixels are saturated",)
    gain, noise = number(header.get("GAIN")), number(header.get("RDNOISE"))
    if not gain > 0:
        gain, notes = GAIN, (*notes, f"no gain in the header: {GAIN} electrons per ADU are taken")
    if not noise > 0:
        noise = READ_NOISE
        notes += (f"no read noise in the header: {READ_NOISE} electrons are taken",)
    yield Image(
        name=entry,
        flux=np.ascontiguousarray(counts, dtype=np.float32),
        mask=mask,
        unit=ADU,
        calibration={
            "bias": Array(np.array(clipped_mean(overscan)), ADU, (), "Mean of the overscan."),
            "gain": Array(np.array(gain), "electron / adu", (), "Electrons per ADU."),
            "read_noise": Array(np.array(noise), ELECTRONS, (), "Read noise, 1 sigma."),
        },
        header=header.lines(),
        times=times_of(header),
        target=str(header.get("OBJECT", "")).strip(),
        provenance=Provenance(
            sources=(source.path.rsplit("/", 1)[-1],),
            steps=(f"trimmed to {header.get('TRIMSEC')} and oriented as amplifier {amp}",),
            not_modelled=("noise of the overscan's mean", "noise of bias and dark current"),
            notes=notes,
        ),
    )


def oriented(values: npt.NDArray[Any], amp: str, name: str) -> npt.NDArray[Any]:
    """Return an amplifier with blue left and fibres in their order.

    Parameters
    ----------
    values : array (ny, nx)
    amp : str
        LL, LU, RL or RU, by CCDPOS and CCDHALF.
    name : str
        Card AMPNAME, which is another thing.
    """
    if amp in ("LU", "RL"):
        values = values[::-1, ::-1]
    return values[:, ::-1] if name in ("LR", "UL") else values


def clipped_mean(values: npt.NDArray[Any]) -> float:
    """Return the mean without outliers, float64; robust against cosmic rays."""
    sample = np.asarray(values, dtype=np.float64).ravel()
    for _ in range(10):
        centre = np.median(sample)
        spread = 1.4826 * np.median(np.abs(sample - centre))
        kept = sample[np.abs(sample - centre) <= max(_CLIP * spread, 1.0)]
        if len(kept) == len(sample):
            break
        sample = kept
    return float(sample.mean())


def calibrate(image: Image) -> Image | None:
    """Return a raw amplifier in electrons without bias; None for any other image."""
    if image.unit != ADU or "bias" not in image.calibration:
        return None
    bias, gain = (float(image.calibration[name].values) for name in ("bias", "gain"))
    flux = ((image.flux.astype(np.float64) - bias) * gain).astype(np.float32)
    return replace(
        image,
        flux=flux,
        unit=ELECTRONS,
        provenance=image.provenance.add("mean of the overscan subtracted, times gain"),
    )


def factors(image: Image) -> Sequence[Factor]:
    """Return bias and gain of a raw amplifier; nothing for any other image."""
    if "bias" not in image.calibration:
        return ()
    bias, gain = (image.calibration[name].values.astype(np.float64) for name in ("bias", "gain"))
    return (
        Factor("bias", "add", -bias, ADU, "mean of the overscan (BIASSEC)"),
        Factor("gain", "multiply", gain, "electron / adu", "card GAIN"),
    )


def with_errors(image: Image) -> Image | None:
    """Return a raw amplifier with its errors: read noise and Poisson noise of the electrons.

    ``error^2 = read_noise^2 + max(flux, 0)``, in electrons. None for any other image.
    """
    if "read_noise" not in image.calibration or image.unit != ELECTRONS:
        return None
    noise = float(image.calibration["read_noise"].values)
    error = np.sqrt(noise**2 + np.maximum(image.flux, 0.0), dtype=np.float32)
    step = "error: square root of read noise squared plus flux where it is positive"
    return replace(image, error=error, provenance=image.provenance.add(step))


def _section(header: Header, card: str, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return rows and columns of a section, which counts from 1 and names x first."""
    match = _SECTION.fullmatch(str(header.get(card, "")).replace(" ", ""))
    if match is None:
        raise FileNotUnderstood(f"{header.where}: card {card} is {header.get(card)!r}, no section")
    x1, x2, y1, y2 = (int(part) for part in match.groups())
    if not (1 <= x1 <= x2 <= shape[1] and 1 <= y1 <= y2 <= shape[0]):
        raise FileNotUnderstood(f"{header.where}: {card} lies outside of the image {shape}")
    return slice(y1 - 1, y2), slice(x1 - 1, x2)
