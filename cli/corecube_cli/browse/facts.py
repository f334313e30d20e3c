"""What the details say of a place: sections of names and values, as plain texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from corecube import masks
from corecube.errors import QueryError
from corecube.provenance import Provenance
from corecube.text import MISSING_TEXT, number_text, printable, sexagesimal
from corecube.times import iso
from corecube_cli.browse.places import (
    Fiber,
    Folder,
    Group,
    Instrument,
    More,
    Picture,
    Pictures,
    Place,
    Shot,
    Spectra,
)
from corecube_cli.console import count, size_text

if TYPE_CHECKING:
    from corecube.archive import Archive
    from corecube.archive.catalogue import ShotRecord
    from corecube.archive.names import FiberRow
    from corecube.archive.shotfile import StoredShot
    from corecube.frames import Fibers

_RELATED: Final = 40
"""Spectra of the same fibre that are listed."""
_SOURCES: Final = 40
"""Files that are listed."""


@dataclass
class Section:
    """A titled part: pairs of name and value, then lines."""

    title: str
    pairs: list[tuple[str, str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def add(self, name: str, value: object) -> None:
        """Add a pair unless the value is empty."""
        text = printable(str(value))
        if text not in ("", "None"):
            self.pairs.append((printable(name), text))


def facts_of(archive: Archive, place: Place) -> list[Section]:
    """Return what is known of a line of the tree without reading pixels."""
    if isinstance(place, Instrument):
        return _instrument(archive, place.name, "")
    if isinstance(place, Folder):
        return _instrument(archive, place.instrument, place.prefix)
    if isinstance(place, Shot):
        return _shot(archive, archive.record(place.identity))
    if isinstance(place, Group):
        return _group(archive, place)
    if isinstance(place, Picture):
        return image_facts(archive, place)
    if isinstance(place, Spectra | Pictures):
        what = "spectra" if isinstance(place, Spectra) else "images"
        return [Section(f"all {what} of {place.instrument}", [], ["Enter opens the table."])]
    if isinstance(place, More):
        return [Section("more", [], ["Enter lists the next ones."])]
    return []


def _instrument(archive: Archive, name: str, prefix: str) -> list[Section]:
    """Return what is known of an instrument, or of its shots whose keys begin alike."""
    records = [
        r
        for r in archive.state.catalogue.by_identity.values()
        if r.instrument == name and r.key.startswith(prefix)
    ]
    about = Section(printable(prefix or name))
    about.add("shots", len(records))
    about.add("images", sum(len(r.images) for r in records))
    about.add("fibres", sum(rows for r in records for *_, rows in r.indexed))
    about.add("spectra", sum(int(g["rows"]) for r in records for g in r.groups.values()))
    about.add("stored", size_text(sum(r.size for r in records)))
    about.add("raw files", size_text(sum(r.raw_bytes for r in records)))
    return [about]


def _shot(archive: Archive, record: ShotRecord) -> list[Section]:
    about = Section(printable(record.key))
    about.add("instrument", record.instrument)
    about.add("title", record.title)
    about.add("kind", record.kind)
    _add_times(about, record.start, record.end)
    stored = Section("stored")
    stored.add("file", record.file)
    stored.add("size", size_text(record.size))
    stored.add("raw files", size_text(record.raw_bytes))
    stored.add("ingested", record.created)
    stored.add("generation", record.generation)
    return [about, stored, _sources(archive, record, None), _configuration(archive, record)]


def _group(archive: Archive, place: Group) -> list[Section]:
    record = archive.record(place.shot)
    about = Section(printable(place.name))
    group = archive.shot(record).group(place.name)
    about.add("shot", record.identity)
    about.add("spectra", group["rows"])
    about.add("pixels", group["width"])
    about.add("parent", group["parent"])
    about.add("unit", group["unit"])
    wave = group["wave"]
    about.add("wavelengths", " ".join(filter(None, (wave.get("unit"), wave.get("medium")))))
    about.add("rest frame", wave.get("specsys", ""))
    about.add("layers", ", ".join(group["layers"]))
    about.add("bits", ", ".join(group["bits"]))
    columns = Section("columns")
    for column in group["columns"]:
        unit = f" [{column['unit']}]" if column.get("unit") else ""
        columns.add(column["name"] + unit, column.get("description") or MISSING_TEXT)
    return [about, columns]


def fiber_facts(row: FiberRow, frame: Fibers, wave: npt.NDArray[np.float64]) -> list[Section]:
    """Return what is known of a fibre; its spectrum has been read."""
    assert frame.mask is not None
    record = row.record
    about = Section(printable(frame.id[0]))
    about.add("target", frame.target[0] if frame.target else "")
    about.add("shot", record.identity)
    about.add("group", frame.name)
    if frame.parent:
        about.add("of", f"{frame.parent}/{frame.parent_id[0]}")
    about.add("title", record.title)
    ra, dec = float(frame.ra[0]), float(frame.dec[0])
    about.add("position", _position(ra, dec) or "none")
    _add_times(about, *frame.times.span, frame.times.quality)
    about.add("unit", frame.unit)
    outside = (frame.mask & np.uint32(masks.value("outside"))) != 0
    inside = np.flatnonzero(np.isfinite(wave) & ~outside[0])
    about.add("pixels", count(len(inside), "pixel"))
    if len(inside):
        spec = frame.wave
        words = ", ".join(filter(None, (spec.unit, spec.medium, spec.specsys)))
        about.add("from", f"{wave[inside[0]]:.10g} {words}")
        about.add("to", f"{wave[inside[-1]]:.10g} {spec.unit}")
    columns = Section("columns")
    for column, values in frame.columns.items():
        columns.add(column.name, _value(column, values[0]))
    related = Section("more spectra of this fibre")
    names = row.related()
    related.lines = [printable(f"{more.group}/{more.id}") for more in names[:_RELATED]]
    if len(names) > _RELATED:
        related.lines.append(f"... {len(names) - _RELATED} more")
    if related.lines:
        related.lines.append("'e' lists them")
    mask = _mask(masks.counts(frame.mask[~outside]))
    arrays = Section("arrays")
    for kind, named in (("layer", frame.layers), ("calibration", frame.calibration)):
        for name, array in named.items():
            shape = " x ".join(map(str, array.values.shape)) or "1"
            arrays.add(name, f"{kind}, {shape} {array.unit}".rstrip())
    where = frame.provenance
    return [
        about, columns, related, mask, *_provenance(where), arrays,
        *_origin(row.archive, record, where, frame.header),
    ]  # fmt: skip


def image_facts(archive: Archive, place: Picture) -> list[Section]:
    """Return what is known of an image; no pixel of it is read."""
    record = archive.record(place.shot)
    shot = archive.shot(record)
    if place.name not in shot.description["images"]:
        raise QueryError(f"{place.shot} has no image '{place.name}' any more")
    image: dict[str, Any] = shot.description["images"][place.name]
    about = Section(printable(place.name))
    about.add("shot", record.identity)
    about.add("title", record.title)
    about.add("band", image["band"])
    about.add("target", image["target"])
    about.add("size", " x ".join(str(size) for size in reversed(image["shape"])) + " pixels")
    about.add("unit", image["unit"])
    _add_times(about, *image["times"])
    cards = image["cards"]
    about.add("WCS", "none" if cards is None else cards.get("CTYPE1", "yes"))
    about.add("bits", ", ".join(image["bits"]))
    arrays = Section("arrays")
    for kind in ("layers", "calibration"):
        _add_stored(arrays, shot, place.name, kind, image[kind])
    where = Provenance.from_json(shot.history["images"][place.name])
    header = shot.header(image["header"])
    return [about, *_provenance(where), arrays, *_origin(archive, record, where, header)]


def _add_stored(
    section: Section, shot: StoredShot, image: str, kind: str, kept: Mapping[str, Any]
) -> None:
    """Add the arrays that belong to an image, as the shot's description lists them."""
    for name, place in kept.items():
        if isinstance(place, dict):
            section.add(name, f"{kind}, in {place.get('shot')}/{place.get('frame')}")
            continue
        path = f"/images/{image}/layers/{name}" if kind == "layers" else f"/calibration/{place}"
        listed = shot.description["arrays"].get(path, {})
        shape = " x ".join(map(str, listed.get("shape", ()))) or "1"
        section.add(name, f"{kind}, {shape} {listed.get('unit', '')}".rstrip())


