"""How large an archive is against the files that it was made of."""

from __future__ import annotations

from pathlib import Path

from measuring import Figure, Result, frames, spectra


def measure(scratch: Path, quick: bool) -> Result:
    from corecube import plugins
    from corecube.archive.reader import Archive
    from corecube.files import read_unpacked
    from corecube.pipeline import ingest

    caller = plugins.load("sdss")
    results: Result = []
    for which, files in (frames(scratch, 2 if quick else 8), spectra(scratch)):
        archive = scratch / f"{which}.corecube"
        report = ingest([str(f) for f in files], archive, caller, caller.instrument.config())
        if report.counts.get("ingested", 0) != len(files):
            raise AssertionError(report.to_json())
        stored = sum(path.stat().st_size for path in archive.rglob("*") if path.is_file())
        packed = sum(path.stat().st_size for path in files)
        unpacked = sum(len(read_unpacked(str(path))) for path in files)
        results += [
            Figure(f"{which}: archive / files", stored / packed, "times"),
            Figure(f"{which}: archive / files unpacked", stored / unpacked, "times"),
            Figure(f"{which}: archive, each", stored / len(files) / 1e6, "MB"),
        ]
        results += _parts(Archive(archive), which, len(files))
    return results


def _parts(archive: object, which: str, number: int) -> Result:
    """Stored bytes by what they are: chunks of flux, error, masks, pyramids, and all the rest."""
    from corecube import hdf5
    from corecube.archive.catalogue import ShotRecord
    from corecube.archive.shotfile import StoredShot

    sums: dict[str, int] = {}
    files = 0
    records: list[ShotRecord] = list(archive.state.catalogue.by_number.values())  # type: ignore[attr-defined]
    for record in records:
        path = archive.path / record.file  # type: ignore[attr-defined]
        files += path.stat().st_size
        with StoredShot(path) as shot:
            for name, listed in shot.description["arrays"].items():
                if 0 not in listed["shape"]:
                    size = int(hdf5.node(shot._file, name).size_on_disk)
                    kind = "pyramid" if "/pyramid/" in name else name.rsplit("/", 1)[-1]
                    kind = kind if kind in ("flux", "error", "mask", "pyramid") else "other arrays"
                    sums[kind] = sums.get(kind, 0) + size
    sums["HDF5's own"] = files - sum(sums.values())
    return [
        Figure(f"{which}: of it {kind}, each", size / number / 1e6, "MB")
        for kind, size in sorted(sums.items())
    ]
