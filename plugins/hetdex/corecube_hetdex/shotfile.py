"""A shot of the survey's releases: one HDF5 file with all its fibres and images.

Columns are read by name, a few rows at a time; nothing in the file is unpickled. In ``/Shot`` zero
means unknown.

Source: HETDEX/hetdex_api, h5tools/create_shot_hdf5.py, create_cal_hdf5.py, append_calfib.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube import hdf5, scratch
from corecube.errors import ArchiveDamaged, FileNotUnderstood
from corecube.frames import Array, Frame
from corecube.shots import Context, FileHead, FileInfo, NotMine, ShotPlan
from corecube.times import Times
from corecube_hetdex import texts
from corecube_hetdex.astrometry import TangentPoint, separation
from corecube_hetdex.frames import (
    RECTIFIED,
    AmplifierData,
    Conditions,
    Places,
    frames_of,
)
from corecube_hetdex.names import Amplifier, Exposure, ShotName, exposure_of_entry
from corecube_hetdex.settings import HetdexConfig
from corecube_hetdex.times import tai_of_mjd, tai_of_utc

FIBERS: Final = "/Data/Fibers"
IMAGES: Final = "/Data/Images"
FLAGS: Final = "/CalfibDQ"
THROUGHPUT: Final = "/Calibration/Throughput/throughput"

AGREES: Final = 0.1
"""Arcsec; float32 of RA has steps of 0.06 to 0.11 arcsec."""

_NATIVE: Final = (
    "spectrum", "wavelength", "trace", "fiber_to_fiber", "sky_spectrum", "sky_subtracted",
    "error1D", "error1Dfib", "chi2", "rms",
)  # fmt: skip
_PLACES: Final = ("ra", "dec", "ifux", "ifuy", "fpx", "fpy", "fibnum", "contid", "obsind")


def identify(file: FileHead) -> FileInfo | NotMine:
    """Say whether an HDF5 file is a shot of a release, and which amplifiers it has.

    Raises
    ------
    FileNotUnderstood
        If it is one, and its rows cannot be understood; or if it is named like one, and is no
        whole HDF5 file.
    """
    try:
        with _on_disk(file) as path, _opened(path) as opened:
            if "Data" not in hdf5.children(opened) or "Fibers" not in hdf5.children(
                opened, "/Data"
            ):
                return NotMine("an HDF5 file without /Data/Fibers, which is not used")
            shot = _shot_name(opened, file.source.path)
            rows = _runs(hdf5.table(opened, FIBERS), shot, file.source.path)
            pictures = _images(opened, shot)
    except ArchiveDamaged as error:
        if ShotName.of_text(file.name) is not None:
            raise FileNotUnderstood(
                f"{file.source.path}: named like a shot of a release, but it cannot be opened as "
                "HDF5; fetch the file again"
            ) from error
        return NotMine(str(error).rsplit(": ", 1)[-1] or "an HDF5 file that cannot be read")
    return FileInfo(
        replace(file.source, kind="shot"), f"{shot}.h5", "shot",
        facts={"rows": rows, "images": pictures},
    )  # fmt: skip


@contextmanager
def _on_disk(file: FileHead) -> Iterator[str]:
    """Give the path of the unpacked file: HDF5 opens files by their names only."""
    if not file.packing:
        yield file.source.path
        return
    with scratch.folder() as folder:
        path = Path(folder) / "shot.h5"
        with file.open() as packed, path.open("wb") as target:
            shutil.copyfileobj(packed, target, 2**20)
        yield str(path)


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    opened = hdf5.open_file(path)
    try:
        yield opened
    finally:
        opened.close()


def _shot_name(opened: Any, path: str) -> ShotName:
    try:
        row = hdf5.table(opened, "/Shot").read(["datevobs"], 0, 1)
        found = ShotName.of_text(row["datevobs"][0].decode("latin-1"))
    except (ArchiveDamaged, IndexError):
        found = None
    found = found or ShotName.of_path(path)
    if found is None:
        raise FileNotUnderstood(f"{path}: neither /Shot nor the name tells which shot this is")
    return found


def _runs(table: hdf5.Table, shot: ShotName, path: str) -> dict[str, list[list[int]]]:
    """Return the rows of each amplifier in each exposure, as ranges."""
    names = table.read(["multiframe", "expnum"])
    frames, numbers = names["multiframe"], names["expnum"]
    if not len(frames):
        raise FileNotUnderstood(f"{path}: {FIBERS} has no rows")
    new = np.ones(len(frames), bool)
    new[1:] = (frames[1:] != frames[:-1]) | (numbers[1:] != numbers[:-1])
    starts = np.flatnonzero(new).tolist()
    runs: dict[str, list[list[int]]] = {}
    for first, last in zip(starts, [*starts[1:], len(frames)], strict=True):
        entry = _entry(shot, frames[first], numbers[first], path)
        runs.setdefault(entry, []).append([first, last])
    return runs


def _entry(shot: ShotName, name: bytes, number: Any, path: str) -> str:
    amplifier = Amplifier.of_text(name.decode("latin-1"))
    if amplifier is None or not 1 <= number <= 9:
        raise FileNotUnderstood(f"{path}: '{name.decode('latin-1')}' is no name of an amplifier")
    return Exposure(shot, amplifier, int(number)).entry


def _images(opened: Any, shot: ShotName) -> dict[str, int]:
    if "Images" not in hdf5.children(opened, "/Data"):
        return {}
    names = hdf5.table(opened, IMAGES).read(["multiframe", "expnum"])
    return {
        _entry(shot, name, number, IMAGES): row
        for row, (name, number) in enumerate(zip(names["multiframe"], names["expnum"], strict=True))
    }


def read_amplifier(
    plan: ShotPlan, entry: str, config: HetdexConfig, context: Context
) -> Iterator[Frame]:
    """Read the rows of one amplifier in one exposure, and its image.

    Parameters
    ----------
    plan : ShotPlan
    entry : str
    config : HetdexConfig
    context : Context

    Yields
    ------
    Image or Fibers

    Raises
    ------
    ArchiveDamaged
        If a column cannot be read.
    FileNotUnderstood
        If shapes do not fit together.
    """
    source = plan.entries[entry][0]
    shot = ShotName.of_text(plan.key)
    if shot is None:
        raise FileNotUnderstood(f"'{plan.key}' names no shot")
    exposure = exposure_of_entry(shot, entry)
    with _opened(context.path(source)) as opened:
        data = _read(opened, plan, exposure, config, source.path.rsplit("/", 1)[-1])
    yield from frames_of(data, native=config.native, images=config.images)


def _read(
    opened: Any, plan: ShotPlan, exposure: Exposure, config: HetdexConfig, name: str
) -> AmplifierData:
    table = hdf5.table(opened, FIBERS)
    ranges = plan.settings["rows"][exposure.entry]
    wanted = [part for part in (*_PLACES, *_NATIVE, *RECTIFIED) if part in table.columns]
    parts = [table.read(wanted, first, last) for first, last in ranges]
    rows = {part: np.concatenate([found[part] for found in parts]) for part in wanted}
    order = np.argsort(rows["fibnum"], kind="stable")
    rows = {part: values[order] for part, values in rows.items()}
    about = _about(opened)
    notes: tuple[str, ...] = ()
    flags, note = _flags(opened, exposure, ranges, order, rows["fibnum"])
    notes += note
    images: dict[str, Any] = {}
    row = plan.settings["images"].get(exposure.entry)
    if config.images and row is not None:
        pictures = hdf5.table(opened, IMAGES)
        names = [part for part in ("image", "error", "clean_image") if part in pictures.columns]
        images = {part: v[0] for part, v in pictures.read(names, row, row + 1).items()}
    times, note = _times(about, exposure.number)
    notes += note
    contid = rows.get("contid")
    return AmplifierData(
        exposure=exposure,
        fibnum=rows["fibnum"].astype(np.int32),
        native={part: rows[part] for part in _NATIVE if part in rows},
        rectified={part: rows[part] for part in RECTIFIED if part in rows},
        images=images,
        places=_places(rows, about),
        conditions=_conditions(opened, about, exposure.number),
        times=times,
        contid=contid[0].decode("latin-1").strip() if contid is not None else "",
        target=_text(about, "objid"),
        sources=(name,),
        notes=notes,
        flags=flags,
    )


def _about(opened: Any) -> dict[str, Any]:
    """Return the row of /Shot; {} if there is none."""
    if "Shot" not in hdf5.children(opened):
        return {}
    found = hdf5.table(opened, "/Shot").read(None, 0, 1)
    return {name: values[0] for name, values in found.items() if len(values)}


def _text(about: dict[str, Any], name: str) -> str:
    return about[name].decode("latin-1").strip() if name in about else ""


def _known(value: Any) -> float:
    """Return a number of /Shot, NaN for 0."""
    return float(value) if value != 0 and np.isfinite(value) else float("nan")


def _element(about: dict[str, Any], name: str, exposure: int) -> float:
    values = np.atleast_1d(about.get(name, np.zeros(1)))
    return _known(values[exposure - 1]) if exposure <= len(values) else float("nan")


def _places(rows: dict[str, npt.NDArray[Any]], about: dict[str, Any]) -> Places:
    """Return positions in float64 by the shot's tangent point, else those of the file."""
    values = {name: rows[name].astype(np.float64) for name in _PLACES[:6]}
    inner = values["ifux"], values["ifuy"], values["fpx"], values["fpy"]
    count = len(values["ra"])
    ra0, dec0, pa = (_known(about.get(name, 0.0)) for name in ("ra", "dec", "pa"))
    blank = np.full(count, np.nan, np.float32)
    why = "/Shot has no ra, dec and pa"
    if np.isfinite([ra0, dec0, pa]).all():
        ra, dec = TangentPoint(ra0, dec0, pa).to_sky(values["fpx"], values["fpy"])
        off = separation(ra, dec, values["ra"], values["dec"])
        if not np.nanmax(off, initial=0.0) > AGREES:
            return Places(
                ra, dec, *inner, off.astype(np.float32),
                "positions in float64 by ra, dec, pa of /Shot, fpx and fpy",
            )  # fmt: skip
        why = f"those of ra, dec and pa in /Shot are off by {np.nanmax(off):.3g} arcsec"
    return Places(
        values["ra"], values["dec"], *inner, blank, "positions as in /Data/Fibers",
        (f"positions are the file's float32, good to 0.1 arcsec: {why}",),
    )  # fmt: skip


