"""The contract: the hooks that an instrument plugin implements.

A plugin is a module or an instance with functions of these names, decorated with
``corecube.hookspecs.hookimpl`` and registered as an entry point of the group
``corecube.instruments`` under the instrument's name. `corecube_instrument`, `corecube_identify`,
`corecube_read_frames` and `corecube_archive_columns` are needed; the others have defaults. The
core calls each hook for one instrument at a time.

The way of the data: identify (per file) -> plan_shots (once) -> per shot and entry: read_frames ->
calibrate -> estimate_noise -> shot file -> derive_frames -> late_masks. `calibration_factors`,
`check_noise`, `late_masks`, `report` and `catalogue` work on frames from the archive too, when the
raw files are gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from corecube.figures import Figures, Subject
from corecube.frames import Column, Factor, Frame, NoiseCheck
from corecube.masks import MaskSpan
from corecube.shots import Context, FileHead, FileInfo, NotMine, Shot, ShotPlan

if TYPE_CHECKING:  # loading a plugin need not load what only photometry needs
    from corecube.photometry.catalogue import CatalogueFlux
    from corecube.photometry.passbands import Passbands

PROJECT = "corecube"
ENTRY_POINT_GROUP = "corecube.instruments"
API = 1
"""Number of this contract. Within a number hooks, arguments and fields are only added."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@dataclass(frozen=True)
class Instrument:
    """What a plugin says of itself.

    Attributes
    ----------
    title : str
        One line for people.
    api : tuple of int
        First and last number of the contract that it was made for.
    data_version : int
        Steps when numbers change: stored shots are then made anew.
    config : type
        A dataclass with the instrument's settings, all with defaults.
    """

    title: str
    api: tuple[int, int]
    data_version: int
    config: type


