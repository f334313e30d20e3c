"""What only this instrument knows of a shot, an image or a fibre."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from corecube.figures import Figures, Panel, Series, Subject
from corecube.frames import Array, Fibers, Image
from corecube.masks import valid
from corecube.shots import Shot
from corecube_hetdex import quality
from corecube_hetdex.frames import GROUP, NATIVE
from corecube_hetdex.names import AMPS

_OFFSETS: Final = ("x_arcsec", "y_arcsec", "x_rms_arcsec", "y_rms_arcsec", "stars")


def report(shot: Shot, subject: Subject) -> Figures | None:
    """Report a shot, an image or a fibre from the stored frames alone.

    Parameters
    ----------
    shot : Shot
    subject : Subject

    Returns
    -------
    Figures or None
        None where there is nothing beside what the core reports.
    """
    if subject.kind == "shot":
        return _shot(shot) if GROUP in shot.groups and shot.row_count(GROUP) else None
    if subject.kind == "image":
        return _image(shot.frame(subject.name))
    if subject.name in (GROUP, NATIVE):
        return _fiber(shot, subject.row)
    return None


# -- a shot ------------------------------------------------------------------------------------


def _shot(shot: Shot) -> Figures:
    parts: dict[str, list[Any]] = {
        name: [] for name in ("expnum", "multiframe", "fpx", "fpy", "table_offset")
    }
    empty: list[Any] = []
    bits: dict[str, int] = {}
    kept: dict[str, Array] = {}
    for block in shot.blocks(GROUP, 112):
        named = {column.name: values for column, values in block.columns.items()}
        for name, values in parts.items():
            values.append(np.asarray(named[name]))
        empty.append(~np.isfinite(block.flux).any(axis=1))
        for name, count in _counted(block).items():
            bits[name] = bits.get(name, 0) + count
        kept = dict(block.calibration) or kept
    columns = {name: np.concatenate(values) for name, values in parts.items()}
    lost = np.concatenate(empty)
    first = {c.name: v for c, v in shot.rows(GROUP, 0, 1).columns.items()}
    numbers: dict[str, Any] = {
        "shotid": int(first["shotid"][0]),
        "object": str(first["object"][0]),
        "field": str(first["field"][0]),
        "fibres": len(lost),
        "fibres without data": int(np.count_nonzero(lost)),
        "amplifiers": _amplifiers(columns),
        "fwhm_arcsec": _number(first["fwhm"][0]),
        "throughput at 4540 Angstrom": _number(first["response_4540"][0]),
        "relative flux": _list(kept.get("relflux")),
        "positions": _agreement(columns["table_offset"]),
        "pixels by bit": bits,
    }
    if "dithers" in kept:
        numbers["measured dithers_arcsec"] = kept["dithers"].values.tolist()
    if "offsets" in kept:
        numbers["offsets of the astrometry"] = [
            {name: _number(value) for name, value in zip(_OFFSETS, row, strict=True)}
            for row in kept["offsets"].values
        ]
    panels = [_focal_plane(columns, lost)]
    if "throughput" in kept:
        panels.append(_throughput(kept["throughput"]))
    return Figures(numbers, tuple(panels))


def _counted(block: Fibers) -> dict[str, int]:
    flags = block.bits["dq"].values
    seen = int(np.bitwise_or.reduce(flags, axis=None)) if flags.size else 0
    return {
        name: int(np.count_nonzero(flags & np.uint16(1 << bit)))
        for bit, name in enumerate(quality.NAMES) if seen >> bit & 1
    }  # fmt: skip


def _amplifiers(columns: dict[str, Any]) -> dict[str, Any]:
    """Return how many amplifiers there are in each exposure, and which are missing.

    An IFU that is there at all should have four amplifiers in each exposure of the shot.
    """
    pairs = set(zip(columns["expnum"].tolist(), columns["multiframe"].tolist(), strict=True))
    exposures = sorted({exposure for exposure, _ in pairs})
    bundles = sorted({str(name)[:17] for _, name in pairs})
    missing = [
        f"exp{exposure:02d}_{bundle}_{amp}"
        for exposure in exposures for bundle in bundles for amp in AMPS
        if (exposure, f"{bundle}_{amp}") not in pairs
    ]  # fmt: skip
    return {
        "by exposure": {f"exp{e:02d}": sum(e == other for other, _ in pairs) for e in exposures},
        "IFUs": len(bundles),
        "missing": missing,
    }


def _agreement(offset: Any) -> dict[str, Any]:
    known = np.isfinite(offset)
    return {
        "compared with the table of positions": int(np.count_nonzero(known)),
        "largest distance_arcsec": _number(offset[known].max()) if known.any() else None,
    }


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _list(array: Array | None) -> list[float] | None:
    return None if array is None else [float(value) for value in array.values]


def _focal_plane(columns: dict[str, Any], lost: Any) -> Panel:
    x, y = columns["fpx"].astype(np.float64), columns["fpy"].astype(np.float64)
    series = tuple(
        Series(f"exposure {number}", y[mine], x[mine], valid=~lost[mine], masked="no data")
        for number in sorted(set(columns["expnum"].tolist()))
        for mine in [columns["expnum"] == number]
    )
    return Panel(
        "focal-plane", "Fibres in the focal plane", "points", series,
        "fpx", "fpy", "arcsec", "arcsec",
    )  # fmt: skip


def _throughput(table: Array) -> Panel:
    wave, middle, low, high = table.values.T
    series = tuple(
        Series(name, values, wave)
        for name, values in (("throughput", middle), ("lowest", low), ("highest", high))
    )
    return Panel(
        "throughput", "Throughput of the shot with its lowest and highest estimate", "lines",
        series, "wavelength (air)", "throughput", "Angstrom", "",
    )  # fmt: skip


# -- an image, a fibre -------------------------------------------------------------------------


def _image(image: Image) -> Figures:
    numbers: dict[str, Any] = {}
    if "bias" in image.calibration:
        values = {name: float(image.calibration[name].values) for name in image.calibration}
        numbers = {
            "bias_adu": values["bias"],
            "gain_electron_per_adu": values["gain"],
            "read noise_electron": values["read_noise"],
        }
    elif "clean_image" in image.layers:
        clean = image.layers["clean_image"].values
        numbers = {"pixels changed by cleaning": int(np.count_nonzero(image.flux != clean))}
    if image.mask is not None:
        good = valid(image.mask) & np.isfinite(image.flux)
        numbers["median of valid pixels"] = (
            _number(np.median(image.flux[good])) if good.any() else None
        )
    return Figures(numbers)


def _fiber(shot: Shot, row: int) -> Figures:
    fiber = shot.rows(GROUP, row, row + 1)
    named = {column.name: values[0] for column, values in fiber.columns.items()}
    numbers: dict[str, Any] = {
        name: str(named[name]) for name in ("alias", "multiframe", "ifuslot", "specid", "ifuid")
    }
    numbers |= {"expnum": int(named["expnum"]), "fibnum": int(named["fibnum"])}
    numbers["median of fiber_to_fiber"] = _number(named["fiber_to_fiber"])
    numbers["distance from the table of positions_arcsec"] = _number(named["table_offset"])
    numbers["pixels by bit"] = _counted(fiber)
    panels = []
    native = _native(shot, fiber.id[0], row)
    if native is not None:
        wave = native.wave.wavelength()[0]
        sky = native.layers["sky"].values[0]
        series = (
            Series("sky subtracted", native.flux[0], wave, error=native.error[0]
                   if native.error is not None else None),
            Series("model of the sky", sky, wave),
        )  # fmt: skip
        label = "wavelength (air)"
        panels.append(
            Panel("native", "Native spectrum and sky", "lines", series, label, "counts",
                  "Angstrom", "electron"),
        )  # fmt: skip
        profile = tuple(
            Series(name, native.layers[name].values[0], wave) for name in ("chi2", "rms")
        )
        panels.append(
            Panel("profile", "Fit of the fibres' profile: chi2, and rms of its residuals",
                  "lines", profile, label, "chi2, rms (electron)", "Angstrom"),
        )  # fmt: skip
        chi2 = native.layers["chi2"].values[0]
        numbers["median of chi2"] = _number(np.nanmedian(chi2)) if np.isfinite(chi2).any() else None
    return Figures(numbers, tuple(panels))


def _native(shot: Shot, name: str, row: int) -> Fibers | None:
    """Return the native spectrum of a fibre, None if there is none."""
    if NATIVE not in shot.groups or row >= shot.row_count(NATIVE):
        return None
    found = shot.rows(NATIVE, row, row + 1)  # both groups have the same rows
    return found if found.parent_id == (name,) else None
