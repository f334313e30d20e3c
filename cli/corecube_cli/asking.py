"""From the words of the command line to answers of an archive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from corecube.angles import Position, format_position, format_radius, parse_position
from corecube.archive.names import FiberRow, ImageRow, Row, ShotRow
from corecube.archive.query import Result
from corecube.archive.sphere import separation
from corecube.errors import AmbiguousName, QueryError
from corecube.tabular import Field, Rows
from corecube_cli.console import count

if TYPE_CHECKING:
    from corecube.archive import Archive
    from corecube.archive.regions import Region
    from corecube.positions import PositionTable

SAME_PLACE = 2.0
"""Arcsec; rows of one name that lie closer together are one target."""


@dataclass(frozen=True)
class Found:
    """One fibre or image of an answer, and the position that it answers.

    Attributes
    ----------
    row : FiberRow or ImageRow
    center : (float, float) or None
        ICRS degrees.
    label : str
        Name of the target in a file of positions.
    """

    row: FiberRow | ImageRow
    center: tuple[float, float] | None
    label: str = ""


@dataclass
class Answer:
    """What was found.

    Attributes
    ----------
    fibers, images : Rows
    found_fibers, found_images : list of Found
        A row each, in the order of the tables.
    asked : dict
        What was understood, plain JSON.
    unmatched : list of dict
        Targets of a file of positions that have no match, and why; plain JSON.
    skipped : list of dict
        Rows of the file that hold no position.
    result : Result or None
        Of one question; None for a file of positions.
    region : Region or None
        That was asked for, where it was no position.
    """

    fibers: Rows
    images: Rows
    found_fibers: list[Found] = field(default_factory=list)
    found_images: list[Found] = field(default_factory=list)
    asked: dict[str, Any] = field(default_factory=dict)
    unmatched: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    result: Result | None = None
    region: Region | None = None

    def __len__(self) -> int:
        """Return the number of fibres and images."""
        return len(self.found_fibers) + len(self.found_images)


def understood(position: Position, radius: float) -> str:
    """Return the echo of a position and a radius."""
    return f"position {format_position(position)} (ICRS, degrees), radius {format_radius(radius)}"


def read_position(archive: Archive, text: str) -> Position:
    """Read a position in any usual notation, also ``name:TARGET``.

    Raises
    ------
    QueryError
    """

    def lookup(name: str) -> tuple[float, float] | None:
        return _place_of(name, archive.find(name))

    return parse_position(text, lookup=lookup)


def _place_of(name: str, rows: Sequence[Row]) -> tuple[float, float] | None:
    """Return the one place of all rows of a name."""
    places: dict[str, tuple[float, float]] = {}
    for row in rows:
        if isinstance(row, FiberRow):
            spectrum = row.spectrum()
            places[row.name] = (float(spectrum.ra[0]), float(spectrum.dec[0]))
        elif isinstance(row, ImageRow) and row.record.images[row.image]["footprint"]:
            from corecube.archive.imageindex import ImagePlace

            places[row.name] = ImagePlace(
                row.record, row.image, row.record.images[row.image]
            ).center
        elif isinstance(row, ShotRow):
            raise QueryError(f"'{name}' is a whole shot and no position; see 'corecube show'")
    known = {key: place for key, place in places.items() if np.isfinite(place).all()}
    if not known:
        return None
    first = next(iter(known.values()))
    ra, dec = np.array(list(known.values())).T
    if np.any(separation(ra, dec, *first) * 3600.0 > SAME_PLACE):
        raise AmbiguousName(f"'{name}' stands for several places; give a full name", tuple(known))
    return first


def answer_of(
    archive: Archive, result: Result, asked: dict[str, Any], region: Region | None = None
) -> Answer:
    """Return a result of the archive as an answer."""
    fibers, images = _founds(archive, result)
    return Answer(result.fibers, result.images, fibers, images, asked, result=result, region=region)


def _founds(
    archive: Archive, result: Result, label: Callable[[int], str] = lambda number: ""
) -> tuple[list[Found], list[Found]]:
    """Return what was found; `label` names the positions."""

    def center(number: int) -> tuple[float, float] | None:
        return None if result.targets is None else result.targets.place(number)

    fibers = [
        Found(FiberRow(archive, *place), center(number), label(number))
        for place, number in zip(
            result.fiber_places, result.fiber_matches.target.tolist(), strict=True
        )
    ]
    images = [
        Found(ImageRow(archive, place.shot, place.name), center(number), label(number))
        for place, number in zip(
            result.image_places, result.image_matches.target.tolist(), strict=True
        )
    ]
    return fibers, images


def ask_many(
    archive: Archive, table: PositionTable, radius: float, select: dict[str, Any]
) -> Answer:
    """Ask for all positions of a file; a row per target and match, with the file's columns.

    Parameters
    ----------
    archive : Archive
    table : PositionTable
    radius : float, degrees
    select : dict
        See `corecube.archive.query.Select`.
    """
    result = archive.crossmatch((table.ra, table.dec), radius, **select)

    def label(number: int) -> str:
        return str(table.names[number]) or f"row{int(table.row[number])}"

    answer = Answer(
        _with_input(result.fibers, table, result.fiber_matches.target),
        _with_input(result.images, table, result.image_matches.target),
        *_founds(archive, result, label),
    )
    unmatched = result.unmatched
    there = np.zeros(len(table), dtype=np.int64)
    bare = {key: select[key] for key in ("size", "exposures") if key in select}
    if len(unmatched) and set(select) - set(bare):
        without = archive.crossmatch((table.ra[unmatched], table.dec[unmatched]), radius, **bare)
        for matches in (without.fiber_matches, without.image_matches):
            there += np.bincount(unmatched[matches.target], minlength=len(table))
    for i in unmatched.tolist():
        answer.unmatched.append(_unmatched(table, i, radius, int(there[i])))
    answer.skipped = [vars_of(problem) for problem in table.problems]
    return answer


def vars_of(problem: Any) -> dict[str, Any]:
    """Return a problem of a row as plain JSON."""
    return {"row": problem.row, "place": problem.place, "reason": problem.reason}


def _unmatched(table: PositionTable, i: int, radius: float, there: int) -> dict[str, Any]:
    within = f"within {format_radius(radius)}"
    reason = f"nothing {within}"
    if there:
        reason = f"{count(there, 'row')} {within}, but the filters exclude all"
    return {
        "row": int(table.row[i]), "name": str(table.names[i]), "ra": float(table.ra[i]),
        "dec": float(table.dec[i]), "reason": reason,
    }  # fmt: skip


def _with_input(rows: Rows, table: PositionTable, index: npt.NDArray[np.int64]) -> Rows:
    """Put the columns of the file of positions before those of the answer."""
    own: dict[str, Field] = {
        "input_row": Field(table.row[index], "", "Row of the file of positions."),
        "input_ra": Field(table.ra[index], "deg", "Right ascension asked for (ICRS)."),
        "input_dec": Field(table.dec[index], "deg", "Declination asked for (ICRS)."),
    }
    for name in table.columns:
        reserved = name in rows or name in own or name in ("name", "kind", "file")
        free = f"input_{name}" if reserved else name
        while free in rows or free in own:
            free += "_"
        own[free] = table.columns[name].take(index)
    return Rows({**own, **rows.fields}, rows.meta)


def numbers_of(text: str, what: str, least: int) -> list[float]:
    """Return the numbers of ``1,2 3`` in degrees.

    Raises
    ------
    QueryError
        If one is no number, or there are too few, or an odd number of them.
    """
    parts = text.replace(",", " ").replace(";", " ").split()
    try:
        found = [float(part) for part in parts]
    except ValueError:
        raise QueryError(f"{what} '{text}': give numbers in degrees with commas") from None
    if len(found) < least or len(found) % 2 or not np.isfinite(found).all():
        raise QueryError(f"{what} '{text}': give {least} numbers or more, in pairs, in degrees")
    return found
