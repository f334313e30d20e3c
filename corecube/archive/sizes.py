"""What the bytes of a shot file are."""

from __future__ import annotations

from corecube import hdf5
from corecube.archive.shotfile import StoredShot

KINDS = ("flux", "error", "mask", "bits", "layers", "calibration", "columns", "pyramid")
OTHER = "other arrays"
STRUCTURE = "structure"


def stored_bytes(shot: StoredShot) -> dict[str, int]:
    """Return the bytes that a shot's arrays take in its file, packed, by what they are.

    Parameters
    ----------
    shot : StoredShot

    Returns
    -------
    dict of str to int
        `KINDS`, as far as there are any, `OTHER` (headers, provenance, positions, wavelengths,
        times, ...), and `STRUCTURE`: what is no array, HDF5's own and the seal. The sum is the
        size of the file.

    Raises
    ------
    ArchiveDamaged
    """
    sums = dict.fromkeys((*KINDS, OTHER, STRUCTURE), 0)
    for path, listed in shot.description["arrays"].items():
        if 0 not in listed["shape"]:
            parts = path.split("/")
            kind = next((part for part in parts[1:2] + parts[3:4] if part in KINDS), OTHER)
            sums[kind] += int(hdf5.node(shot._file, path).size_on_disk)
    sums[STRUCTURE] = shot.path.stat().st_size - sum(sums.values())
    return {kind: size for kind, size in sums.items() if size}
