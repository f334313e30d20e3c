"""The hooks of the instrument `ccdlab`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from corecube.figures import Figures, Subject
from corecube.frames import Column, Factor, Fibers, Frame, Image, NoiseCheck
from corecube.hookspecs import API, Instrument, hookimpl
from corecube.shots import Context, FileHead, FileInfo, NotMine, Shot, ShotPlan
from corecube_ccdlab import calibrate, noise
from corecube_ccdlab.columns import COLUMNS, EXTRACTED
from corecube_ccdlab.derive import derive
from corecube_ccdlab.frames import read_image
from corecube_ccdlab.identify import identify
from corecube_ccdlab.planning import plan_shots
from corecube_ccdlab.settings import CcdlabConfig

DATA_VERSION = 1
"""Steps when stored numbers would change."""


@hookimpl
def corecube_instrument() -> Instrument:
    """Say what the instrument is."""
    return Instrument(
        title="Laboratory and classroom CCDs: raw frames, described in YAML",
        api=(API, API),
        data_version=DATA_VERSION,
        config=CcdlabConfig,
    )


@hookimpl
def corecube_identify(file: FileHead, config: CcdlabConfig) -> FileInfo | NotMine | None:
    """Say what a file is, by its headers."""
    return identify(file, config)


@hookimpl
def corecube_plan_shots(
    infos: Sequence[FileInfo], known: Mapping[str, str], config: CcdlabConfig
) -> Iterable[ShotPlan]:
    """Join frames to masters of a night and to targets."""
    return list(plan_shots(infos, known, config))


@hookimpl
def corecube_read_frames(
    plan: ShotPlan, entry: str, config: CcdlabConfig, context: Context
) -> Iterator[Frame]:
    """Read one raw frame."""
    yield read_image(plan, entry, config, context)


@hookimpl
def corecube_derive_frames(shot: Shot, config: CcdlabConfig, context: Context) -> Iterator[Frame]:
    """Make masters, or the mean and the spectrum of a target."""
    yield from derive(shot, config, context)


@hookimpl
def corecube_calibrate(frame: Frame, config: CcdlabConfig) -> Frame | None:
    """Turn counts into electrons."""
    return calibrate.calibrated(frame) if isinstance(frame, Image) else None


@hookimpl
def corecube_calibration_factors(frame: Frame, config: CcdlabConfig) -> Sequence[Factor]:
    """Give the factors from counts to electrons."""
    return calibrate.factors(frame) if isinstance(frame, Image) else ()


@hookimpl
def corecube_estimate_noise(frame: Frame, config: CcdlabConfig) -> Frame | None:
    """Give a frame its errors."""
    return noise.with_errors(frame) if isinstance(frame, Image) else None


@hookimpl
def corecube_check_noise(frame: Frame, config: CcdlabConfig) -> NoiseCheck | None:
    """Compare the quoted errors of a frame with what its data say."""
    return noise.check_noise(frame) if isinstance(frame, Image | Fibers) else None


@hookimpl
def corecube_archive_columns(config: CcdlabConfig) -> Mapping[str, Sequence[Column]]:
    """Name the columns of extracted spectra."""
    return {EXTRACTED: COLUMNS}


@hookimpl
def corecube_report(shot: Shot, subject: Subject, config: CcdlabConfig) -> Figures | None:
    """Report overscans, read noise, gain and masters."""
    from corecube_ccdlab.report import report

    return report(shot, subject)


@hookimpl
def corecube_simulate(directory: Path, options: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
    """Write simulated biases, darks, flats and exposures of one star."""
    from corecube_ccdlab.simulate import simulate

    return simulate(directory, options, seed)
