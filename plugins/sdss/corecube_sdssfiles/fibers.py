"""From a spec file to fibres: the coadd, and a child group for each exposure of each camera."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.frames import Array, Bits, Column, Fibers
from corecube.provenance import Provenance
from corecube.shots import Context, FileHead, FileInfo, NotMine, ShotPlan
from corecube.times import Times
from corecube.units import FLUX_DENSITY
from corecube_sdssfiles.spec import Exposure, SpecFile, Spectrum
from corecube_sdssfiles.summary import columns_of

COADD: Final = "coadd"

EXPOSURE_COLUMNS: Final = (
    Column("exptime", "float32", "s", "Exposure time."),
    Column("airmass", "float32", "", "Airmass."),
    Column("reversed", "bool", "", "The file has the pixels from red to blue."),
)

NOT_MODELLED: Final = (
    "correlation of neighbouring pixels by the resampling onto the common grid",
    "error of the flux calibration",
)


def identify_spec(file: FileHead) -> FileInfo | NotMine:
    """Say which fibre a spec file is of; it is read wholly.

    Parameters
    ----------
    file : FileHead
        Whose HDU 1 looks like that of a spec file.

    Returns
    -------
    FileInfo or NotMine
        Its facts are ``first`` and ``count`` of the coadd's pixels on the common grid, and
        ``exposures``, their pixels by name.

    Raises
    ------
    FileNotUnderstood
        If it is damaged.
    """
    spec = SpecFile(file.read(), file.source.path)
    if not spec.has_plate:
        return NotMine("a spectrum without a plate, as of SDSS-V, which is not supported")
    name = spec.spec_name
    first, count = spec.grid
    exposures = {exposure.name: exposure.pixels for exposure in spec.exposures}
    return FileInfo(
        replace(file.source, kind="spec"), name.key, name.entry, int(spec.is_full),
        name.observation, {"first": first, "count": count, "exposures": exposures},
    )  # fmt: skip


def read_fibers(
    plan: ShotPlan,
    entry: str,
    context: Context,
    *,
    exposures: bool = True,
    without: Collection[str] = (),
    columns: Callable[[SpecFile], Mapping[Column, Any]] = columns_of,
) -> Iterator[Fibers]:
    """Yield the coadd of one fibre, then its exposures.

    Parameters
    ----------
    plan : ShotPlan
        Of a plate.
    entry : str
        The fibre, four digits.
    context : Context
    exposures : bool
        Give the exposures of a full file too.
    without : collection of str
        Names of exposures that are left out.
    columns : callable
        Gives the columns of the coadd.

    Yields
    ------
    Fibers
        Each of one row.

    Raises
    ------
    FileNotUnderstood
        If the file is damaged or of another fibre.
    """
    source = plan.entries[entry][0]
    file = SpecFile(context.read(source), source.path)
    name = file.spec_name
    if (name.key, name.entry) != (plan.key, entry):
        raise FileNotUnderstood(
            f"{source.path}: this is fibre {name.entry} of {name.key}, not {entry} of {plan.key}"
        )
    ra, dec = (_position(file, card) for card in ("PLUG_RA", "PLUG_DEC"))
    base: dict[str, Any] = {
        "id": (entry,),
        "ra": ra,
        "dec": dec,
        "unit": FLUX_DENSITY,
    }
    coadd = file.coadd()
    yield Fibers(
        name=COADD,
        **_arrays(coadd),
        **base,
        columns=columns(file),
        header=file.header.lines(),
        times=file.times(),
        provenance=Provenance(
            sources=(PurePath(source.path).name,),
            steps=("flux, inverse variance and masks as in HDU 1 of the spec file",),
            not_modelled=NOT_MODELLED,
            notes=coadd.notes,
        ),
    )
    for exposure in file.exposures if exposures else ():
        if exposure.name not in without:
            yield _exposure(file, exposure, base, PurePath(source.path).name)


def _exposure(file: SpecFile, exposure: Exposure, base: dict[str, Any], source: str) -> Fibers:
    spectrum = file.exposure(exposure)
    header = file.fits.header(exposure.hdu)
    values = (header.get("EXPTIME"), header.get("AIRMASS"), spectrum.reversed)
    known = np.isfinite(exposure.start) and np.isfinite(exposure.end)
    return Fibers(
        name=exposure.name,
        **_arrays(spectrum),
        **base,
        columns={
            column: np.array([np.nan if number is None else number], dtype=column.dtype)
            for column, number in zip(EXPOSURE_COLUMNS, values, strict=True)
        },
        parent=COADD,
        parent_id=base["id"],
        header=header.lines(),
        times=Times(
            np.array([exposure.start]),
            np.array([exposure.end]),
            "exact" if known else "unknown",
        ),
        provenance=Provenance(
            sources=(source,),
            steps=(
                f"flux, inverse variance and mask as in HDU {exposure.hdu} of the spec file",
                *(("pixels reversed, so that wavelengths rise",) if spectrum.reversed else ()),
            ),
            not_modelled=NOT_MODELLED[1:],
            notes=spectrum.notes,
        ),
    )


def _position(file: SpecFile, name: str) -> npt.NDArray[np.float64]:
    """Return the fibre's position; the cards RA and DEC are the centre of the plate."""
    number = file.header.get(name)
    if number is None and name in file.summary:
        number = float(file.summary.column(name)[0])
    good = isinstance(number, int | float) and np.isfinite(number)
    return np.array([number if good else np.nan], dtype=np.float64)


def _arrays(spectrum: Spectrum) -> dict[str, Any]:
    """Return the arrays of one spectrum with an axis for its fibre."""
    wave = spectrum.wave
    if wave.values is not None:
        wave = replace(wave, values=wave.values[None, :])
    return {
        "wave": wave,
        "flux": spectrum.flux[None, :],
        "error": spectrum.error[None, :],
        "mask": spectrum.mask[None, :],
        "bits": {name: Bits(b.values[None, :], b.planes) for name, b in spectrum.bits.items()},
        "layers": {
            name: Array(a.values[None, :], a.unit, ("fiber", "wave"), a.description)
            for name, a in spectrum.layers.items()
        },
    }


def grid_of(counts: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return first and last index that cover all of (first, count)."""
    return min(first for first, _ in counts), max(first + count for first, count in counts) - 1


def spec_grids(infos: Sequence[FileInfo], exposures: bool) -> dict[str, tuple[int, int]]:
    """Return the grids of a plate's groups that cover all of its spec files.

    Parameters
    ----------
    infos : sequence of FileInfo
        As `identify_spec` gives them.
    exposures : bool
        Of the groups of exposures too.
    """
    grids = {COADD: grid_of([(info.facts["first"], info.facts["count"]) for info in infos])}
    pixels: dict[str, int] = {}
    for info in infos if exposures else ():
        for name, count in info.facts["exposures"].items():
            pixels[name] = max(count, pixels.get(name, 0))
    return grids | {name: (0, count - 1) for name, count in sorted(pixels.items())}