def _provenance(where: Provenance) -> list[Section]:
    """Return where a frame comes from and what its user should know."""
    steps = [f"{n}. {step}" for n, step in enumerate(where.steps, 1)]
    return [
        Section(title, [], [printable(line) for line in lines])
        for title, lines in (
            ("provenance", steps), ("notes", where.notes), ("not in the error", where.not_modelled),
            ("made from", where.parents),
        )
    ]  # fmt: skip


def _origin(archive: Archive, record: ShotRecord, where: Provenance, header: str) -> list[Section]:
    """Return the files, the settings and the header that a frame comes from."""
    lines = [printable(line.rstrip()) for line in header.splitlines()]
    return [
        _sources(archive, record, {source.rsplit("/", 1)[-1] for source in where.sources}),
        _configuration(archive, record),
        Section("header", [], lines),
    ]


def _sources(archive: Archive, record: ShotRecord, names: Iterable[str] | None) -> Section:
    section = Section("files")
    wanted = None if names is None else set(names)
    infos = [
        info for info in archive.shot(record).infos
        if wanted is None or info.source.path.rsplit("/", 1)[-1] in wanted
    ]  # fmt: skip
    folder = ""
    for info in infos[:_SOURCES]:
        where, slash, name = info.source.path.rpartition("/")
        if where != folder:
            folder = where
            section.lines.append(printable(f"{where}{slash}"))
        said = f"{info.source.kind}, {size_text(info.source.size)}"
        section.lines.append(printable(f"{'  ' * bool(slash)}{name} ({said})"))
    if len(infos) > _SOURCES:
        section.lines.append(f"... {len(infos) - _SOURCES} more")
    return section


