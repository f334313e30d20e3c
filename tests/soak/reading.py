"""Ask an archive again and again while others write into it.

    python tests/soak/reading.py ARCHIVE ANSWERS STOP

Writes a line of JSON for each round to the file ANSWERS until the file STOP is there: digests of
all spectra and cutouts by name, what a filter finds, what `verify` finds, and how often a question
had to be asked again because its shots were replaced before their files were read.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from corecube.archive.names import FiberRow, ImageRow
from corecube.archive.reader import Archive
from corecube.archive.verify import verify
from corecube.errors import ArchiveDamaged

_AGAIN = "it was replaced since"


def answer(archive: Archive) -> dict[str, str]:
    """Return a digest of the pixels of each fibre and image in the sky."""
    found = {}
    result = archive.cone((10.0, 2.0), 180.0)
    table = result.fibers  # read before the rows, as users do
    assert len(table) == len(result.fiber_matches)
    for row in archive.rows(result):
        if isinstance(row, FiberRow):
            flux = row.spectrum().flux
        else:
            assert isinstance(row, ImageRow)
            flux = row.cutout(10.0, 20.0, 16)[0].flux
        found[row.name] = hashlib.sha256(flux.tobytes()).hexdigest()
    return found


def ask(archive: Archive) -> tuple[dict[str, str], int]:
    """Return an answer, and how often it was asked for in vain."""
    again = 0
    while True:
        try:
            return answer(archive), again
        except ArchiveDamaged as error:
            if _AGAIN not in str(error) or again == 20:
                raise
            again += 1


def state(path: Path, archive: Archive | None = None) -> dict[str, Any]:
    """Return all that is asked for in a round."""
    with Archive(path) as fresh:
        asked = archive or fresh
        digests, again = ask(asked)
        # a filter reads at once what it needs: nobody has to ask again
        table = asked.fibers("count >= 0")
        return {
            "digests": digests,
            "again": again,
            "filtered": sorted(
                f"{shot} {name} {ra:.17g}"
                for shot, name, ra in zip(
                    *(table[column].values for column in ("shot", "id", "ra")), strict=True
                )
            ),
            "shots": sorted(asked.shots()["shot"].values.tolist()),
            "damages": [d.what for _, found in verify(fresh) for d in found],
        }


def main() -> None:
    path, answers, stop = map(Path, sys.argv[1:])
    kept = Archive(path)
    number = 0
    with answers.open("w") as file:
        while not stop.exists():
            number += 1
            print(json.dumps(state(path, kept if number % 2 else None)), file=file, flush=True)
    kept.close()


if __name__ == "__main__":
    main()
