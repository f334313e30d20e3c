"""What an archive holds, without that which may differ: paths, times, generations."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corecube.archive.manifest import load
from corecube.archive.reader import Archive
from corecube.archive.regions import Cone
from corecube.archive.shotfile import StoredShot
from corecube.archive.verify import verify
from corecube.archive.writer import load_sources, load_state

_MADE = ("generation", "created", "arrays")  # when and in which order it was made
_WHEN = ("number", "generation", "file", "size", "sha256", "created", "masks")


def content(path: Path) -> dict[str, Any]:
    """Return all that a user can get out of an archive, comparable with ``==``."""
    manifest, _ = load(path)
    waiting = {
        name: sorted(_info(info.to_json()) for info in state.waiting)
        for name, state in load_state(path, manifest).items()
    }
    failed = {name: dict(state.failed) for name, state in load_state(path, manifest).items()}
    with Archive(path) as archive:
        records = archive.state.catalogue.by_identity
        shots = {identity: _shot(archive.shot(record)) for identity, record in records.items()}
        sky = archive.state.sky.search(Cone(0, 0, 180))
        numbers = {record.number: identity for identity, record in records.items()}
        return {
            "waiting": waiting,
            "failed": failed,
            "shots": shots,
            "records": {
                identity: {
                    n: _VALUE.get(n, _same)(v)
                    for n, v in vars(record).items()
                    if n not in (*_WHEN, "indexed")
                }
                for identity, record in records.items()
            },
            "sources": {
                identity: sorted(_info(info.to_json()) for info in infos)
                for identity, infos in load_sources(path, manifest).items()
            },
            "sky": sorted(
                (numbers[number], row, ra, dec)
                for number, row, ra, dec in zip(
                    *(sky[name].tolist() for name in ("shot", "row", "ra", "dec")), strict=True
                )
            ),
        }


def damages(path: Path) -> list[tuple[str, str]]:
    """Return what `verify` finds, and what it should have: catalogue and files agree."""
    with Archive(path) as archive:
        return [(d.where, d.what) for _, found in verify(archive) for d in found]


def listing(path: Path) -> dict[str, tuple[int, int, int]]:
    """Return inode, time of change in ns and size of everything below a folder."""
    found = {}
    for item in [path, *path.rglob("*")]:
        status = item.stat()
        found[str(item.relative_to(path))] = (status.st_ino, status.st_mtime_ns, status.st_size)
    return found


def _shot(shot: StoredShot) -> dict[str, Any]:
    history = shot.history
    plan = history["plan"]
    return {
        "about": _unlinked({n: v for n, v in shot.description.items() if n not in _MADE}),
        "arrays": {
            name: ({n: v for n, v in about.items() if n != "checksums"}, _digest(shot, name))
            for name, about in shot.description["arrays"].items()
            if name not in ("/provenance", "/checksums", "/description")
        },
        "images": history["images"],
        "blocks": _unlinked(history["blocks"]),
        "late": [
            (s.frame, s.source, s.plane, s.row.tolist(), s.first.tolist(), s.last.tolist())
            for s in shot.late.spans
        ],
        "config": history["config"],
        "plan": {
            **plan,
            "entries": {
                entry: [_source(source) for source in sources]
                for entry, sources in plan["entries"].items()
            },
            "companions": sorted(_source(source) for source in plan["companions"]),
        },
        "infos": sorted(_info(info) for info in history["infos"]),
    }


def _unlinked(data: Any) -> Any:
    """Leave out which generation of a shot a link leads to: the digest says what is there."""
    if isinstance(data, dict):
        link = data.keys() >= {"shot", "generation", "frame", "field", "digest"}
        return {n: _unlinked(v) for n, v in data.items() if not (link and n == "generation")}
    return [_unlinked(part) for part in data] if isinstance(data, list) else data


def _same(value: Any) -> Any:
    return value


def _linked(files: list[str]) -> list[str]:
    return sorted({file.removesuffix(".h5").rsplit(".", 1)[0] for file in files})


_VALUE: dict[str, Any] = {"links": _linked}  # their files have a generation


def _digest(shot: StoredShot, name: str) -> tuple[str, tuple[int, ...], str]:
    values = shot.read(name)
    return values.dtype.str, values.shape, hashlib.sha256(values.tobytes()).hexdigest()


def _source(source: Mapping[str, Any]) -> tuple[str, str, int]:
    return source["kind"], source["digest"], source["size"]


def _info(info: Mapping[str, Any]) -> tuple[Any, ...]:
    return (info["key"], info["entry"], info["rank"], repr(info["facts"]), _source(info["source"]))
