"""Questions to an archive: which fibres, which images, which shots."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from corecube.archive.answer import CUTOUT_SIZE, FIBER_COLUMNS, Result, fields_of
from corecube.archive.fiberquery import fiber_table, find_fibers
from corecube.archive.imagequery import find_images, image_table
from corecube.archive.regions import Region
from corecube.archive.selection import ColumnNames, Select
from corecube.archive.targets import Targets
from corecube.tabular import Rows

if TYPE_CHECKING:
    from corecube.archive.reader import Archive

__all__ = ["Result", "Select", "search", "shot_table"]


def search(
    archive: Archive,
    region: Region | None,
    targets: Targets | None,
    select: Select,
) -> Result:
    """Answer a question from the archive's newest state.

    Parameters
    ----------
    archive : Archive
    region : Region or None
        None: around each of `targets`; without these everything, also what has no position.
    targets : Targets or None
        Positions that give the separations.
    select : Select

    Raises
    ------
    QueryError
        If a column of the filter is unknown or ambiguous.
    ArchiveDamaged
    """
    state = archive.state
    ColumnNames(state, select)  # refuses unknown names now, and not when a table is looked at
    fibers, table = find_fibers(archive, state, region, targets, select)
    images = find_images(archive, state, region, targets, select)
    result = Result(
        targets, fibers, images,
        lambda found: fiber_table(archive, state, found, targets, select),
        lambda found: image_table(archive, found, targets, select),
        select.size or CUTOUT_SIZE,
    )  # fmt: skip
    if table is not None:
        result.fibers = table
    return result


SHOT_COLUMNS: dict[str, tuple[str, str]] = {
    "instrument": FIBER_COLUMNS["instrument"],
    "shot": FIBER_COLUMNS["shot"],
    "kind": ("", "Science or calibration."),
    "title": ("", "What it is."),
    "images": ("", "Number of images."),
    "fibers": ("", "Number of indexed fibres."),
    "start": FIBER_COLUMNS["start"],
    "end": FIBER_COLUMNS["end"],
    "created": ("", "When it was ingested (UTC)."),
    "bytes": ("byte", "Size of the shot file."),
    "raw_bytes": ("byte", "Size of the files that it was made of."),
    "source": FIBER_COLUMNS["source"],
}


def shot_table(archive: Archive, where: str | None) -> Rows:
    """Return a table of the shots; see `Archive.shots`."""
    shots = list(archive.state.catalogue.by_identity.values())

    def texts(values: Iterable[str]) -> npt.NDArray[np.str_]:
        return np.array(list(values), dtype=np.str_)

    values = {
        "instrument": texts(s.instrument for s in shots), "shot": texts(s.key for s in shots),
        "kind": texts(s.kind for s in shots), "title": texts(s.title for s in shots),
        "images": np.array([len(s.images) for s in shots], dtype=np.int64),
        "fibers": np.array([sum(n for *_, n in s.indexed) for s in shots], dtype=np.int64),
        "start": np.array([s.start for s in shots], dtype=np.float64),
        "end": np.array([s.end for s in shots], dtype=np.float64),
        "created": texts(s.created for s in shots),
        "bytes": np.array([s.size for s in shots], dtype=np.int64),
        "raw_bytes": np.array([s.raw_bytes for s in shots], dtype=np.int64),
        "source": texts(s.file for s in shots),
    }  # fmt: skip
    table = Rows(fields_of(values, SHOT_COLUMNS))
    if where is None:
        return table
    from corecube.archive.grammar import parse  # few ask for it, and a query is short

    return table.take(parse(where).evaluate(lambda name: (table[name].values, table[name].missing)))
