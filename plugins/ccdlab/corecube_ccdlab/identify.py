"""Say what a file is, by its headers and, where they do not tell, by rules on its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from corecube.errors import FileNotUnderstood
from corecube.fits import Fits
from corecube.shots import FileHead, FileInfo, NotMine
from corecube_ccdlab.detector import Detector, library
from corecube_ccdlab.headers import (
    OWN_PRODUCT,
    Cards,
    Exposure,
    describe,
    recognise,
    stem,
    type_of,
)
from corecube_ccdlab.settings import CcdlabConfig

_SHOWN: Final = ("INSTRUME", "TELESCOP", "IMAGETYP", "OBSTYPE", "EXPTYPE", "OBJECT")
"""Cards that help a user to see why a frame was not recognised."""


def identify(file: FileHead, config: CcdlabConfig) -> FileInfo | NotMine | None:
    """Say what a file is and what it belongs to.

    Parameters
    ----------
    file : FileHead
    config : CcdlabConfig

    Returns
    -------
    FileInfo, NotMine or None

    Raises
    ------
    FileNotUnderstood
        If it is of a known camera, and its header lacks what is needed.
    ConfigurationError
        If a detector description is wrong.
    """
    detectors = library(config)
    if not file.head.startswith(b"SIMPLE  ="):
        return NotMine("not a FITS file")
    if b"\n" in file.head[:82]:
        return NotMine("header cards as lines of text, without an image")
    try:
        cards = Cards(Fits(file.head, file.source.path, partial=True), file.name)
    except FileNotUnderstood as error:
        return NotMine(str(error).removeprefix(f"{file.source.path}: "))
    if cards.hdu < 0:
        return NotMine("no image of two axes in the first HDUs")
    if OWN_PRODUCT in cards.fits.header(0):
        return NotMine(f"a product of a reduction (card {OWN_PRODUCT}), no raw frame")
    return _classified(file, cards, detectors, config)


def _classified(
    file: FileHead, cards: Cards, detectors: Mapping[str, Detector], config: CcdlabConfig
) -> FileInfo | NotMine:
    preset = recognise(cards, detectors, bool(config.preset))
    if not preset:
        return NotMine(
            f"an image of no camera that a detector description knows ({_seen(cards)}); describe "
            "it in YAML and name the file with the setting detectors"
        )
    detector = detectors[preset]
    kind = type_of(cards, detector, config)
    if kind == "ignore":
        return NotMine("the setting types says that it is to be left out")
    if not kind:
        return NotMine(
            f"a frame of {preset} whose type no rule tells ({_seen(cards)}); name it with the "
            "setting types"
        )
    exposure = describe(cards, preset, detector, kind, config, file.source.path)
    return FileInfo(
        replace(file.source, kind=kind),
        key=key_of(exposure, detector),
        entry=stem(file.name),
        facts=facts_of(exposure, detector, cards, config),
    )


def belongs_to_target(exposure: Exposure, detector: Detector) -> bool:
    """Tell whether a frame is an entry of its target's shot; the others make masters."""
    return exposure.type == "science" or (
        exposure.type == "arc" and detector.arcs == "target" and exposure.target != ""
    )


def key_of(exposure: Exposure, detector: Detector) -> str:
    """Return ``night/target``, or "" for frames that serve many."""
    return f"{exposure.night}/{exposure.slug}" if belongs_to_target(exposure, detector) else ""


def facts_of(
    exposure: Exposure, detector: Detector, cards: Cards, config: CcdlabConfig
) -> dict[str, Any]:
    """Return what planning needs, as plain JSON."""
    return {
        "type": exposure.type, "preset": exposure.preset, "night": exposure.night,
        "setup": exposure.setup, "disperser": exposure.disperser,
        "seconds": exposure.seconds if exposure.seconds == exposure.seconds else None,
        "start": exposure.start.isoformat(), "target": exposure.target,
        "done": cards.text(detector.header.done).upper(),
        "waiting_for": _waiting_for(exposure, detector, config),
    }  # fmt: skip


def _waiting_for(exposure: Exposure, detector: Detector, config: CcdlabConfig) -> str:
    """Say what a frame misses that finds no place in a plan."""
    days = detector.masters.within_days if config.within_days is None else config.within_days
    near = f"within {days} nights of {exposure.night}"
    if exposure.type == "arc" and belongs_to_target(exposure, detector):
        return f"an exposure of {exposure.target} in the night {exposure.night}"
    missing = []
    if detector.masters.bias == "required" and exposure.type != "bias":
        missing.append(f"bias frames of {exposure.setup} {near}")
    if detector.masters.dark == "required" and exposure.type not in ("bias", "dark"):
        missing.append(f"darks of {exposure.seconds:g} s of {exposure.setup} {near}")
    if detector.masters.flat == "required" and exposure.type == "science":
        missing.append(f"flats of {exposure.disperser or exposure.setup} {near}")
    return " and ".join(missing) or "other frames"


def _seen(cards: Cards) -> str:
    shown = [f"{card}={cards.text(card)!r}" for card in _SHOWN if cards.text(card)]
    return ", ".join(shown) or "its header has none of the usual cards"
