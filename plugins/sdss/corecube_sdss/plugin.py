"""The hooks of the instrument `sdss`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corecube.figures import Figures, Subject
from corecube.frames import Column, Factor, Fibers, Frame, Image, NoiseCheck
from corecube.hookspecs import API, Instrument, hookimpl
from corecube.shots import Context, FileHead, FileInfo, NotMine, Shot, ShotPlan
from corecube_sdss import imaging, spectra
from corecube_sdss.identify import identify
from corecube_sdss.planning import IMAGING, plan_shots
from corecube_sdss.settings import SdssConfig
from corecube_sdssfiles.summary import COLUMNS

if TYPE_CHECKING:
    from corecube.photometry.catalogue import CatalogueFlux
    from corecube.photometry.passbands import Passbands

DATA_VERSION = 3
"""Steps when stored numbers would change."""


@hookimpl
def corecube_instrument() -> Instrument:
    """Say what the instrument is."""
    return Instrument(
        title="Sloan Digital Sky Survey: imaging frames and spectra",
        api=(API, API),
        data_version=DATA_VERSION,
        config=SdssConfig,
    )


@hookimpl
def corecube_identify(file: FileHead, config: SdssConfig) -> FileInfo | NotMine | None:
    """Say what a file is, by its content."""
    return identify(file)


@hookimpl
def corecube_plan_shots(
    infos: Sequence[FileInfo], known: Mapping[str, str], config: SdssConfig
) -> Iterable[ShotPlan]:
    """Join the filters of a field, and the fibres of a plate."""
    return list(plan_shots(infos, config))


@hookimpl
def corecube_read_frames(
    plan: ShotPlan, entry: str, config: SdssConfig, context: Context
) -> Iterator[Frame]:
    """Read the image of one filter, or the spectra of one fibre."""
    if plan.settings["product"] == IMAGING:
        yield imaging.read_image(plan, entry, config, context)
    else:
        yield from spectra.read_fibers(plan, entry, context, exposures=config.exposures)


@hookimpl
def corecube_calibration_factors(frame: Frame, config: SdssConfig) -> Sequence[Factor]:
    """Give the factors from electrons to flux."""
    if isinstance(frame, Image):
        return imaging.factors(frame)
    return spectra.factors(frame) if isinstance(frame, Fibers) else ()


@hookimpl
def corecube_estimate_noise(frame: Frame, config: SdssConfig) -> Frame | None:
    """Give an image its errors; spectra come with theirs."""
    return imaging.with_errors(frame) if isinstance(frame, Image) else None


@hookimpl
def corecube_check_noise(frame: Frame, config: SdssConfig) -> NoiseCheck | None:
    """Compare the quoted errors of a frame with what its data say."""
    if isinstance(frame, Image):
        return imaging.check_noise(frame)
    return spectra.check_noise(frame) if isinstance(frame, Fibers) else None


@hookimpl
def corecube_archive_columns(config: SdssConfig) -> Mapping[str, Sequence[Column]]:
    """Name the columns of the coadds."""
    return {spectra.COADD: COLUMNS}


@hookimpl
def corecube_report(shot: Shot, subject: Subject, config: SdssConfig) -> Figures | None:
    """Report sky, counts and error terms of an image; model, sky and passbands of a spectrum."""
    from corecube_sdss.report import report
    from corecube_sdssfiles.curvefigures import curve_figures

    found = report(shot, subject)
    if found is None or subject.kind != "fiber":
        return found
    more = curve_figures(shot.rows(subject.name, subject.row, subject.row + 1))
    return Figures({**found.numbers, **more.numbers}, (*found.panels, *more.panels))


@hookimpl
def corecube_passbands(config: SdssConfig) -> Passbands | None:
    """Give the passbands of the imaging, as the pipelines use them."""
    from corecube_sdssfiles.passbands import jun2001

    return jun2001()


@hookimpl
def corecube_catalogue(frame: Frame, config: SdssConfig) -> Sequence[CatalogueFlux]:
    """Give the fluxes of an image's objects by its photoObj file, or of a spectrum's columns."""
    from corecube_sdss.catalogue import fluxes_of_image
    from corecube_sdssfiles.catalogue import fluxes_of_fibers

    if isinstance(frame, Image):
        return fluxes_of_image(frame)
    return fluxes_of_fibers(frame) if isinstance(frame, Fibers) else ()


@hookimpl
def corecube_simulate(directory: Path, options: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
    """Write a simulated field and spectra of some of its stars."""
    from corecube_sdss.simulate import simulate

    return simulate(directory, options, seed)
