"""F13: truncated files and flipped bits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from corecube import config as configuration
from corecube.files import packing_of
from corecube.testing.case import Case
from corecube.testing.model import DoesNotApply, check
from corecube.testing.processes import run

_SECONDS: Final = 6.0
"""Time for all kinds of files together."""

_KINDS: Final = 4
"""So many kinds of files are damaged, the smallest file of each."""

_LARGEST: Final = 8 * 2**20
"""Bytes; a larger file takes too long to be read again and again."""

_MEMORY: Final = 4.0
"""Times the memory of a good read."""

_SIZED: Final = (b"SIMPLE  =", b"\x89HDF")
"""Beginnings of formats that say how long a file is."""


@check(
    "F13", "frame", "truncated files and flipped bits give errors of ours that name the file",
    needs=("F11",),
)  # fmt: skip
def damage_is_told(case: Case) -> Iterator[str]:
    """Damage the smallest file of each kind in many ways and read it."""
    targets = _targets(case)
    if not targets:
        raise DoesNotApply(f"no file is smaller than {_LARGEST} bytes")
    for seed, (kind, (path, files)) in enumerate(targets.items()):
        for line in _damaged(case, path, files, _SECONDS / len(targets), seed):
            yield f"{kind} ({Path(path).name}): {line}"


def _targets(case: Case) -> dict[str, tuple[str, list[str]]]:
    """Return for each kind of file the smallest one, and the files of its plan."""
    found: dict[str, tuple[int, str, list[str]]] = {}
    needs = {plan.key: plan for plan in case.plans}
    for entry in case.sample:
        plans = [entry.plan, *(needs[key] for key in entry.plan.needs if key in needs)]
        together = sorted({source.path for plan in plans for source in plan.sources})
        for source in (*entry.plan.entries[entry.name], *entry.plan.companions):
            size = Path(source.path).stat().st_size
            if size <= _LARGEST and (source.kind not in found or size < found[source.kind][0]):
                found[source.kind] = (size, source.path, together)
    return {kind: (path, files) for kind, (_, path, files) in list(found.items())[:_KINDS]}


def _damaged(
    case: Case, path: str, together: list[str], seconds: float, seed: int
) -> Iterator[str]:
    folder = case.new_folder("damage")
    copies = {old: folder / Path(old).relative_to(case.inputs) for old in together}
    for old, new in copies.items():
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(Path(old).read_bytes())
    log = folder / "log.json"
    needs = any(entry.plan.needs for entry in case.sample)
    order = {
        "config": configuration.to_json(case.config), "files": [str(p) for p in copies.values()],
        "target": str(copies[path]), "seconds": seconds, "seed": seed, "log": str(log),
        "archive": str(case.archive) if needs else "",
    }  # fmt: skip
    ended = run(case, "damage", order)
    if not ended.result:
        place = json.loads(log.read_text(encoding="ascii")) if log.exists() else ["", 0]
        yield f"a process that read it with {_words(*place)} {ended.end}"
        return
    head = Path(path).read_bytes()[:9]
    sized = bool(packing_of(head)) or head.startswith(_SIZED)
    yield from _told(ended.result, sized)
    if ended.result["memory"] > _MEMORY:
        yield f"damaged it takes {ended.result['memory']:.0f} times the memory of the good file"


def _told(found: dict[str, Any], sized: bool) -> Iterator[str]:
    """Yield what is wrong, each kind of error once."""
    said: set[str] = set()
    for kind in ("cut", "flip"):
        for place, what in found[kind]:
            wrong = what not in ("", "read", "refused", "other")
            if kind == "cut" and what == "other" and sized:
                wrong, what = True, "it is read as if nothing were missing, with other values"
            if wrong and what not in said:
                said.add(what)
                yield f"with {_words(kind, place)}: {what}"


def _words(kind: str, place: int) -> str:
    return f"a bit flipped in byte {place}" if kind == "flip" else f"its end lost from byte {place}"
