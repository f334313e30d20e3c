"""The catalogue: a record per shot, enough for planning queries without opening shot files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.archive import recordlog
from corecube.archive.durable import FileStamp
from corecube.archive.inside import is_shot_path, leads_inside
from corecube.archive.jsontext import conform
from corecube.archive.layout import MASKS, SHOTS
from corecube.archive.links import path_of
from corecube.archive.manifest import Manifest
from corecube.archive.shotfile import StoredShot
from corecube.errors import ArchiveDamaged
from corecube.times import Times


@dataclass(frozen=True)
class ShotRecord:
    """What the catalogue knows of a shot.

    Attributes
    ----------
    number : int
        Never used twice; the sky index names shots by it.
    instrument, key, kind, title : str
    generation : int
    file : str
        Path below the archive.
    size : int
    sha256 : str
        Of the file's bytes.
    fingerprint, basis : str
        Of all that it was made of; of configuration and data version alone.
    entries : dict of str to str
        Fingerprints of the entries that it has.
    created : str
        ISO time, UTC.
    raw_bytes : int
        Sum of the sizes of its input files.
    start, end : float or None
        MJD TAI over all frames.
    images : dict
        By name: unit, band, target, shape, start, end, footprint.
    groups : dict
        By name: rows, parent, unit, columns (name -> [dtype, unit]).
    needs : dict of str to str
        Keys of the calibration shots that it was made with, and their fingerprints then.
    links : list of str
        Files of other shots, paths below the archive, that hold arrays of this one.
    masks : dict
        Of its late masks: file (path below the archive), size, sha256; {} if it has none.
    """

    number: int
    instrument: str
    key: str
    kind: str
    title: str
    generation: int
    file: str
    size: int
    sha256: str
    fingerprint: str
    basis: str
    entries: dict[str, str]
    created: str
    raw_bytes: int
    start: float | None
    end: float | None
    images: dict[str, dict[str, Any]]
    groups: dict[str, dict[str, Any]]
    needs: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    masks: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: dict[str, Any]) -> ShotRecord:
        """Return the record of plain JSON, which becomes its own.

        Raises
        ------
        TypeError, ValueError
            If a field is missing, unknown, of another type than ours, or names a file elsewhere.
        """
        _check(data)
        if data.keys() != _FIELDS:
            return cls(**data)
        # A frozen dataclass sets field by field: 20 ms for 3,000 shots, before any answer.
        record = object.__new__(cls)
        vars(record).update(data)
        return record

    @property
    def identity(self) -> str:
        """``instrument/key``."""
        return f"{self.instrument}/{self.key}"

    @cached_property
    def indexed(self) -> list[tuple[str, int, int]]:
        """Indexed groups: name, number of the first row in the sky index, rows."""
        places, first = [], 0
        for name, group in self.groups.items():
            if not group["parent"]:
                places.append((name, first, int(group["rows"])))
                first += int(group["rows"])
        return places

    def place(self, row: int) -> tuple[str, int]:
        """Return the group and the row in it of a row number of the sky index."""
        for name, first, count in self.indexed:
            if row < first + count:
                return name, row - first
        raise IndexError(f"{self.identity} has no row {row}")


_FIELDS = frozenset(part.name for part in fields(ShotRecord))

_TIME: Final = (float, None)
_RECORD: Final = {
    "number": int, "instrument": str, "key": str, "kind": str, "title": str, "generation": int,
    "file": str, "size": int, "sha256": str, "fingerprint": str, "basis": str, "entries": dict,
    "created": str, "raw_bytes": int, "start": _TIME, "end": _TIME, "images": dict, "groups": dict,
    "needs?": dict, "links?": list, "masks?": dict,
}  # fmt: skip
_IMAGE: Final = {
    "unit": str, "band": str, "target": str, "shape": list, "start": _TIME, "end": _TIME,
    "footprint": (list, None),
}  # fmt: skip
_GROUP: Final = {"rows": int, "parent": str, "unit": str, "columns": dict}
_MASKS: Final = {"file": str, "size": int, "sha256": str}

_ROWS: Final = 2**28
"""Fibres of a group that are believed; the largest of a real shot has 105,000."""


def _check(data: dict[str, Any]) -> None:
    """Refuse a record that we do not write, which a stranger may have: quickly, for all are read.

    Objects of the same fields and types as one that conforms are not looked at again.
    """
    _same_types(data, _RECORD, "record")
    instrument, key, generation = data["instrument"], data["key"], data["generation"]
    if not is_shot_path(data["file"], instrument, key, generation):
        raise ValueError(f"'{data['file']}' is no name of the file of {instrument}/{key}")
    if not (0 < data["number"] < 2**32 and generation >= 0 and data["size"] >= 0):
        raise ValueError(f"{instrument}/{key} has an impossible number")
    for name in ("entries", "needs"):
        if data.get(name) and set(map(type, data[name].values())) != {str}:
            raise ValueError(f"'{name}' of {instrument}/{key} are no texts")
    for file in data.get("links", ()):
        if not leads_inside(file, SHOTS):
            raise ValueError(f"'{file}' is no name of a shot's file")
    masks = data.get("masks")
    if masks:
        conform(masks, _MASKS, "masks")
        if not leads_inside(masks["file"], MASKS):
            raise ValueError(f"'{masks['file']}' is no name of a late mask's file")
    for image in data["images"].values():
        _same_types(image, _IMAGE, "image")
        ny, nx = image["shape"]
        if not (type(ny) is int and type(nx) is int and 0 < ny < 2**31 and 0 < nx < 2**31):
            raise ValueError("the shape of an image is none")
    for group in data["groups"].values():
        _same_types(group, _GROUP, "group")
        if not 0 <= group["rows"] < _ROWS:
            raise ValueError("a group has an impossible number of rows")
        for column in group["columns"].values():
            if not (type(column) is list and len(column) == 2 and set(map(type, column)) == {str}):
                raise ValueError("a column of a group has no type and unit")


_seen: Final[set[tuple[Any, ...]]] = set()


def _same_types(data: dict[str, Any], schema: dict[str, Any], where: str) -> None:
    types = (where, *data, *map(type, data.values()))
    if types not in _seen:
        conform(data, schema, where)
        if len(_seen) < 1000:
            _seen.add(types)


def record_of(
    shot: StoredShot, number: int, file: str, stamp: FileStamp, masks: dict[str, Any] | None = None
) -> ShotRecord:
    """Return the record of a shot file: all of it stands in the files, so it can be rebuilt.

    Raises
    ------
    ArchiveDamaged
        If the file says what no record may say.
    """
    description = shot.description
    images = {
        name: {
            "unit": image["unit"], "band": image["band"], "target": image["target"],
            "shape": image["shape"], "start": image["times"][0], "end": image["times"][1],
            "footprint": image["footprint"],
        }
        for name, image in description["images"].items()
    }  # fmt: skip
    groups = {
        name: {
            "rows": group["rows"], "parent": group["parent"], "unit": group["unit"],
            "columns": {c["name"]: [c["dtype"], c["unit"]] for c in group["columns"]},
        }
        for name, group in description["groups"].items()
    }  # fmt: skip
    spans = [(image["start"], image["end"]) for image in images.values()]
    for name in groups:
        where = f"/fibers/{name}"
        spans.append(Times(shot.read(f"{where}/start"), shot.read(f"{where}/end")).span)
    known = [span for span in spans if None not in span and np.isfinite(span).all()]
    record = ShotRecord(
        number=number,
        instrument=shot.instrument,
        key=shot.key,
        kind=description["kind"],
        title=description["title"],
        generation=shot.generation,
        file=file,
        size=stamp.size,
        sha256=stamp.sha256,
        fingerprint=description["fingerprint"],
        basis=description["basis"],
        entries=description["entries"],
        created=description["created"],
        raw_bytes=description["raw_bytes"],
        start=min(span[0] for span in known) if known else None,
        end=max(span[1] for span in known) if known else None,
        images=images,
        groups=groups,
        needs=description.get("needs", {}),
        links=sorted({path_of(link) for link in shot.links()}),
        masks=dict(masks or {}),
    )
    try:
        _check(vars(record))
    except ValueError as error:
        raise ArchiveDamaged(f"{shot.path}: is not as corecube writes it: {error}") from error
    return record


def positions_of(
    shot: StoredShot,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return ra and dec of all rows of the indexed groups, in the order of row numbers."""
    names = [name for name in shot.groups if not shot.group(name)["parent"]]
    if not names:
        return np.empty(0), np.empty(0)
    ra, dec = (
        np.concatenate([shot.read(f"/fibers/{name}/{part}") for name in names])
        for part in ("ra", "dec")
    )
    return ra, dec


class Catalogue:
    """The shots of one state of the archive.

    Attributes
    ----------
    by_number : dict of int to ShotRecord
    by_identity : dict of str to ShotRecord
        In the order of identities.
    """

    def __init__(self, records: Iterable[dict[str, Any]]) -> None:
        living: dict[str, ShotRecord] = {}
        for record in records:
            if "removed" in record:
                living.pop(record["removed"], None)
            else:
                shot = ShotRecord.of(record)
                living[shot.identity] = shot
        self.by_identity = dict(sorted(living.items()))
        self.by_number = {shot.number: shot for shot in living.values()}

    @classmethod
    def load(cls, archive: Path, manifest: Manifest) -> Catalogue:
        """Read the catalogue of a state.

        Raises
        ------
        ArchiveDamaged
        """
        records = recordlog.read(archive, manifest.catalogue)
        try:
            return cls(records)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise ArchiveDamaged(
                f"{archive / manifest.catalogue.file}: is damaged: a record is not what corecube "
                f"writes ({error}); run 'corecube repair'"
            ) from error
