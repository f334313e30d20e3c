"""A2, A3, A5, A7: the same archive by other ways."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from corecube import config as configuration
from corecube.archive import open_archive
from corecube.archive.verify import verify
from corecube.errors import ArchiveMissing
from corecube.testing.case import Case
from corecube.testing.comparing import contents, listing, other_content
from corecube.testing.model import DoesNotApply, check
from corecube.testing.processes import start

_SOUND: Final = ("A0", "F9", "F11")

_KILLS: Final = 3

_LONG: Final = "Müller λ Cyg 星 " + "x" * 80
"""Name of a folder: several alphabets, blanks, long."""


@check(
    "A2", "archive", "a second ingest writes nothing; any order and halves give the same",
    needs=_SOUND,
)  # fmt: skip
def order_does_not_matter(case: Case) -> Iterator[str]:
    """Ingest again, in reverse order, and in two halves."""
    first = case.contents
    before = listing(case.archive)
    case.ingest(case.files, case.archive)
    if listing(case.archive) != before:
        yield "a second ingest of the same files writes"
    for line in _made_of(case, first, [case.files[::-1]]):
        yield f"in reverse order: {line}"
    if len(case.files) > 1:
        for line in _made_of(case, first, [case.files[1::2], case.files[::2]]):
            yield f"in two halves: {line}"


def _made_of(
    case: Case, first: dict[str, dict[str, object]], parts: Sequence[Sequence[str]]
) -> Iterator[str]:
    archive = case.new_folder("again") / "other.corecube"
    for part in parts:
        case.ingest(part, archive)
    yield from other_content(first, contents(archive))


@check("A3", "archive", "killed at any time it leaves the old state or the new one", needs=_SOUND)
def survives_kills(case: Case) -> Iterator[str]:
    """Kill ingests at a few points, verify, and let them be finished."""
    first = case.contents
    archive = case.new_folder("killed") / "killed.corecube"
    order = {
        "files": case.files, "archive": str(archive), "config": configuration.to_json(case.config),
    }  # fmt: skip
    for number in range(_KILLS):
        process, _ = start(case, "ingest", order)
        ends = time.monotonic() + 60
        while process.poll() is None and not archive.exists() and time.monotonic() < ends:
            time.sleep(0.01)
        time.sleep(0.05 + 0.25 * number)  # now it reads and writes
        process.kill()
        process.communicate()
        yield from (f"after a kill: {line}" for line in _damages(archive))
    case.ingest(case.files, archive)
    yield from (f"after {_KILLS} kills: {line}" for line in _damages(archive))
    yield from (f"after {_KILLS} kills: {line}" for line in other_content(first, contents(archive)))


def _damages(archive: Path) -> Iterator[str]:
    try:
        with open_archive(archive) as opened:
            for _, found in verify(opened):
                yield from (f"{damage.where}: {damage.what}" for damage in found)
    except ArchiveMissing:
        return  # it was killed before there was one


@check("A5", "archive", "shots of one archive do not mix", needs=_SOUND)
def shots_do_not_mix(case: Case) -> Iterator[str]:
    """Compare the smallest shot with the same one in an archive of its own."""
    if len(case.plans) < 2:
        raise DoesNotApply("the files make only one shot")
    plan = case.smallest
    if plan.needs:
        raise DoesNotApply("every shot needs another one")
    archive = case.new_folder("alone") / "alone.corecube"
    case.ingest(sorted({source.path for source in plan.sources}), archive)
    identity = f"{case.name}/{plan.key}"
    alone = contents(archive)
    if set(alone) != {identity}:
        yield f"its files alone make {', '.join(alone) or 'nothing'} instead of {identity}"
    if identity in case.contents and identity in alone:
        yield from other_content(
            {identity: case.contents[identity]}, {identity: alone[identity]}
        )  # fmt: skip


@check("A7", "archive", "folders with long names in several alphabets do no harm", needs=_SOUND)
def strange_folders(case: Case) -> Iterator[str]:
    """Ingest the smallest shot from a folder with a strange name into such an archive."""
    plan = case.smallest
    if plan.needs:
        raise DoesNotApply("every shot needs another one")
    folder = case.new_folder("names") / _LONG
    originals = [Path(path) for path in sorted({source.path for source in plan.sources})]
    files = []
    for path in originals:
        new = folder / path.relative_to(case.inputs)
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(path.read_bytes())
        files.append(str(new))
    archive = folder / "archive.corecube"
    report = case.ingest(files, archive)
    yield from (f"{Path(where).name}: {reason}" for where, reason in report.failures)
    identity = f"{case.name}/{plan.key}"
    if identity not in case.contents:
        return
    if not archive.exists():
        yield "its files are not recognised there"
        return
    yield from other_content({identity: case.contents[identity]}, contents(archive))
