"""The hooks of the instrument `hetdex`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from corecube.figures import Figures, Subject
from corecube.frames import Column, Factor, Frame, Image, NoiseCheck
from corecube.hookspecs import API, Instrument, hookimpl
from corecube.masks import MaskSpan
from corecube.shots import Context, FileHead, FileInfo, NotMine, Shot, ShotPlan
from corecube_hetdex import (
    calibration,
    columns,
    cure,
    frames,
    multi,
    noise,
    planning,
    raw,
    shotfile,
)
from corecube_hetdex.identify import identify
from corecube_hetdex.settings import HetdexConfig

DATA_VERSION = 1
"""Steps when stored numbers would change."""


@hookimpl
def corecube_instrument() -> Instrument:
    """Say what the instrument is."""
    return Instrument(
        title="HETDEX: fibre spectra of VIRUS on the Hobby-Eberly Telescope",
        api=(API, API),
        data_version=DATA_VERSION,
        config=HetdexConfig,
    )


@hookimpl
def corecube_identify(file: FileHead, config: HetdexConfig) -> FileInfo | NotMine | None:
    """Say what a file is."""
    return identify(file)


@hookimpl
def corecube_plan_shots(
    infos: Sequence[FileInfo], known: Mapping[str, str], config: HetdexConfig
) -> Iterable[ShotPlan]:
    """Join the amplifiers of a shot with their calibrated spectra and tables."""
    return list(planning.plan_shots(infos))


@hookimpl
def corecube_read_frames(
    plan: ShotPlan, entry: str, config: HetdexConfig, context: Context
) -> Iterator[Frame]:
    """Read one amplifier of one exposure."""
    product = plan.settings["product"]
    if product == planning.AMPLIFIERS:
        yield from multi.read_amplifier(plan, entry, config, context)
    elif product == planning.SHOT_FILE:
        yield from shotfile.read_amplifier(plan, entry, config, context)
    elif product == planning.RAW:
        yield from raw.read_raw(plan, entry, context)
    else:
        yield from cure.read_spectra(plan, entry, config, context)


@hookimpl
def corecube_calibrate(frame: Frame, config: HetdexConfig) -> Frame | None:
    """Return spectra per Angstrom, raw amplifiers in electrons."""
    return calibration.calibrate(frame)


@hookimpl
def corecube_calibration_factors(frame: Frame, config: HetdexConfig) -> Sequence[Factor]:
    """Give the factors from counts to flux."""
    return calibration.factors(frame)


@hookimpl
def corecube_estimate_noise(frame: Frame, config: HetdexConfig) -> Frame | None:
    """Give a raw amplifier its errors; others come with theirs."""
    return raw.with_errors(frame) if isinstance(frame, Image) else None


@hookimpl
def corecube_check_noise(frame: Frame, config: HetdexConfig) -> NoiseCheck | None:
    """Compare the quoted errors of a frame with what its data say."""
    return noise.check_noise(frame)


@hookimpl
def corecube_archive_columns(config: HetdexConfig) -> Mapping[str, Sequence[Column]]:
    """Name the columns of the fibres."""
    return {frames.GROUP: columns.FIBERS, cure.GROUP: columns.CURE}


@hookimpl
def corecube_late_masks(shot: Shot, config: HetdexConfig) -> Iterable[MaskSpan]:
    """Name pixels by the lists of bad amplifiers, fibres, pixels, shots and tracks."""
    from corecube_hetdex.latemasks import late_masks

    return late_masks(shot, config)


@hookimpl
def corecube_report(shot: Shot, subject: Subject, config: HetdexConfig) -> Figures | None:
    """Report amplifiers, astrometry and throughput of a shot, and the detector of a fibre."""
    from corecube_hetdex.report import report

    return report(shot, subject)


@hookimpl
def corecube_simulate(directory: Path, options: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
    """Write a simulated shot of some IFUs with known sources."""
    from corecube_hetdex.simulate import simulate

    return simulate(directory, options, seed)
