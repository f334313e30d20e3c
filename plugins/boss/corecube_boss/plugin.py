"""The hooks of the instrument `boss`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corecube.figures import Figures, Subject
from corecube.frames import Column, Factor, Fibers, Frame, Image, NoiseCheck
from corecube.hookspecs import API, Instrument, hookimpl
from corecube.shots import Context, FileHead, FileInfo, NotMine, Shot, ShotPlan
from corecube_boss import camera, checks, factors, plate, raw, report, spectra
from corecube_boss.columns import COLUMNS
from corecube_boss.identify import identify
from corecube_boss.planning import RAW, plan_shots
from corecube_boss.settings import BossConfig
from corecube_sdssfiles.fibers import COADD

if TYPE_CHECKING:
    from corecube.photometry.catalogue import CatalogueFlux
    from corecube.photometry.passbands import Passbands

DATA_VERSION = 2
"""Steps when stored numbers would change."""


@hookimpl
def corecube_instrument() -> Instrument:
    """Say what the instrument is."""
    return Instrument(
        title="BOSS and eBOSS: plates of spectra, their exposures and raw frames",
        api=(API, API),
        data_version=DATA_VERSION,
        config=BossConfig,
    )


@hookimpl
def corecube_identify(file: FileHead, config: BossConfig) -> FileInfo | NotMine | None:
    """Say what a file is, by its content and, where that does not tell, by its name."""
    return identify(file)


@hookimpl
def corecube_plan_shots(
    infos: Sequence[FileInfo], known: Mapping[str, str], config: BossConfig
) -> Iterable[ShotPlan]:
    """Join the fibres and cameras of a plate, and the cameras of a raw exposure."""
    return list(plan_shots(infos, config))


@hookimpl
def corecube_read_frames(
    plan: ShotPlan, entry: str, config: BossConfig, context: Context
) -> Iterator[Frame]:
    """Read a fibre's spec file, the spPlate, one camera's exposure, or one raw frame."""
    if plan.settings["product"] == RAW:
        yield from raw.read_raw(plan, entry, context)
    elif entry == "spPlate":
        yield from plate.read_plate(plan, entry, context)
    elif entry in plan.settings.get("cameras", ()):
        yield from camera.read_camera(plan, entry, context)
    else:
        yield from spectra.read_spec(plan, entry, config, context)


@hookimpl
def corecube_calibration_factors(frame: Frame, config: BossConfig) -> Sequence[Factor]:
    """Give the factors from electrons to flux, or from adu to electrons of a raw frame."""
    if isinstance(frame, Image):
        return raw.raw_factors(frame)
    return factors.factors(frame) if isinstance(frame, Fibers) else ()


@hookimpl
def corecube_estimate_noise(frame: Frame, config: BossConfig) -> Frame | None:
    """Give a raw frame its errors; spectra come with those of their inverse variance."""
    return raw.with_errors(frame) if isinstance(frame, Image) else None


@hookimpl
def corecube_check_noise(frame: Frame, config: BossConfig) -> NoiseCheck | None:
    """Compare the quoted errors of spectra with the prediction and with the spectra."""
    return checks.check_noise(frame, config) if isinstance(frame, Fibers) else None


@hookimpl
def corecube_archive_columns(config: BossConfig) -> Mapping[str, Sequence[Column]]:
    """Name the columns of the coadds."""
    return {COADD: COLUMNS}


@hookimpl
def corecube_report(shot: Shot, subject: Subject, config: BossConfig) -> Figures | None:
    """Report the identity of the calibration, its factors, and the variance of electrons."""
    return report.report(shot, subject, config)


@hookimpl
def corecube_passbands(config: BossConfig) -> Passbands | None:
    """Give the passbands of the imaging, as the pipelines use them."""
    from corecube_sdssfiles.passbands import jun2001

    return jun2001()


@hookimpl
def corecube_catalogue(frame: Frame, config: BossConfig) -> Sequence[CatalogueFlux]:
    """Give the fluxes of a spectrum's columns."""
    from corecube_sdssfiles.catalogue import fluxes_of_fibers

    return fluxes_of_fibers(frame) if isinstance(frame, Fibers) else ()


@hookimpl
def corecube_simulate(directory: Path, options: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
    """Write a small plate in the real formats."""
    from corecube_boss.simulate import simulate

    return simulate(directory, options, seed)
