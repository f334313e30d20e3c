"""Checking an archive: every byte is as it was written, or it is said which is not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corecube import hdf5
from corecube.archive import chunks, latemasks, links, recordlog, skyverify
from corecube.archive.about import error_bits_of, levels_of, profile_of
from corecube.archive.catalogue import ShotRecord, positions_of
from corecube.archive.durable import sha256_file
from corecube.archive.inside import inside
from corecube.archive.layout import INDEX
from corecube.archive.reader import Archive, State
from corecube.archive.shotfile import StoredShot
from corecube.archive.writer import load_state
from corecube.errors import ArchiveDamaged, CorecubeError


@dataclass(frozen=True)
class Damage:
    """Something that is not as it was written.

    Attributes
    ----------
    where : str
        Shot or file below the archive.
    what : str
        What is wrong, and what to do.
    """

    where: str
    what: str


_AGAIN = "ingest its files again with --force"


def verify(archive: Archive, *, quick: bool = False) -> Iterator[tuple[str, list[Damage]]]:
    """Check an archive, part by part.

    Parameters
    ----------
    archive : Archive
    quick : bool
        Only existence, sizes and structure; it does not see changed bytes in arrays.

    Yields
    ------
    (name, damages) : str, list of Damage
        A shot's identity or "index"; an empty list if it is good.

    Notes
    -----
    Others may write meanwhile. What they replace or remove is no damage: it is looked for anew in
    the state of the archive by then.
    """
    for name, _ in parts(archive):
        yield name, check_part(archive, name, quick=quick)


def parts(archive: Archive) -> Iterator[tuple[str, int]]:
    """Yield what there is to check, "index" or a shot's identity, and the bytes of its file."""
    state = archive.state
    yield _INDEX, sum(run.size for run in state.manifest.runs)
    for record in state.catalogue.by_identity.values():
        yield record.identity, record.size


def check_part(archive: Archive, name: str, *, quick: bool = False) -> list[Damage]:
    """Return what is wrong with a part of an archive, [] also where it was removed since."""
    if name == _INDEX:
        return _settled_index(archive, quick)
    record = archive.state.catalogue.by_identity.get(name)
    return [] if record is None else _settled_shot(archive, record, quick)


_INDEX = "index"

_TRIES = 5
"""How often a part is checked again because a writer has changed it."""


def _settled_index(archive: Archive, quick: bool) -> list[Damage]:
    for _ in range(_TRIES):
        state = archive.state
        found = list(_check_index(archive, state, quick))
        if not found or archive.state is state:
            break
    return found


def _settled_shot(archive: Archive, record: ShotRecord, quick: bool) -> list[Damage]:
    for _ in range(_TRIES):
        found = list(_check_shot(archive.path, record, quick))
        if not found and not quick:
            found = list(_check_count(archive, record))
        if not found:
            break
        now = archive.state.catalogue.by_identity.get(record.identity)
        if now is None:  # it was removed
            return []
        if now == record:
            break
        record = now
    return found


def _check_index(archive: Archive, state: State, quick: bool) -> Iterator[Damage]:
    for run in state.manifest.runs:
        try:
            path = inside(archive.path, f"{INDEX}/{run.file}")
            if quick:
                path.stat()
            else:
                skyverify.verify(path, run)
        except (CorecubeError, OSError) as error:
            yield Damage(f"{INDEX}/{run.file}", f"{error}; {_AGAIN}")
            return
    try:
        profile_of(archive.path)
        error_bits_of(archive.path)
        levels_of(archive.path)
        recordlog.read(archive.path, state.manifest.sources)
        load_state(archive.path, state.manifest)
    except CorecubeError as error:
        yield Damage("catalogue", str(error))
    if quick:
        return
    try:
        _counts(state)
    except (CorecubeError, OSError) as error:
        yield Damage(INDEX, f"{error}; {_AGAIN}")


def _counts(state: State) -> dict[int, int]:
    """Return how many fibres the sky index has of each shot, by number; counted once."""
    known: dict[int, int] | None = vars(state).get("_counts")
    if known is None:
        known = {}
        if state.manifest.runs:
            from corecube.archive.regions import Cone

            rows = state.sky.search(Cone(0, 0, 180))["shot"]
            numbers, counts = np.unique(rows, return_counts=True)
            known = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
        vars(state)["_counts"] = known
    return known


def _check_count(archive: Archive, record: ShotRecord) -> Iterator[Damage]:
    """Compare the number of a sound shot's positions with that in the sky index."""
    state = archive.state
    if state.catalogue.by_identity.get(record.identity) != record:
        return  # it is looked at again, as it is now
    try:
        with StoredShot(inside(archive.path, record.file), archive.path) as shot:
            ra, dec = positions_of(shot)
        indexed = _counts(state).get(record.number, 0)
    except (CorecubeError, OSError):
        return  # said with the index
    expected = int(np.count_nonzero(np.isfinite(ra) & np.isfinite(dec)))
    if indexed != expected:
        yield Damage(
            record.identity, f"the sky index has {indexed} of its {expected} fibres; {_AGAIN}"
        )


