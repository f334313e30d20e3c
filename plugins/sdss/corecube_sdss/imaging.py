"""From a frame file and its companions to an image with errors, and back to counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.frames import Array, Bits, Factor, Image, NoiseCheck
from corecube.masks import MaskArray, valid, value
from corecube.provenance import Provenance
from corecube.shots import Context, ShotPlan, Source
from corecube.tan import outline
from corecube_sdss import companions, masks
from corecube_sdss.amplifiers import FIRST_COLUMNS, of_each
from corecube_sdss.astrom import row_times, wcs_cards
from corecube_sdss.catalogue import objects_of
from corecube_sdss.frames import NEW_ROWS, UNIT, FrameFile, read_frame
from corecube_sdss.noise import (
    NOT_MODELLED,
    RECIPE,
    Electronics,
    Floats,
    NoiseInputs,
    error_image,
    from_table,
)
from corecube_sdss.settings import SdssConfig
from corecube_sdss.sky import sky_image
from corecube_sdssfiles.maskbits import FPM, IMAGE_PLANES, core_planes

PULL_PERCENTILES = (15.87, 84.13)
"""Percentiles of a normal distribution at -1 and +1 sigma."""


def read_image(plan: ShotPlan, entry: str, config: SdssConfig, context: Context) -> Image:
    """Return the image of one filter, without its errors.

    Parameters
    ----------
    plan : ShotPlan
        Of an imaging field.
    entry : str
        u, g, r, i or z.
    config : SdssConfig
    context : Context

    Raises
    ------
    FileNotUnderstood
        If the frame or a companion is damaged or of another field.
    """
    source = _one(plan.entries[entry], "frame")
    if source is None:
        raise FileNotUnderstood(f"{plan.key}: no frame in filter {entry}; add the frame file")
    frame = read_frame(context.read(source), source.path)
    if (frame.identity.key, frame.identity.band) != (plan.key, entry):
        raise FileNotUnderstood(
            f"{source.path}: HDU 3 says {frame.identity.key} {frame.identity.band}, its name and "
            f"header {plan.key} {entry}; fetch the file again"
        )
    rows, columns = frame.image.shape
    electronics = _electronics(frame, plan, config, context)
    if config.amplifiers == "each":
        electronics = of_each(electronics, frame.identity, frame.origin[0], columns)
    bits = _bits(frame, plan.entries[entry], context)
    cards = wcs_cards(frame.header)
    notes = frame.notes + ((electronics.note,) if electronics.note else ())
    return Image(
        name=entry,
        flux=frame.image,
        unit=UNIT,
        mask=_mask(frame, bits, _last_field(frame, plan, context)),
        bits=bits,
        calibration=_calibration(frame, electronics)
        | _psf(frame, plan, context)
        | objects_of(plan, entry, context),
        header=frame.header.lines(),
        cards=cards,
        band=entry,
        footprint=outline(cards, (rows, columns)),
        times=row_times(frame.mjd, frame.origin[1], rows),
        provenance=Provenance(
            sources=tuple(PurePath(s.path).name for s in (*plan.entries[entry], *plan.companions)),
            steps=("flux as in the frame file: sky-subtracted, flat-fielded, in nanomaggies",),
            notes=notes,
        ),
    )


def with_errors(image: Image) -> Image:
    """Return an image with the errors of the noise model, from its own calibration arrays.

    Parameters
    ----------
    image : Image
        Its mask is written into.
    """
    inputs = noise_inputs(image.calibration)
    error, planes = error_image(image.flux, inputs)
    mask = image.mask if image.mask is not None else np.zeros(image.flux.shape, np.uint32)
    for stripe, part in planes:
        mask[stripe] |= part
    source = image.calibration["gain"].description
    pairs = [inputs.of_half(half) for half in inputs.halves()]
    gains, darks = (
        " and ".join(f"{value:g}" for value in part) for part in zip(*pairs, strict=True)
    )
    alike = len(pairs) == 1
    provenance = image.provenance.add(
        f"error by the noise model of the SDSS data model page 'frame', gain {gains} "
        f"electron / adu, dark variance {darks} adu2; {source}",
        not_modelled=NOT_MODELLED if alike else NOT_MODELLED[:-1],
    )
    # The formula of the recipe has one gain for an image: an error by amplifier is stored.
    recipe = RECIPE if alike else None
    return replace(image, error=error, mask=mask, provenance=provenance, recipe=recipe)


def noise_inputs(calibration: Mapping[str, Array]) -> NoiseInputs:
    """Return what the noise model needs from the calibration arrays of an image."""
    gain, dark = (_by_column(calibration[name].values) for name in ("gain", "dark_variance"))
    return NoiseInputs(
        flux_per_dn=calibration["flux_per_dn"].values,
        sky=calibration["sky"].values,
        sky_x=calibration["sky_x"].values,
        sky_y=calibration["sky_y"].values,
        gain=gain,
        dark_variance=dark,
    )


def _by_column(values: npt.NDArray[Any]) -> float | Floats:
    """Return the value of the chip, or of its two amplifiers as an array of columns."""
    if values.ndim == 0:
        return float(values)
    return np.repeat(values.astype(np.float64), FIRST_COLUMNS)


def factors(image: Image) -> Sequence[Factor]:
    """Return the steps from electrons to nanomaggies: divide gain, subtract sky, multiply flux.

    Parameters
    ----------
    image : Image
        With its calibration arrays; float64 values, made anew.
    """
    inputs = noise_inputs(image.calibration)
    gain = np.array(inputs.gain) if isinstance(inputs.gain, float) else inputs.gain[None, :]
    described = {name: array.description for name, array in image.calibration.items()}
    return (
        Factor("gain", "divide", gain, "electron / adu", described["gain"]),
        Factor(
            "sky",
            "add",
            -sky_image(inputs.sky, inputs.sky_x, inputs.sky_y),
            "adu",
            described["sky"],
        ),
        Factor(
            "flux_per_dn",
            "multiply",
            inputs.flux_per_dn.astype(np.float64)[None, :],
            "nanomaggy / adu",
            described["flux_per_dn"],
        ),
    )


def check_noise(image: Image) -> NoiseCheck | None:
    """Compare the quoted errors with the scatter between neighbouring columns.

    The differences of flux / error along x have a width of sqrt(2) where errors are right; what
    is smooth on the sky drops out. No line is fitted: the quoted variance is made from the same
    noisy pixels, which bends any such line.

    Parameters
    ----------
    image : Image
        With errors.

    Returns
    -------
    NoiseCheck or None
        None if fewer than 100 pairs are valid.
    """
    if image.error is None or image.mask is None:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        pulls = image.flux / image.error
        differences = pulls[:, 1:] - pulls[:, :-1]
    good = valid(image.mask) & np.isfinite(pulls)
    differences = differences[good[:, 1:] & good[:, :-1]]
    if differences.size < 100:
        return None
    low, high = np.percentile(differences, PULL_PERCENTILES)
    return NoiseCheck(
        name=image.name,
        pixels=int(differences.size),
        width=float((high - low) / 2.0 / np.sqrt(2.0)),
        recipe="half the distance between the 15.87 and 84.13 percentiles of the differences of "
        "flux / error of neighbouring columns, over sqrt(2); 1 is expected",
        pulls=differences / np.float32(np.sqrt(2.0)),
    )


def _one(sources: Sequence[Source], kind: str) -> Source | None:
    return next((source for source in sources if source.kind == kind), None)


def _electronics(
    frame: FrameFile, plan: ShotPlan, config: SdssConfig, context: Context
) -> Electronics:
    """Return gain and dark variance: companion psField, else photoField, else the table."""
    if config.gain == "companion":
        source = _one(plan.companions, "psField")
        if source is not None:
            return companions.psfield_electronics(context.read(source), frame.identity, source.path)
        source = _one(plan.companions, "photoField")
        if source is not None:
            found = companions.photofield_electronics(
                context.read(source), frame.identity, source.path
            )
            if found is not None:
                return found
    return from_table(frame.identity)


def _psf(frame: FrameFile, plan: ShotPlan, context: Context) -> dict[str, Array]:
    source = _one(plan.companions, "psField")
    if source is None:
        return {}
    return companions.psfield_psf(context.read(source), frame.identity, source.path)


def _last_field(frame: FrameFile, plan: ShotPlan, context: Context) -> bool:
    """Tell whether no field follows this one in its run, as far as the companions know."""
    source = _one(plan.companions, "photoField")
    if source is None:
        return False
    last = companions.last_field(context.read(source), frame.identity, source.path)
    return last == frame.identity.field


def _bits(frame: FrameFile, sources: Sequence[Source], context: Context) -> dict[str, Bits]:
    source = _one(sources, "fpM")
    if source is None:
        return {}
    rows, columns = frame.image.shape
    values = masks.read_fpm(
        context.read(source), frame.identity, (rows, columns), frame.origin, source.path
    )
    return {"fpM": Bits(values, FPM)}


def _mask(frame: FrameFile, bits: Mapping[str, Bits], last_field: bool) -> MaskArray:
    if "fpM" in bits:
        mask = core_planes(bits["fpM"].values, FPM, IMAGE_PLANES)
    else:
        mask = np.zeros(frame.image.shape, np.uint32)
    if not last_field:
        # The rows that the next field has too, from the same exposure.
        mask[max(0, NEW_ROWS - frame.origin[1]) :] |= np.uint32(value("not_primary"))
    return mask


def _calibration(frame: FrameFile, electronics: Electronics) -> dict[str, Array]:
    where = {
        "psField": "from the field's psField file",
        "photoField": "from the run's photoField file",
        "table": "from the table of the data model page 'frame'",
    }[electronics.source]

    axes: tuple[str, ...] = ()
    gain, dark = np.array(electronics.gain), np.array(electronics.dark_variance)
    if electronics.each:
        axes = ("amplifier",)
        gain, dark = np.array(electronics.each).T.copy()
        where = (
            "of the amplifiers of columns 0 to 1023 and 1024 to 2047, from the electronics file of "
            f"MJD 51371, whose mean is that {where}"
        )

    return {
        "flux_per_dn": Array(
            frame.flux_per_dn,
            "nanomaggy / adu",
            ("x",),
            "Flux per DN of each column, flat field included (HDU 1).",
        ),
        "sky": Array(
            frame.sky, "adu", ("sky_y", "sky_x"), "Sky level that was subtracted (HDU 2)."
        ),
        "sky_x": Array(frame.sky_x, "pix", ("x",), "Place of each column in the sky grid (HDU 2)."),
        "sky_y": Array(frame.sky_y, "pix", ("y",), "Place of each row in the sky grid (HDU 2)."),
        "gain": Array(gain, "electron / adu", axes, f"Gain, {where}."),
        "dark_variance": Array(dark, "adu2", axes, f"Dark variance, {where}."),
        "astrans": Array(
            frame.astrans.values(),
            "",
            ("term",),
            "Terms of the astrometric transformation: NODE INCL A B C D E F DROW0-3 DCOL0-3 "
            "CSROW CSCOL CCROW CCCOL RICUT (HDU 3).",
        ),
        "origin": Array(
            np.array(frame.origin, dtype=np.int32),
            "pix",
            ("axis",),
            "Column and row of the field that the first pixel is.",
        ),
    }