def _conditions(opened: Any, about: dict[str, Any], exposure: int) -> Conditions:
    arrays: dict[str, Array] = {}
    if "Calibration" in hdf5.children(opened):
        table = hdf5.table(opened, THROUGHPUT)
        names = ("wavelength", "throughput", "tp_low", "tp_high")
        if set(names) <= set(table.columns):
            found = table.read(names)
            arrays["throughput"] = Array(
                np.stack([found[name].astype(np.float64) for name in names], axis=1), "",
                ("wavelength", "column"),
                "Wavelength (Angstrom in air), throughput, its lowest and highest estimate.",
            )  # fmt: skip
    response = _known(about.get("response_4540", 0.0))
    if not response > 0 and "throughput" in arrays:
        response = texts.response(arrays["throughput"].values)
    return Conditions(
        relflux=_element(about, "relflux_virus", exposure),
        fwhm=_known(about.get("fwhm_virus", 0.0)),
        response=response if response > 0 else float("nan"),
        arrays=arrays,
    )


def _times(about: dict[str, Any], exposure: int) -> tuple[Times, tuple[str, ...]]:
    """Return the times of an exposure; the first one's start is known to 0.1 s."""
    seconds = _element(about, "exptime", exposure)
    first = int(np.atleast_1d(about.get("expnum", np.zeros(1)))[0])
    date, clock = str(int(about.get("date", 0))), _text(about, "time")
    if exposure == first and len(date) == 8 and len(clock) == 7 and clock.isdecimal():
        day = f"{date[:4]}-{date[4:6]}-{date[6:]}"
        start = tai_of_utc(day, f"{clock[:2]}:{clock[2:4]}:{clock[4:6]}.{clock[6]}")
        if np.isfinite(start):
            return Times(start, start + seconds / 86400.0, "exact"), ()
    start = tai_of_mjd(_element(about, "mjd", exposure))
    if not np.isfinite(start):
        return Times(), ("/Shot has no time of this exposure",)
    return (
        Times(start, start + seconds / 86400.0),
        ("the time of this exposure is a float32 MJD, good to 6 minutes",),
    )


def _flags(
    opened: Any,
    exposure: Exposure,
    ranges: list[list[int]],
    order: npt.NDArray[np.intp],
    fibnum: npt.NDArray[Any],
) -> tuple[npt.NDArray[np.int16] | None, tuple[str, ...]]:
    """Return the bits of /CalfibDQ if the file has them for these fibres."""
    if FLAGS.strip("/") not in hdf5.children(opened):
        return None, ()
    table = hdf5.table(opened, FLAGS)
    if not {"fiber_id", "calfib_dq"} <= set(table.columns):
        return None, ()
    parts = [table.read(["fiber_id", "calfib_dq"], first, last) for first, last in ranges]
    ids = np.concatenate([part["fiber_id"] for part in parts])
    if len(ids) != len(order):
        return None, ("CalfibDQ has fewer rows than Fibers and is not used",)
    expected = np.array(exposure.fiber_ids(fibnum.tolist()), dtype="S38")
    if not np.array_equal(ids[order], expected):
        return None, ("the rows of CalfibDQ are not those of Fibers; it is not used",)
    return np.concatenate([part["calfib_dq"] for part in parts])[order], ()