def _check_shot(archive: Path, record: ShotRecord, quick: bool) -> Iterator[Damage]:
    yield from check_file(archive, record, quick)
    yield from check_masks(archive, record, quick)
    if record.links:
        yield from _check_links(archive, record, quick)


def check_masks(archive: Path, record: ShotRecord, quick: bool) -> Iterator[Damage]:
    """Yield what is wrong with the late masks of a shot."""
    if not record.masks:
        return
    file = record.masks["file"]
    todo = "make it anew with 'corecube masks'"
    try:
        path = inside(archive, file)
        if path.stat().st_size != record.masks["size"] or not (
            quick or sha256_file(path) == record.masks["sha256"]
        ):
            yield Damage(record.identity, f"its late mask {file} is damaged; {todo}")
        elif not quick:
            late = latemasks.read(path, record.identity, record.generation)
            with StoredShot(inside(archive, record.file), archive) as shot:
                latemasks.check(late, latemasks.shapes_of(shot))
    except FileNotFoundError:
        yield Damage(record.identity, f"its late mask {file} is missing; {todo}")
    except CorecubeError as error:
        yield Damage(record.identity, str(error))


def _check_links(archive: Path, record: ShotRecord, quick: bool) -> Iterator[Damage]:
    """Follow the links of a shot to the arrays of others and compare their digests."""
    for file in record.links:
        if not (archive / file).exists():  # a link out of the archive is found when it is followed
            yield Damage(
                record.identity,
                f"links to arrays in {file}, which is missing; ingest the files of both shots "
                "again with --force",
            )
    if quick:
        return
    try:
        with StoredShot(inside(archive, record.file), archive) as shot:
            for link in shot.links():
                if (archive / links.path_of(link)).exists():
                    try:
                        links.resolve(link, archive, record.file, StoredShot, fresh=True)
                    except ArchiveDamaged as error:
                        yield Damage(record.identity, str(error))
    except (CorecubeError, OSError):
        return  # said with the file


def check_file(archive: Path, record: ShotRecord, quick: bool) -> Iterator[Damage]:
    """Yield what is wrong with the file of a shot."""
    try:
        path = inside(archive, record.file)
        size = path.stat().st_size
    except ArchiveDamaged as error:
        yield Damage(record.identity, str(error))
        return
    except FileNotFoundError:
        yield Damage(record.identity, f"its file {record.file} is missing; {_AGAIN}")
        return
    if size != record.size:
        yield Damage(
            record.identity, f"its file has {size} bytes instead of {record.size}; {_AGAIN}"
        )
        return
    if not quick and sha256_file(path) == record.sha256:
        return  # every byte is as it was when the shot was proved
    damages = list(check_inside(path, record, quick))
    if not quick and not damages:
        damages = [
            Damage(record.identity, f"bytes outside of its arrays have changed; {_AGAIN}")
        ]  # fmt: skip
    yield from damages


def check_inside(path: Path, record: ShotRecord, quick: bool) -> Iterator[Damage]:
    """Yield which array and which chunk is damaged; bytes are compared, never decoded."""
    try:
        shot = StoredShot(path)
    except CorecubeError as error:
        yield Damage(record.identity, f"{error}; {_AGAIN}")
        return
    with shot:
        found = shot.identity, shot.generation, shot.description["fingerprint"]
        if found != (record.identity, record.generation, record.fingerprint):
            yield Damage(
                record.identity,
                f"its file is that of {shot.identity}, generation {shot.generation}; {_AGAIN}",
            )
            return
        try:
            sums = shot.read("/checksums")
        except CorecubeError as error:
            yield Damage(record.identity, f"its checksums are damaged ({error}); {_AGAIN}")
            return
        with path.open("rb") as raw:
            for name, listed in shot.description["arrays"].items():
                first, count = listed.get("checksums", (0, 0))  # the checksums have none
                yield from _check_array(
                    record, shot, raw.fileno(), name, sums[first : first + count], quick
                )


def _check_array(
    record: ShotRecord, shot: StoredShot, raw: int, name: str, sums: Any, quick: bool
) -> Iterator[Damage]:
    if not len(sums):
        return
    try:
        array = hdf5.node(shot._file, name)
        counts = [-(-n // c) for n, c in zip(array.shape, array.chunkshape, strict=True)]
        if list(array.shape) != shot.description["arrays"][name]["shape"]:
            yield Damage(record.identity, f"{name} has another shape than described; {_AGAIN}")
            return
        if quick:
            return
        for index, crc in zip(np.ndindex(*counts), sums.tolist(), strict=True):
            start = tuple(i * c for i, c in zip(index, array.chunkshape, strict=True))
            place = array.chunk_info(start)
            data = b"" if place.offset is None else os.pread(raw, place.size, place.offset)
            if (chunks.crc(data) if data else 0) != crc:
                place_text = [int(i) for i in start]
                yield Damage(
                    record.identity, f"{name} is damaged in the chunk at {place_text}; {_AGAIN}"
                )
    except (CorecubeError, ValueError, OSError, hdf5.library().HDF5ExtError) as error:
        yield Damage(record.identity, f"{name} cannot be read ({error}); {_AGAIN}")
