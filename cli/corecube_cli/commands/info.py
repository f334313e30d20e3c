"""``corecube info``."""

from __future__ import annotations

import json as jsons
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corecube_cli.console import count, size_text
from corecube_cli.parameters import Archive, Json, command, help_text, new_app

if TYPE_CHECKING:
    from corecube import archive as archives
    from corecube.archive.catalogue import ShotRecord

app = new_app()

_HELP = help_text(
    "Say what is in an archive.",
    "corecube info s82.corecube",
    "corecube info s82.corecube sdss",
    "corecube info s82.corecube sdss/2820-3-0122",
    "corecube info s82.corecube --json",
    more="NAME is an instrument or a shot. 'corecube show' says all of one shot, image or fibre.",
)
_SHOTS = 20
"""Shots that are listed for people; an instrument's name lists all of its own."""


@command(app, "info", _HELP)
def print_info(
    archive: Archive,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="An instrument or a shot.")
    ] = None,
    json: Json = False,
) -> None:
    """Print what is in an archive."""
    from corecube.archive import open_archive

    with open_archive(archive) as opened:
        found = _collected(opened, name)
    if json:
        print(jsons.dumps(found, indent=1, allow_nan=False))
    else:
        sys.stdout.write(_text(found, everything=name is not None))


def _collected(opened: archives.Archive, name: str | None) -> dict[str, Any]:
    """Return what is in the archive, as plain JSON."""
    from corecube.archive.about import read_about
    from corecube.archive.writer import load_state

    state = opened.state
    records = _chosen(opened, name)
    about = read_about(opened.path)
    left = load_state(opened.path, state.manifest)
    by_instrument: dict[str, list[ShotRecord]] = {}
    for record in records:
        by_instrument.setdefault(record.instrument, []).append(record)
    return {
        "archive": str(opened.path),
        "format": about["format"],
        "profile": about["profile"],
        "error bits": about.get("error_bits"),
        "levels": about.get("levels"),
        "created": about["created"],
        "generation": state.manifest.generation,
        "bytes": _bytes_below(opened.path),
        "instruments": [
            _summed(instrument, shots) for instrument, shots in by_instrument.items()
        ],
        "shots": [_shot(record) for record in records],
        "stored": _stored(opened, records[0]) if name is not None and len(records) == 1 else {},
        "waiting": [
            {"instrument": instrument, "kind": info.source.kind, "path": info.source.path}
            for instrument, part in left.items() for info in part.waiting
        ],
        "failed": [
            {"instrument": instrument, **failure}
            for instrument, part in left.items() for failure in part.failed.values()
        ],
    }  # fmt: skip


def _chosen(opened: archives.Archive, name: str | None) -> list[ShotRecord]:
    from corecube.archive.names import ShotRow
    from corecube.errors import QueryError
    from corecube_cli.naming import the_one

    records = list(opened.state.catalogue.by_identity.values())
    if name is None:
        return records
    mine = [record for record in records if record.instrument == name]
    if mine:
        return mine
    row = the_one(opened, name)
    if not isinstance(row, ShotRow):
        raise QueryError(f"{row.name} is no shot; see 'corecube show {opened.path} {row.name}'")
    return [row.record]


def _shot(record: ShotRecord) -> dict[str, Any]:
    return {
        "name": record.identity,
        "title": record.title,
        "images": len(record.images),
        "fibers": sum(rows for *_, rows in record.indexed),
        "start": record.start,
        "end": record.end,
        "bytes": record.size,
        "raw bytes": record.raw_bytes,
        "ratio": _ratio(record.size, record.raw_bytes),
        "created": record.created,
    }


def _summed(instrument: str, shots: list[ShotRecord]) -> dict[str, Any]:
    size = sum(shot.size for shot in shots)
    raw = sum(shot.raw_bytes for shot in shots)
    return {
        "instrument": instrument,
        "shots": len(shots),
        "images": sum(len(shot.images) for shot in shots),
        "bands": sorted({i["band"] for shot in shots for i in shot.images.values()} - {""}),
        "fibers": sum(rows for shot in shots for *_, rows in shot.indexed),
        "spectra": sum(about["rows"] for shot in shots for about in shot.groups.values()),
        "start": min((shot.start for shot in shots if shot.start is not None), default=None),
        "end": max((shot.end for shot in shots if shot.end is not None), default=None),
        "bytes": size,
        "bytes a shot": size // len(shots),
        "raw bytes": raw,
        "ratio": _ratio(size, raw),
    }


def _stored(opened: archives.Archive, record: ShotRecord) -> dict[str, Any]:
    """Return the bytes of a shot by what they are, and which errors are kept as recipes."""
    from corecube.archive.sizes import stored_bytes

    shot = opened.shot(record)
    recipes = {
        name: about["recipe"]["formula"]
        for name, about in shot.description["images"].items()
        if f"/images/{name}/error" not in shot.description["arrays"]
    }
    return {"bytes": stored_bytes(shot), "errors by recipe": recipes}


def _ratio(size: int, raw: int) -> float | None:
    return round(size / raw, 3) if raw else None


def _bytes_below(path: Path) -> int:
    return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())


def _text(found: dict[str, Any], *, everything: bool) -> str:
    """Return the text for people."""
    from corecube_cli.shown import columns

    shots, bits, levels = found["shots"], found["error bits"], found["levels"]
    lines = [
        f"{found['archive']}: format {found['format']}, profile {found['profile']}, "
        + (f"errors rounded to {bits} bits, " if bits is not None else "")
        + (f"{levels} levels an image, " if levels is not None else "")
        + f"generation {found['generation']}, {size_text(found['bytes'])}, made {found['created']}"
    ]
    if not shots:
        lines.append("it is empty")
    else:
        sizes = ("bytes", "bytes a shot", "raw bytes")
        table = [
            {
                **{k: size_text(v) if k in sizes else v for k, v in row.items()},
                "bands": " ".join(row["bands"]),
                "start": _day(row["start"]),
                "end": _day(row["end"]),
            }
            for row in found["instruments"]
        ]
        lines += ["", *columns(table), ""]
        listed = shots if everything else shots[:_SHOTS]
        keep = ("name", "images", "fibers", "start", "end", "bytes", "raw bytes", "ratio", "title")
        rows = [
            {
                key: size_text(shot[key]) if key in sizes
                else _day(shot[key]) if key in ("start", "end") else shot[key]
                for key in keep
            }
            for shot in listed
        ]  # fmt: skip
        lines += columns(rows)
        if len(listed) < len(shots):
            lines.append(f"... {len(shots) - len(listed)} more; name an instrument to see all")
    if found["stored"]:
        parts, recipes = found["stored"]["bytes"], found["stored"]["errors by recipe"]
        lines += ["", "of its bytes: " + ", ".join(f"{k} {size_text(n)}" for k, n in parts.items())]
        if recipes:
            said = ", ".join(f"{name} ({formula})" for name, formula in recipes.items())
            lines.append(f"errors by recipe: {said}")
    if found["waiting"]:
        lines += ["", f"waiting for files that they serve: {count(len(found['waiting']), 'file')}"]
        lines += [f"  {file['path']} ({file['kind']})" for file in found["waiting"][:_SHOTS]]
    if found["failed"]:
        lines += ["", "failed; tried again when the file changes, or with --force:"]
        lines += [f"  {f['shot']} {f['entry']}: {f['reason']}" for f in found["failed"][:_SHOTS]]
    from corecube.text import printable

    return "\n".join(printable(line) for line in lines) + "\n"


def _day(mjd: float | None) -> float | None:
    return None if mjd is None else round(mjd, 3)
