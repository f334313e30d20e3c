"""Putting a report together: of an image, of a fibre with its exposures, of a whole shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from corecube.archive.names import FiberRow, ImageRow, Row, ShotRow
from corecube.archive.shotfile import StoredShot
from corecube.errors import FrameError
from corecube.figures import Figures, Panel, Subject
from corecube.frames import Array, Factor, Frame, NoiseCheck
from corecube.plugins import Caller
from corecube.reports import panels as drawn
from corecube.reports.asking import Asked
from corecube.reports.numbers import (
    check_row,
    factor_row,
    inside_of,
    levels_of,
    number,
    place_of,
    plain,
    products_of,
    times_of,
    values_of,
    wavelengths_of,
)
from corecube.reports.replay import replay
from corecube.reports.whole import shot_numbers, shot_panels

LAYOUT: Final = 1
"""Steps when names in the numbers change their meaning."""

CHILDREN: Final = 200
"""Exposures of a fibre that are listed."""

_DRAWN: Final = 8
"""Exposures of a fibre that are drawn."""


@dataclass(frozen=True)
class Report:
    """What there is to say of a shot, an image or a fibre.

    Attributes
    ----------
    numbers : dict
        Plain JSON, in a fixed order.
    panels : tuple of Panel
        With different names.
    says : tuple of str
        A line for each part that is missing, and why.
    faults : tuple of str
        Those of them that are faults of the plugin.
    """

    numbers: dict[str, Any]
    panels: tuple[Panel, ...]
    says: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def report(
    row: Row,
    caller: Caller | None = None,
    missing: str = "",
    current: Any = None,
    levels: int | None = None,
) -> Report:
    """Report on a shot, an image or a fibre of an archive.

    Parameters
    ----------
    row : ShotRow, ImageRow or FiberRow
    caller : Caller, optional
        The instrument, which gives factors, the check of the noise, and figures of its own. It is
        asked with the settings that the shot was made with.
    missing : str
        Why there is no `caller`.
    current : dataclass, optional
        The instrument's settings of today, of which those that change no number are used.
    levels : int, optional
        Levels of an image or spectrum to report on; if not given as many as an archive stores of
        an image of that size.

    Raises
    ------
    ArchiveDamaged
        If the shot's file is damaged.
    """
    shot = row.archive.shot(row.record)
    asked = Asked(shot, caller, missing, current)
    frame: Frame | None = None
    if isinstance(row, ShotRow):
        subject = Subject()
        numbers, panels = _of_shot(row, shot, asked)
    elif isinstance(row, ImageRow):
        subject = Subject("image", row.image)
        frame, numbers, panels = _of_image(row, asked)
    else:
        subject = Subject("fiber", row.group, row.row)
        frame, numbers, panels = _of_fiber(row, asked)
    own = asked.figures(subject)
    own_numbers = _own_numbers(own, asked)
    if frame is not None:
        numbers |= {"products": products_of(frame, _own_arrays(own, asked))}
        numbers["levels"], more = _levels(frame, row.name, levels)
        panels += more
    everything = drawn.named_apart((*panels, *own.panels))
    whole = {
        "report": LAYOUT,
        **_identity(row, shot, subject.kind),
        **numbers,
        "instrument report": own_numbers,
        "panels": [_listed(panel) for panel in everything],
        "says": list(asked.says),
    }
    return Report(whole, everything, tuple(asked.says), tuple(asked.faults))


def _identity(row: Row, shot: StoredShot, what: str) -> dict[str, Any]:
    record = row.record
    return {
        "name": row.name, "what": what, "instrument": record.instrument, "shot": record.key,
        "title": record.title, "kind": record.kind,
        "stored": {
            "file": record.file, "generation": record.generation,
            "fingerprint": record.fingerprint,
        },
    }  # fmt: skip


def _own_numbers(own: Figures, asked: Asked) -> Any:
    try:
        return plain(own.numbers)
    except FrameError as error:
        asked.fault("report", str(error))
        return {}


def _own_arrays(own: Figures, asked: Asked) -> dict[str, Array]:
    given: dict[str, Any] = dict(own.arrays)
    wrong = [name for name, array in given.items() if not isinstance(array, Array)]
    if wrong:
        asked.fault("report", f"gives arrays that are no corecube.frames.Array: {wrong[0]}")
        return {}
    return given


def _levels(
    frame: Frame, title: str, count: int | None
) -> tuple[list[dict[str, Any]], list[Panel]]:
    rows, levels = levels_of(frame, count)
    return rows, [drawn.level_panel(frame, level, title) for level in levels]


def _of_image(row: ImageRow, asked: Asked) -> tuple[Frame, dict[str, Any], list[Panel]]:
    image = row.frame()
    factors, check = asked.factors(image), asked.check(image)
    numbers = {
        "band": image.band,
        "target": image.target,
        "unit": image.unit,
        "shape": list(image.flux.shape),
        "position": place_of(image),
        "times": times_of(image.times),
        **_common(row, image, factors, check),
    }
    return (
        image,
        numbers,
        [
            *drawn.image_panels(image, row.name),
            *_more(image, factors, check, row.name),
        ],
    )


def _of_fiber(row: FiberRow, asked: Asked) -> tuple[Frame, dict[str, Any], list[Panel]]:
    fibers = row.spectrum()
    factors, check = asked.factors(fibers), asked.check(fibers)
    children = row.related()
    title = row.name
    target = fibers.target[0] if fibers.target else ""
    wave = wavelengths_of(fibers)
    inside = inside_of(fibers)[0]
    numbers = {
        "group": row.group,
        "id": fibers.id[0],
        "parent": f"{row.record.identity}/{fibers.parent}/{fibers.parent_id[0]}"
        if fibers.parent else "",
        "target": target,
        "unit": fibers.unit,
        "position": place_of(fibers),
        "wavelengths": {
            "pixels": int(inside.sum()),
            "first": number(wave[inside][0]) if inside.any() else None,
            "last": number(wave[inside][-1]) if inside.any() else None,
            "unit": fibers.wave.unit, "medium": fibers.wave.medium,
            "specsys": fibers.wave.specsys,
        },
        "times": times_of(fibers.times),
        "columns": {column.name: _cell(values[0]) for column, values in fibers.columns.items()},
        "children": [child.name for child in children[:CHILDREN]],
        "children left out": max(0, len(children) - CHILDREN),
        **_common(row, fibers, factors, check),
    }  # fmt: skip
    panels = [*drawn.fiber_panels(fibers, title), *_children(children, title)]
    return fibers, numbers, [*panels, *_more(fibers, factors, check, title)]


def _children(children: Sequence[FiberRow], title: str) -> list[Panel]:
    """Return one panel with the first exposures of a fibre."""
    lines, first = [], None
    for child in children[:_DRAWN]:
        fibers = child.spectrum()
        line = drawn.spectrum(fibers, 0, child.group)
        if line is not None and (first is None or first.unit == fibers.unit):
            first = first or fibers
            lines.append(drawn.without_error(line))
    if first is None:
        return []
    left = len(children) - len(lines)
    more = f"; {left} more are not drawn" if left else ""
    return [
        Panel(
            name="exposures", title=f"Single exposures of {title}{more}", kind="lines",
            series=tuple(lines), y_label="flux", y_unit=first.unit, **drawn.wave_axis(first),
        )
    ]  # fmt: skip


def _of_shot(row: ShotRow, shot: StoredShot, asked: Asked) -> tuple[dict[str, Any], list[Panel]]:
    numbers, read = shot_numbers(row, shot, asked)
    sources = [_source(info.source) for info in shot.infos]
    return {**numbers, "sources": sources, "configuration": plain(shot.config)}, list(
        shot_panels(row, shot, read, numbers)
    )


def _more(
    frame: Frame, factors: Sequence[Factor] | None, check: NoiseCheck | None, title: str
) -> list[Panel]:
    pulls = drawn.pull_panel(check, title)
    return [*drawn.factor_panels(frame, factors or ()), *([pulls] if pulls else [])]


def _common(
    row: ImageRow | FiberRow,
    frame: Frame,
    factors: Sequence[Factor] | None,
    check: NoiseCheck | None,
) -> dict[str, Any]:
    """Return what images and fibres share."""
    shot = row.archive.shot(row.record)
    names = {_last(source) for source in frame.provenance.sources}
    sources = [info.source for info in shot.infos if _last(info.source.path) in names]
    return {
        **values_of(frame),
        "late masks": (
            shot.late.sources(row.image)
            if isinstance(row, ImageRow)
            else shot.late.sources(row.group, row.row)
        ),
        "factors": None if factors is None else [factor_row(factor) for factor in factors],
        "replay": replay(frame, factors) if factors else None,
        "noise check": check_row(check),
        "provenance": frame.provenance.to_json(),
        "sources": [_source(source) for source in sources],
        "configuration": plain(shot.config),
    }


def _cell(value: Any) -> Any:
    """Return the value of a column."""
    return value if isinstance(value, str) else number(value)


def _last(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _source(source: Any) -> dict[str, Any]:
    return {
        "name": _last(source.path), "kind": source.kind, "bytes": source.size,
        "sha256": source.digest,
    }  # fmt: skip


def _listed(panel: Panel) -> dict[str, Any]:
    return {
        "name": panel.name, "title": panel.title, "kind": panel.kind,
        "series": [series.label for series in panel.series],
    }  # fmt: skip
