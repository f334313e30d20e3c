"""Looking at an archive after a kill: what must be there, and what must be gone."""

from __future__ import annotations

import importlib.util
import marshal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scenarios import INSTRUMENTS  # type: ignore[import-not-found]  # beside this file

_ENDS = (" ingested", " replaced")


def _comparing() -> Any:
    spec = importlib.util.spec_from_file_location("comparing", INSTRUMENTS / "content.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def remember(archive: Path, place: Path) -> int:
    """Write down what an archive holds."""
    module = _comparing()
    assert module.damages(archive) == []
    place.write_bytes(marshal.dumps(module.content(archive)))
    return 0


def look(
    archive: Path, place: Path, said: str, again: Callable[[], int], *, damaged: bool, settled: bool
) -> None:
    """Compare an archive that a killed command has left with what it must hold.

    Parameters
    ----------
    archive : Path
    place : Path
        Folder with the contents ``before`` and ``after`` an undisturbed run.
    said : str
        What the command had printed.
    again : callable
        Runs the command again and returns its exit code.
    damaged : bool
        The archive was damaged before; the command is to mend it.
    settled : bool
        No process of the killed command is left.

    Raises
    ------
    AssertionError
        If anything was lost or is wrong.
    """
    module = _comparing()
    after = marshal.loads((place / "after").read_bytes())
    before = place / "before"
    started = marshal.loads(before.read_bytes()) if before.exists() else _nothing(after)
    reported = _reported(said)
    left: set[str] = set()
    is_done = False
    if not (archive / "manifest.json").exists():
        assert not before.exists() and not reported, "there is no archive"
    elif not damaged:
        assert module.damages(archive) == []
        now = module.content(archive)
        old, new, found = (_by_shot(content) for content in (started, after, now))
        for identity in sorted({*old, *new, *found}):
            had, may, has = (shots.get(identity) for shots in (old, new, found))
            assert has in (had, may), f"{identity} is neither as before nor as it should be"
            assert has == may or identity not in reported, f"{identity} was reported, and is lost"
        left = _leftovers(archive)
        is_done = now == after
    code = again()
    # when all was done, there may be nothing left to remove; a repair says that it has found damage
    assert code == 0 or is_done or (damaged and code == 3), f"the next run ended with {code}"
    _clean(archive, left if settled and not is_done else set())
    assert module.damages(archive) == []
    now = module.content(archive)
    for part in after:
        assert now[part] == after[part], f"the next run leads to other {part}"


def _reported(said: str) -> set[str]:
    """Return the shots of which a command has said that it is done with them."""
    found = set()
    for line in said.splitlines():
        words = line.split()
        told = line.startswith("[") and any(f"{end}:" in line for end in _ENDS)
        if told or (len(words) == 2 and words[0] == "removed"):
            found.add(words[1])
        elif len(words) == 1 and words[0].count("/") >= 2:  # of `masks`
            found.add(words[0])
    return found


def _by_shot(content: dict[str, Any]) -> dict[str, Any]:
    """Return all that is known of each shot."""
    return {
        identity: (
            shot, content["records"][identity], content["sources"][identity],
            [row[1:] for row in content["sky"] if row[0] == identity],
        )
        for identity, shot in content["shots"].items()
    }  # fmt: skip


def _nothing(like: dict[str, Any]) -> dict[str, Any]:
    return {name: type(part)() for name, part in like.items()}


def _leftovers(archive: Path) -> set[str]:
    """Return the files that the present state does not need."""
    from corecube.archive.manifest import load
    from corecube.archive.reader import Archive

    manifest, _ = load(archive)
    with Archive(archive) as opened:
        shots = list(opened.state.catalogue.by_number.values())
    needed = manifest.files() | {"archive.json", "manifest.json", "lock"}
    for shot in shots:
        needed |= {shot.file, *shot.links, *([shot.masks["file"]] if shot.masks else [])}
    there = {str(item.relative_to(archive)) for item in archive.rglob("*") if item.is_file()}
    return {name for name in there - needed if not name.startswith("damaged/")}


def _clean(archive: Path, left: set[str]) -> None:
    """See to it that a writer takes away what others have left behind, and nothing else."""
    from corecube.archive.writer import ArchiveWriter

    both = left & _leftovers(archive)
    assert not both, f"the next writer has left {sorted(both)}"
    with ArchiveWriter(archive) as writer:
        writer.clean()
    assert not _leftovers(archive), f"a writer has left {sorted(_leftovers(archive))}"
