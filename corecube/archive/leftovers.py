"""Files that the present state of an archive does not need: of dead writers, and of former states.

What a dead writer left behind was never part of a state and goes at once. What a commit has made
superfluous stays for a while: a reader that found its rows before the commit reads them after it.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from corecube.archive import recordlog
from corecube.archive.layout import CATALOGUE, INDEX, MASKS, SHOTS

if TYPE_CHECKING:
    from corecube.archive.catalogue import Catalogue
    from corecube.archive.manifest import Manifest

GRACE: Final = 600.0
"""Seconds that a former file stays, for readers that know of it."""

_OURS: Final = re.compile(r"^\.tmp-|\.\d+\.(h5|log|json)$|\.\d+\.[0-9a-f]{8}\.mask$|\.run$")

_GENERATION: Final = re.compile(r"^index/(\d+)-|^catalogue/\w+\.(\d+)\.")


def clean(
    archive: Path,
    manifest: Manifest,
    catalogue: Catalogue,
    grace: float = 0.0,
    now: float | None = None,
) -> list[str]:
    """Delete what the present state does not need; the archive must be locked.

    Parameters
    ----------
    archive : Path
    manifest : Manifest
    catalogue : Catalogue
        Of this manifest.
    grace : float
        Seconds that files of former states stay.
    now : float, optional
        Seconds since 1970; the clock's where not given.

    Returns
    -------
    list of str
        Paths of the deleted files below the archive.
    """
    shots = catalogue.by_number.values()
    needed = manifest.files() | {shot.file for shot in shots}
    needed |= {file for shot in shots for file in shot.links}
    needed |= {shot.masks["file"] for shot in shots if shot.masks}
    superfluous = [
        str(item.relative_to(archive))
        for folder in (SHOTS, MASKS, INDEX, CATALOGUE)
        for item in sorted((archive / folder).rglob("*"))
        if _OURS.search(item.name) and (item.is_file() or item.is_symlink())
    ]
    superfluous = [name for name in superfluous if name not in needed]
    if grace > 0:
        kept = set(_lately(archive, manifest, superfluous, grace, now or time.time()))
        superfluous = [name for name in superfluous if name not in kept]
    superfluous += [
        item.name for item in archive.glob(".tmp-*") if item.is_file() or item.is_symlink()
    ]
    for name in superfluous:
        (archive / name).unlink()
    return superfluous


def retire(archive: Path, files: Iterable[str]) -> None:
    """Note on files of a former state that they are superfluous from now on, by their times."""
    for name in files:
        with contextlib.suppress(OSError):  # then it goes with the next writer, which is early
            os.utime(archive / name, follow_symlinks=False)


def _lately(
    archive: Path, manifest: Manifest, names: Iterable[str], grace: float, now: float
) -> Iterable[str]:
    """Yield the files that were part of a state and have been superfluous for a short time."""
    registered: set[str] | None = None
    for name in names:
        try:
            since = now - (archive / name).lstat().st_mtime
        except OSError:
            continue
        if abs(since) >= grace or ".tmp-" in name:
            continue
        match = _GENERATION.match(name)
        if match:
            # a writer that died before its commit has written for a generation that never came
            if int(match[1] or match[2]) <= manifest.generation:
                yield name
            continue
        if registered is None:
            registered = _registered(archive, manifest)
        if name in registered:
            yield name


def _registered(archive: Path, manifest: Manifest) -> set[str]:
    """Return the files of all shots that were ever registered: the log keeps them."""
    found: set[str] = set()
    for record in recordlog.read(archive, manifest.catalogue):
        found.add(record.get("file", ""))
        found.add((record.get("masks") or {}).get("file", ""))
    return found
