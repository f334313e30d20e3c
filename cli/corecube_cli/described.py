"""All that an archive knows of a shot, an image or a fibre, as plain JSON.

Everything comes from the shot file; factors and the check of the noise are asked of the
instrument, which works on the stored frame when the raw files are gone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from corecube import config, masks
from corecube.archive.names import FiberRow, ImageRow, Row, ShotRow
from corecube.errors import CorecubeError, PluginError
from corecube.frames import Array, Bits, Factor, Fibers, Frame, Image
from corecube.text import number_text
from corecube.times import iso

if TYPE_CHECKING:
    from corecube.archive.shotfile import StoredShot
    from corecube.plugins import Caller

_BLUR = 1.4826
"""Standard deviations of a normal distribution in a median absolute deviation, 1 / 0.67449."""


def describe(row: Row) -> dict[str, Any]:
    """Return what is known of a shot, an image or a fibre."""
    if isinstance(row, ShotRow):
        return _shot(row)
    return _image(row) if isinstance(row, ImageRow) else _fiber(row)


def header_of(row: Row) -> str:
    """Return the header of the file that an image or a fibre comes from.

    Raises
    ------
    ValueError
        If it is a shot, which has several.
    """
    if isinstance(row, ShotRow):
        raise ValueError(f"{row.name} is a whole shot; name one of its images or fibres")
    frame: Frame = row.frame() if isinstance(row, ImageRow) else row.spectrum()
    return frame.header


# -- shots ---------------------------------------------------------------------------------------


def _shot(row: ShotRow) -> dict[str, Any]:
    record, shot = row.record, row.shot()
    start = math.nan if record.start is None else record.start
    end = math.nan if record.end is None else record.end
    return {
        "name": row.name,
        "what": "shot",
        "instrument": record.instrument,
        "shot": record.key,
        "title": record.title,
        "kind": record.kind,
        "times": _span(start, end),
        "stored": {
            **_stored(row),
            "bytes": record.size,
            "raw bytes": record.raw_bytes,
            "ratio": round(record.size / record.raw_bytes, 4) if record.raw_bytes else None,
            "sha256": record.sha256,
            "fingerprint": record.fingerprint,
        },
        "images": [
            {
                "name": name, "band": about["band"], "target": about["target"],
                "shape": about["shape"], "unit": about["unit"],
            }
            for name, about in record.images.items()
        ],
        "groups": [
            {
                "name": name, "fibers": about["rows"], "parent": about["parent"],
                "unit": about["unit"], "columns": len(about["columns"]),
            }
            for name, about in record.groups.items()
        ],
        "fibers": _some_fibers(row),
        "configuration": dict(shot.config),
        "sources": [_source(info.source) for info in shot.infos],
    }  # fmt: skip


def _some_fibers(row: ShotRow, most: int = 20) -> list[dict[str, Any]]:
    """Return the first fibres of the indexed groups."""
    shot, found = row.shot(), []
    for group, _, rows in row.record.indexed:
        part = slice(0, min(rows, most))
        where = f"/fibers/{group}"
        columns = (
            shot.texts(f"{where}/id", part), shot.texts(f"{where}/target", part),
            shot.read(f"{where}/ra", part).tolist(), shot.read(f"{where}/dec", part).tolist(),
        )  # fmt: skip
        for fiber, target, ra, dec in zip(*columns, strict=True):
            found.append({"name": f"{group}/{fiber}", "target": target,
                          "ra": _number(ra), "dec": _number(dec)})  # fmt: skip
    return found[:most]


# -- images --------------------------------------------------------------------------------------


def _image(row: ImageRow) -> dict[str, Any]:
    image = row.frame()
    assert image.error is not None and image.mask is not None
    footprint = None if image.footprint is None else image.footprint.tolist()
    return {
        **_identity(row, "image"),
        "band": image.band,
        "target": image.target,
        "unit": image.unit,
        "shape": list(image.flux.shape),
        "footprint": footprint,
        "wcs": None if image.cards is None else dict(image.cards),
        "times": _span(*image.times.span, image.times.quality),
        "stored": _stored(row),
        **_values(image, row.shot().late.sources(row.image)),
        **_asked(row, image),
        **_origin(row, image),
    }


# -- fibres --------------------------------------------------------------------------------------


def _fiber(row: FiberRow) -> dict[str, Any]:
    fibers = row.spectrum()
    wave = fibers.wave.wavelength()
    wave = wave[0] if wave.ndim == 2 else wave
    assert fibers.mask is not None
    inside = np.isfinite(wave) & ((fibers.mask[0] & np.uint32(masks.value("outside"))) == 0)
    return {
        **_identity(row, "fiber"),
        "group": row.group,
        "id": fibers.id[0],
        "target": fibers.target[0] if fibers.target else "",
        "ra": _number(fibers.ra[0]),
        "dec": _number(fibers.dec[0]),
        "unit": fibers.unit,
        "wavelengths": {
            "pixels": int(np.count_nonzero(inside)),
            "first": _number(wave[inside][0]) if inside.any() else None,
            "last": _number(wave[inside][-1]) if inside.any() else None,
            "unit": fibers.wave.unit,
            "medium": fibers.wave.medium,
            "specsys": fibers.wave.specsys,
        },
        "times": _span(*fibers.times.span, fibers.times.quality),
        "stored": _stored(row),
        "columns": _columns(fibers),
        **_values(fibers, row.shot().late.sources(row.group, row.row)),
        "related": [more.name for more in row.related()],
        **_asked(row, fibers),
        **_origin(row, fibers),
    }


def _columns(fibers: Fibers) -> list[dict[str, Any]]:
    found = []
    for column, values in fibers.columns.items():
        value = values[0].item() if isinstance(values[0], np.generic) else values[0]
        if isinstance(values[0], np.float32):
            value = float(number_text(values[0]))
        missing = column.missing is not None and value == column.missing
        if isinstance(value, float):
            value = _number(value)
        found.append({"name": column.name, "value": None if missing else value,
                      "unit": column.unit, "description": column.description})  # fmt: skip
    return found


# -- what images and fibres share ----------------------------------------------------------------


def _identity(row: ImageRow | FiberRow, what: str) -> dict[str, Any]:
    record = row.record
    return {
        "name": row.name, "what": what, "instrument": record.instrument, "shot": record.key,
        "title": record.title,
    }  # fmt: skip


def _stored(row: Row) -> dict[str, Any]:
    record = row.record
    return {"file": record.file, "generation": record.generation, "created": record.created}


def _span(start: float, end: float, quality: str = "") -> dict[str, Any]:
    times = {
        "start": _number(start), "end": _number(end), "scale": "MJD TAI",
        "start UTC": iso(start), "end UTC": iso(end),
    }  # fmt: skip
    return times | {"quality": quality} if quality else times


def _values(frame: Image | Fibers, late: list[dict[str, Any]]) -> dict[str, Any]:
    """Return statistics over valid pixels, counts of mask planes, and the arrays there are."""
    assert frame.error is not None and frame.mask is not None
    good = masks.valid(frame.mask) & np.isfinite(frame.flux)
    outside = (frame.mask & np.uint32(masks.value("outside"))) != 0
    flux, error = frame.flux[good], frame.error[good]
    error = error[np.isfinite(error)]
    planes = masks.counts(frame.mask[~outside])
    return {
        "statistics": {
            "pixels": int(frame.flux.size - np.count_nonzero(outside)),
            "valid": int(np.count_nonzero(good)),
            "flux": _statistics(flux),
            "error": _statistics(error),
        },
        "mask": planes,
        "late masks": late,
        "bits": {name: _bits(bits, outside) for name, bits in frame.bits.items()},
        "layers": [_array(name, layer) for name, layer in frame.layers.items()],
        "calibration": [_array(name, array) for name, array in frame.calibration.items()],
    }


def _bits(bits: Bits, outside: npt.NDArray[np.bool_]) -> dict[str, int]:
    return masks.counts(bits.values[~outside], bits.planes)


def _statistics(values: npt.NDArray[np.floating[Any]]) -> dict[str, float | None]:
    """Return minimum, maximum, mean, median and robust width; None of nothing."""
    if not values.size:
        return dict.fromkeys(("minimum", "maximum", "mean", "median", "width"))
    median = float(np.median(values))
    return {
        "minimum": _number(values.min()),
        "maximum": _number(values.max()),
        "mean": float(values.mean(dtype=np.float64)),
        "median": _number(np.float32(median) if values.dtype == np.float32 else median),
        "width": float(_BLUR * np.median(np.abs(values - values.dtype.type(median)))),
    }


def _array(name: str, array: Array) -> dict[str, Any]:
    link = array.link
    return {
        "name": name, "shape": list(array.values.shape), "type": str(array.values.dtype),
        "unit": array.unit, "axes": list(array.axes), "description": array.description,
        "in": "" if link is None else f"{link.shot}/{link.frame} ({link.field})",
    }  # fmt: skip


def _asked(row: ImageRow | FiberRow, frame: Frame) -> dict[str, Any]:
    """Return what only the instrument can say: its factors, and its check of the noise."""
    from corecube_cli.settings import instrument

    shot = row.archive.shot(row.record)
    try:
        caller = instrument(row.record.instrument)
        settings: Any = config.from_json(
            caller.instrument.config, shot.config, source=row.record.file, unknown="ignore"
        )
    except (PluginError, CorecubeError) as error:
        return {"factors": None, "noise check": None, "instrument says": str(error)}
    found: dict[str, Any] = {"factors": None, "noise check": None}
    said: list[str] = []
    factors = _hook(caller, "calibration_factors", frame, settings, said)
    if factors is not None:
        found["factors"] = [_factor(factor) for factor in factors]
    check = _hook(caller, "check_noise", frame, settings, said)
    if check is not None:
        found["noise check"] = {
            "pixels": check.pixels, "width of pulls": _number(check.width),
            "slope": _number(check.slope), "floor": _number(check.floor), "recipe": check.recipe,
        }  # fmt: skip
    return found | ({"instrument says": "; ".join(said)} if said else {})


def _hook(caller: Caller, hook: str, frame: Frame, settings: Any, said: list[str]) -> Any:
    """Call a hook; what it raises is told, the rest is shown all the same."""
    try:
        return caller.call(hook, frame=frame, config=settings)
    except Exception as error:  # a plugin's fault must not hide what the archive knows
        line = " ".join(str(error).split())
        said.append(f"corecube_{hook} of '{caller.name}' failed: {type(error).__name__}: {line}")
        return None


def _factor(factor: Factor) -> dict[str, Any]:
    values = np.asarray(factor.values)
    finite = values[np.isfinite(values)]
    return {
        "name": factor.name,
        "operation": factor.operation,
        "shape": list(values.shape),
        "minimum": _number(finite.min()) if finite.size else None,
        "maximum": _number(finite.max()) if finite.size else None,
        "unit": factor.unit,
        "source": factor.source,
    }


def _origin(row: ImageRow | FiberRow, frame: Frame) -> dict[str, Any]:
    shot: StoredShot = row.archive.shot(row.record)
    names = {_last(source) for source in frame.provenance.sources}
    sources = [info.source for info in shot.infos if _last(info.source.path) in names]
    return {
        "provenance": frame.provenance.to_json(),
        "sources": [_source(source) for source in sources],
        "configuration": dict(shot.config),
    }


def _last(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _source(source: Any) -> dict[str, Any]:
    return {
        "kind": source.kind, "bytes": source.size, "sha256": source.digest, "path": source.path,
    }  # fmt: skip


def _number(value: Any) -> float | None:
    """Return a float that prints shortest in its own type; None for what is not finite."""
    if isinstance(value, np.float32):
        value = float(number_text(value))
    value = float(value)
    return value if math.isfinite(value) else None


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description without what is empty, for people."""
    return {key: value for key, value in data.items() if value not in (None, "", [], {})}