@hookspec(firstresult=True)
def corecube_instrument() -> Instrument:
    """Say what the instrument is.

    Returns
    -------
    Instrument
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def corecube_identify(file: FileHead, config: Any) -> FileInfo | NotMine | None:
    """Say whether a file belongs to this instrument, by its content.

    Called once for each file given, in the ingesting process. It must not raise on files of others.

    Parameters
    ----------
    file : FileHead
        The first 64 kB; `file.open()` and `file.read()` if they do not decide.
    config : dataclass
        The instrument's settings.

    Returns
    -------
    FileInfo, NotMine or None
        None is a `NotMine` without a better reason than "not recognised".
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def corecube_plan_shots(
    infos: Sequence[FileInfo], known: Mapping[str, str], config: Any
) -> Iterable[ShotPlan]:
    """Join files to shots. Reads nothing.

    Default: a shot per key, an entry per main file, files without entry as companions.

    Parameters
    ----------
    infos : sequence of FileInfo
        The files given, those that wait, and those that stored shots were made of which share a
        key, a companion or a need with them (also where the files are gone). One file per key,
        entry and kind: the core has taken the one of the highest rank. Those without a key are not
        compared, save that copies with the same entry and facts are left out. Observations that
        another instrument has stored are left out.
    known : mapping of str to str
        Keys of all stored shots of the instrument, and their kinds.
    config : dataclass

    Returns
    -------
    iterable of ShotPlan
        One for each key. Infos that are in no plan wait for later files, and so do those of a plan
        whose needs are neither stored nor planned. The report says of the former what is in their
        fact ``waiting_for``, as in "waiting for a bias of this night"; without this fact it says
        that they wait for the files that they serve.

    Notes
    -----
    It may be asked more than once in a run, as the core joins more files: if a plan of the kind
    "calibration" has a file that was given, all stored shots are joined, as it may serve any of
    them. Files without a key are there even where the shots that used them are not joined; plans
    for such shots are ignored. Shots may need calibration shots that need others; what a shot needs
    is registered before it is made.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def corecube_read_frames(
    plan: ShotPlan, entry: str, config: Any, context: Context
) -> Iterator[Frame]:
    """Read the frames of one entry.

    Parameters
    ----------
    plan : ShotPlan
    entry : str
        One of ``plan.entries``; the core calls entry by entry in the plan's order.
    config : dataclass
    context : Context
        Unpacks and caches files.

    Yields
    ------
    Image or Fibers
        Flux as the file has it; `error` and `mask` may be None. The parent's block comes before
        those of its children.

    Raises
    ------
    Exception
        Whatever is raised costs this entry, not the shot; OSError and MemoryError cost the shot.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def corecube_derive_frames(shot: Shot, config: Any, context: Context) -> Iterator[Frame]:
    """Make frames from the finished frames of a shot: means of exposures, extracted spectra.

    Called once all entries are stored; made anew whenever the shot is. What it raises costs the
    derived frames, not the shot.

    Parameters
    ----------
    shot : Shot
        With all frames of its entries.
    config : dataclass
    context : Context
        With the shots that the plan needs.

    Yields
    ------
    Image or Fibers
        With errors; their provenance names their `parents`. Names differ from those of the frames
        that were read.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def corecube_calibrate(frame: Frame, config: Any) -> Frame | None:
    """Turn a frame into physical units.

    Parameters
    ----------
    frame : Image or Fibers
        As read; its arrays may be used again.
    config : dataclass

    Returns
    -------
    Frame or None
        None: the frame is calibrated already. Not implemented means the same.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def corecube_calibration_factors(frame: Frame, config: Any) -> Sequence[Factor]:
    """Give the factors from counts to flux, in order.

    Works on a frame from the archive alone.

    Parameters
    ----------
    frame : Image or Fibers
        Calibrated, with its calibration arrays.
    config : dataclass

    Returns
    -------
    sequence of Factor
        Replayed in order on the counts they give the flux.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def corecube_estimate_noise(frame: Frame, config: Any) -> Frame | None:
    """Give a frame its 1-sigma errors and its mask.

    Parameters
    ----------
    frame : Image or Fibers
        Calibrated; its arrays may be used again.
    config : dataclass

    Returns
    -------
    Frame or None
        With `error` and `mask`; what is not modelled stands in the provenance. None or not
        implemented: the frame has its errors already; where `error` is None the core writes NaN
        with the plane ``no_error``.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def corecube_check_noise(frame: Frame, config: Any) -> NoiseCheck | None:
    """Compare the quoted errors of a frame with what its data say.

    Parameters
    ----------
    frame : Image or Fibers
        With errors, as ingested or from the archive.
    config : dataclass

    Returns
    -------
    NoiseCheck or None
        None: nothing to check in this frame.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def corecube_archive_columns(config: Any) -> Mapping[str, Sequence[Column]]:
    """Name the columns that every indexed group of a science shot has.

    Parameters
    ----------
    config : dataclass

    Returns
    -------
    mapping of str to sequence of Column
        By group; other columns may ride along.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def corecube_late_masks(shot: Shot, config: Any) -> Iterable[MaskSpan]:
    """Name pixels by lists that change: bad amplifiers, tracks of satellites.

    Called at ingest and again by ``corecube masks``, which changes nothing else: settings that only
    this hook uses are declared with ``changes_numbers=False``.

    Parameters
    ----------
    shot : Shot
    config : dataclass

    Returns
    -------
    iterable of MaskSpan
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def corecube_report(shot: Shot, subject: Subject, config: Any) -> Figures | None:
    """Report what only this instrument knows of a shot, an image or a fibre.

    The core itself reports sizes, factors, the check of the noise, and draws flux with its error.

    Parameters
    ----------
    shot : Shot
        From the archive; the raw files may be gone.
    subject : Subject
    config : dataclass
        The settings that the shot was made with.

    Returns
    -------
    Figures or None
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def corecube_passbands(config: Any) -> Passbands | None:
    """Give the passbands by which fluxes of this instrument's images and spectra are compared.

    Parameters
    ----------
    config : dataclass

    Returns
    -------
    Passbands or None
        A curve for each `Image.band` that has one.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def corecube_catalogue(frame: Frame, config: Any) -> Sequence[CatalogueFlux]:
    """Give the fluxes of a catalogue that a frame holds.

    Works on a frame from the archive alone.

    Parameters
    ----------
    frame : Image or Fibers
    config : dataclass
        The settings that the shot was made with.

    Returns
    -------
    sequence of CatalogueFlux
        Of the objects on an image, or of the fibres' columns.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def corecube_simulate(directory: Path, options: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
    """Write simulated files of the instrument's real formats.

    Parameters
    ----------
    directory : Path
        An existing folder.
    options : mapping
        The instrument's own, each with a default.
    seed : int
        Another seed changes all values.

    Returns
    -------
    mapping
        The truth, plain JSON: ``sources`` with name, ra, dec (degrees) and true values.
    """
    raise NotImplementedError