def _configuration(archive: Archive, record: ShotRecord) -> Section:
    section = Section("configuration")
    for name, value in archive.shot(record).config.items():
        section.add(str(name), value if isinstance(value, str) else repr(value))
    return section


def _mask(counts: dict[str, int]) -> Section:
    section = Section("mask", [(name, count(n, "pixel")) for name, n in counts.items()])
    if not counts:
        section.lines = ["no plane is set"]
    return section


def _add_times(section: Section, start: float | None, end: float | None, quality: str = "") -> None:
    if start is None or end is None or not (np.isfinite(start) and np.isfinite(end)):
        return
    said = f" ({quality})" if quality and quality != "exact" else ""
    section.add("start", f"MJD {start:.5f} TAI, {iso(start)}{said}")
    section.add("end", f"MJD {end:.5f} TAI, {iso(end)}{said}")


def _position(ra: float, dec: float) -> str:
    if not (np.isfinite(ra) and np.isfinite(dec)):
        return ""
    hours = sexagesimal(ra, hours=True, decimals=3)
    return f"{ra:.7f} {dec:.7f} = {hours} {sexagesimal(dec)} ICRS"


def _value(column: Any, value: Any) -> str:
    if isinstance(value, float | np.floating) and np.isnan(value):
        return MISSING_TEXT
    if (column.missing is not None and value == column.missing) or value == "":
        return MISSING_TEXT
    text = value if isinstance(value, str) else number_text(value)
    return f"{text} {column.unit}".rstrip()


def place_of(archive: Archive, place: Place) -> tuple[float | None, float | None]:
    """Return the position of a fibre, or of the middle of an image; None where there is none."""
    if isinstance(place, Fiber):
        shot = archive.shot(archive.record(place.shot))
        key = slice(place.row, place.row + 1)
        ra, dec = (shot.read(f"/fibers/{place.group}/{name}", key) for name in ("ra", "dec"))
        found = (float(ra[0]), float(dec[0]))
    elif isinstance(place, Picture):
        from corecube.archive.imageindex import ImagePlace

        record = archive.record(place.shot)
        found = ImagePlace(record, place.name, record.images[place.name]).center
    else:
        return None, None
    return found if np.isfinite(found).all() else (None, None)
