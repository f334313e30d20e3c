"""Read the file of one amplifier in one exposure, and what belongs to it.

Source: HETDEX/hetdex_api, h5tools/create_shot_hdf5.py; grzeimann/Panacea.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from corecube.errors import FileNotUnderstood
from corecube.fits import Fits
from corecube.frames import Frame
from corecube.shots import Context, ShotPlan, Source
from corecube_hetdex import cal
from corecube_hetdex.frames import PIXELS, RECTIFIED, AmplifierData, frames_of
from corecube_hetdex.names import FIBERS, Exposure, ShotName, exposure_of_entry
from corecube_hetdex.settings import HetdexConfig
from corecube_hetdex.tables import tables_of
from corecube_hetdex.times import times_of

_NATIVE: Final = (
    "spectrum", "wavelength", "trace", "fiber_to_fiber", "sky_spectrum", "sky_subtracted",
    "error1D", "error1Dfib", "chi2", "rms",
)  # fmt: skip

Rectified = tuple[dict[str, npt.NDArray[np.float32]], tuple[str, ...]]
"""Calibrated spectra by their names in the files, and notes."""


def read_amplifier(
    plan: ShotPlan, entry: str, config: HetdexConfig, context: Context
) -> Iterator[Frame]:
    """Read an amplifier's image, rectified and native spectra.

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
    FileNotUnderstood
        If an array has another shape than the others, or the file is damaged.
    """
    shot = ShotName.of_text(plan.key)
    if shot is None:
        raise FileNotUnderstood(f"'{plan.key}' names no shot")
    exposure = exposure_of_entry(shot, entry)
    main, *beside = plan.entries[entry]
    # before the amplifier's file: the memory for unpacking one is free again for the other
    calibrated = _of_cal(beside, exposure, context)
    with context.open(main) as file:
        fits = Fits(file.read(), main.path)
    header = fits.header(0)
    tables = tables_of(plan, context)
    rectified, notes = calibrated or _own(fits)
    native = {name: values for name in _NATIVE if (values := _image(fits, name)) is not None}
    images = {}
    if config.images:
        parts = {"error": _image(fits, "error"), "clean_image": _image(fits, "clean_image")}
        if fits.shape(0):
            parts["image"] = fits.image(0).astype(np.float32, copy=False)
        images = {name: values for name, values in parts.items() if values is not None}
        _check_images(images, main.path)
    ifupos = _image(fits, "ifupos")
    if ifupos is not None and ifupos.shape != (FIBERS, 2):
        raise FileNotUnderstood(f"{main.path}: ifupos is {ifupos.shape} instead of ({FIBERS}, 2)")
    data = AmplifierData(
        exposure=exposure,
        fibnum=np.arange(1, FIBERS + 1, dtype=np.int32),
        native=native,
        rectified=rectified,
        images=images,
        places=tables.places(
            exposure, None if ifupos is None else ifupos.astype(np.float64), FIBERS
        ),
        conditions=tables.conditions(exposure.number),
        times=times_of(header),
        contid=str(header.get("CONTID", "")).strip(),
        target=str(header.get("OBJECT", "")).strip(),
        header=header.lines(),
        sources=tuple(
            path.rsplit("/", 1)[-1]
            for path in (main.path, *(part.path for part in beside), *tables.sources)
        ),
        notes=notes,
    )
    del fits
    yield from frames_of(data, native=config.native, images=config.images)


def _image(fits: Fits, name: str) -> npt.NDArray[np.float32] | None:
    hdu = fits.index(name)
    if hdu is None or not fits.shape(hdu):
        return None
    return fits.image(hdu).astype(np.float32, copy=False)


def _own(fits: Fits) -> Rectified:
    """Return the calibrated spectra of the amplifier's own file."""
    own = {name: values for name in RECTIFIED if (values := _image(fits, name)) is not None}
    return own, ("calfib of the amplifier's own file",) if own else ()


def _of_cal(beside: list[Source], exposure: Exposure, context: Context) -> Rectified | None:
    """Return the calibrated spectra of the cal file, None without one."""
    source = next((source for source in beside if source.kind == "cal"), None)
    if source is None:
        return None
    found = dict(cal.read_rows(source, exposure, context))
    if cal.is_empty(found):
        return found, ("the cal file has only zeros for this amplifier",)
    return found, ()


def _check_images(images: dict[str, npt.NDArray[np.float32]], name: str) -> None:
    for what, values in images.items():
        if values.shape != (PIXELS, PIXELS):
            raise FileNotUnderstood(
                f"{name}: {what} is {values.shape} instead of ({PIXELS}, {PIXELS})"
            )
