"""The report on a whole shot: a row per frame, and drawings that show it at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from corecube import masks
from corecube.archive.names import ShotRow
from corecube.archive.shotfile import StoredShot
from corecube.figures import Panel, Series
from corecube.frames import Fibers, Frame, Image
from corecube.reports import panels as drawn
from corecube.reports.asking import Asked
from corecube.reports.numbers import check_row, inside_of, plain, statistics, times_of
from corecube.times import Times

READ: Final = 12
"""Images, and likewise groups, whose pixels are looked at; the others are counted as left out."""

ROWS: Final = 64
"""Fibres of a group that are looked at."""

_PICTURES: Final = 6
_SIDE: Final = 600
"""Pixels along the longer side of a picture of many."""
_LINES: Final = 6
_TABLE: Final = 3
"""Groups that are shown as a picture, fibre by fibre."""


def shot_numbers(
    row: ShotRow, shot: StoredShot, asked: Asked
) -> tuple[dict[str, Any], list[Frame]]:
    """Return the numbers of a shot, and the frames that were looked at."""
    record = row.record
    rows: list[dict[str, Any]] = []
    read: list[Frame] = []
    for place, (name, about) in enumerate(record.images.items()):
        found: dict[str, Any] = {
            "name": name, "what": "image", "shape": about["shape"], "unit": about["unit"],
            "band": about["band"], "target": about["target"],
        }  # fmt: skip
        if place < READ:
            frame = shot.frame(name)
            found |= _looked_at(frame, asked)
            read.append(frame)
        rows.append(found)
    groups = [name for name in record.groups if record.groups[name]["rows"]]
    groups.sort(key=lambda name: bool(record.groups[name]["parent"]))  # indexed ones first
    parts: list[dict[str, Any]] = []
    for place, name in enumerate(groups):
        about = record.groups[name]
        found = {
            "name": name, "what": "group", "fibers": about["rows"], "unit": about["unit"],
            "parent": about["parent"], "columns": len(about["columns"]),
        }  # fmt: skip
        if place < READ:
            fibers = shot.rows(name, 0, min(about["rows"], ROWS))
            found |= {"fibers looked at": len(fibers.id), "pixels of each": fibers.flux.shape[1]}
            found |= _looked_at(fibers, asked)
            read.append(fibers)
        parts.append(found)
    images_left, groups_left = max(0, len(rows) - READ), max(0, len(groups) - READ)
    times = Times(
        np.nan if record.start is None else record.start,
        np.nan if record.end is None else record.end,
    )
    stored_times = times_of(times)
    del stored_times["quality"]
    plan = shot.plan
    numbers = {
        "times": stored_times,
        "bytes": record.size,
        "raw bytes": record.raw_bytes,
        "counts": {
            "images": len(record.images),
            "groups": len(record.groups),
            "fibers": sum(rows for *_, rows in record.indexed),
            "spectra": sum(about["rows"] for about in record.groups.values()),
        },
        "images": rows,
        "groups": parts,
        "left out": {"images": images_left, "groups": groups_left},
        "entries": {
            name: [source.path.rsplit("/", 1)[-1] for source in sources]
            for name, sources in plan.entries.items()
        },
        "needs": list(plan.needs),
        "settings": plain(plan.settings),
        "provenance": _provenance(read),
    }
    return numbers, read


def _looked_at(frame: Frame, asked: Asked) -> dict[str, Any]:
    assert frame.error is not None and frame.mask is not None
    inside = inside_of(frame)
    good = inside & masks.valid(frame.mask)
    flux = statistics(frame.flux, inside, good)
    error = statistics(frame.error, inside, good)
    check = check_row(asked.check(frame))
    factors = asked.factors(frame)
    return {
        "times": times_of(frame.times),
        "pixels": int(np.count_nonzero(inside)),
        "valid": int(np.count_nonzero(good & np.isfinite(frame.flux))),
        "flux median": flux["median"],
        "error median": error["median"],
        "mask": masks.counts(frame.mask[inside]),
        "factors": None if factors is None else [factor.name for factor in factors],
        "width of pulls": check["width of pulls"] if check else None,
        "pixels of pulls": check["pixels"] if check else None,
    }


def _provenance(read: list[Frame]) -> dict[str, Any]:
    """Return steps, omissions and notes of the frames looked at, each line once."""
    found: dict[str, list[str]] = {}
    for frame in read:
        for part, lines in frame.provenance.to_json().items():
            if part != "sources":
                known = found.setdefault(part, [])
                known += [line for line in lines if line not in known]
    return found


def shot_panels(
    row: ShotRow, shot: StoredShot, read: list[Frame], numbers: dict[str, Any]
) -> Iterator[Panel]:
    """Yield the drawings of a shot: where it lies, its pictures or spectra, widths of pulls."""
    yield from _places(row, shot)
    images = [frame for frame in read if isinstance(frame, Image)]
    for image in images[:_PICTURES]:
        panel = next(iter(drawn.image_panels(image, f"{row.name}/{image.name}", _SIDE)))
        yield drawn.renamed(panel, f"image-{image.name}")
    groups = [frame for frame in read if isinstance(frame, Fibers) and frame.flux.shape[1]]
    indexed = [group for group in groups if not group.parent]
    for group in (indexed or groups)[:_TABLE]:
        yield from _spectra(group, shot.row_count(group.name), row.name)
    widths = [
        (place, part["name"], part["width of pulls"])
        for place, part in enumerate((*numbers["images"], *numbers["groups"]), start=1)
        if part.get("width of pulls") is not None
    ]
    if len(widths) > 1:
        ends = np.array([0.5, widths[-1][0] + 0.5])
        yield Panel(
            name="noise", title=f"Width of pulls of the frames of {row.name}", kind="lines",
            series=(
                Series("1 is expected", np.ones(2), ends),
                *(
                    Series(name, np.array([width], dtype=np.float64), np.array([float(place)]))
                    for place, name, width in widths
                ),
            ),
            x_label="frame, in the order of the report", y_label="width of pulls",
        )  # fmt: skip


def _places(row: ShotRow, shot: StoredShot) -> Iterator[Panel]:
    outlines = [
        (name, np.array(about["footprint"], dtype=np.float64))
        for name, about in row.record.images.items()
        if about["footprint"] is not None
    ]
    if outlines:
        middle = float(outlines[0][1][0, 0])
        lines = []
        for name, corners in outlines[:READ]:
            closed = np.concatenate([corners, corners[:1]])
            lines.append(Series(name, closed[:, 1], _near(closed[:, 0], middle)))
        left = len(outlines) - len(lines)
        more = f"; {left} more are not drawn" if left else ""
        yield Panel(
            name="footprints", title=f"Footprints of the images of {row.name}{more}", kind="lines",
            series=tuple(lines), x_label="RA", y_label="Dec", x_unit="deg", y_unit="deg",
        )  # fmt: skip
    series = []
    for group, _, rows in row.record.indexed:
        if rows:
            where = f"/fibers/{group}"
            ra, dec = shot.read(f"{where}/ra"), shot.read(f"{where}/dec")
            known = np.isfinite(ra) & np.isfinite(dec)
            if known.any():
                ra, dec = ra[known], dec[known]
                series.append(Series(group, dec, _near(ra, float(ra[0]))))
    if sum(part.y.size for part in series) > 1:
        yield Panel(
            name="positions", title=f"Positions of the fibres of {row.name}", kind="points",
            series=tuple(series), x_label="RA", y_label="Dec", x_unit="deg", y_unit="deg",
        )  # fmt: skip


def _near(ra: Any, middle: float) -> Any:
    """Return right ascensions without the step from 360 to 0."""
    return (ra - middle + 180.0) % 360.0 - 180.0 + middle


def _spectra(group: Fibers, rows: int, shot: str) -> Iterator[Panel]:
    """Yield the first spectra of a group as lines, and many of them as a picture."""
    count = len(group.id)
    lines = [drawn.spectrum(group, place, group.id[place]) for place in range(min(count, _LINES))]
    kept = tuple(drawn.without_error(line) for line in lines if line is not None)
    of = f": {len(kept)} of {rows}" if len(kept) < rows else ""
    if kept:
        yield Panel(
            name=drawn.safe(f"spectra-{group.name}"),
            title=f"Spectra of {shot}/{group.name}{of}", kind="lines", series=kept,
            y_label="flux", y_unit=group.unit, **drawn.wave_axis(group),
        )  # fmt: skip
    if count >= 8:
        assert group.mask is not None
        valid = masks.valid(group.mask) & np.isfinite(group.flux)
        of = f"{count} of {rows} fibres" if count < rows else f"{rows} fibres"
        yield Panel(
            name=drawn.safe(f"group-{group.name}"), title=f"Flux of {shot}/{group.name}: {of}",
            kind="image", x_label="pixel", y_label="row of the group", y_unit=group.unit,
            series=(
                Series("flux", group.flux, valid=valid, masked=drawn.excluded(group.mask[~valid])),
            ),
        )  # fmt: skip
