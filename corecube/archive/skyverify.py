"""Check every byte of a run of the sky index."""

from __future__ import annotations

import os
from pathlib import Path

from corecube.archive.durable import sha256_file
from corecube.archive.skyreader import Run
from corecube.archive.skyrun import PAGE, RunInfo, header
from corecube.errors import ArchiveDamaged

_HINT = "run 'corecube repair'"


def verify(path: Path, info: RunInfo) -> None:
    """Check every byte of a run.

    Parameters
    ----------
    path : Path
        The file.
    info : RunInfo
        What the manifest says of it.

    Raises
    ------
    ArchiveDamaged
        Something differs; the message names the part.
    OSError
        The file cannot be read.
    """
    with Run(path.parent, info) as run:
        run.open()
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != info.size:
                raise ArchiveDamaged(f"{path}: has {size} bytes instead of {info.size}; {_HINT}")
            if file.read(PAGE) != header(info):
                raise ArchiveDamaged(f"{path}: the header is damaged; {_HINT}")
        for _ in run.slices():
            pass
    if sha256_file(path) != info.sha256:  # the gaps too
        raise ArchiveDamaged(f"{path}: is another run than the manifest says; {_HINT}")
